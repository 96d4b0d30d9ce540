using AttentionGpu.Kernels.Masks;
using AttentionGpu.Kernels.Tiles;

namespace AttentionGpu.Kernels.Tests;

public class MaskTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(-4)]
    [InlineData(-100)]
    public void Causal_ranges_agree_with_its_single_keys(int offset)
    {
        const int length = 30;
        var mask = new CausalMask { Offset = offset };
        for (int first = 0; first < length; first++)
        {
            for (int last = first; last < length; last++)
            {
                int end = mask.EndKey(last, length);
                int expected = Enumerable.Range(0, length).Count(key => Enumerable.Range(0, last + 1).Any(query => mask.IsVisible(0, 0, query, key)));
                Assert.Equal(expected, end);
            }

            for (int end = 1; end <= length; end++)
            {
                bool alone = Enumerable.Range(0, end).All(key => Enumerable.Range(first, length).All(query => mask.IsVisible(0, 0, query, key)));
                Assert.Equal(alone, mask.LeavesAlone(first, end));
            }
        }
    }

    [Fact]
    public void A_pair_shows_what_both_show()
    {
        var pair = new MaskPair<CausalMask, CausalMask> { First = new() { Offset = 3 }, Second = new() { Offset = -1 } };
        Assert.True(pair.IsVisible(0, 0, 5, 4));
        Assert.False(pair.IsVisible(0, 0, 5, 5));
        Assert.Equal(5, pair.EndKey(5, 30));
        Assert.Equal(2f, pair.Apply(2f, 0, 0, 5, 4));
        Assert.Equal(float.NegativeInfinity, pair.Apply(2f, 0, 0, 5, 5));
        Assert.False(MaskPair<CausalMask, NoMask>.ScansBlocks);
        Assert.True(MaskPair<CausalMask, BooleanMask>.ScansBlocks);
    }

    [Fact]
    public void Tiles_keep_their_rules()
    {
        Check<Tile2x2>(valueGroups: 4);
        Check<Tile8x8>(valueGroups: 1);
        Check<Tile8x16>(valueGroups: 2);
        Check<Tile16x16>(valueGroups: 2);

        // The rules that ITile states, and that the value panel fits where the query and key panels were.
        static void Check<TTile>(int valueGroups)
            where TTile : struct, ITile
        {
            Assert.True(int.IsPow2(TTile.RowThreads) && int.IsPow2(TTile.ColumnThreads) && int.IsPow2(TTile.Depth));
            Assert.Equal(0, 4 * TTile.ColumnThreads % TTile.Depth);
            Assert.True(ThreadPosition<TTile>.RowPitch + TTile.ColumnThreads + 1 >= TTile.ColumnThreads * valueGroups);

            // A shared reduction's scratch is the tile of weights.
            Assert.True(2 * TTile.RowThreads * TTile.ColumnThreads <= 4 * TTile.ColumnThreads * ThreadPosition<TTile>.RowPitch);
        }
    }
}
