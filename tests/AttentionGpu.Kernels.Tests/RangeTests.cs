using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Tiles;

namespace AttentionGpu.Kernels.Tests;

public class RangeTests
{
    private const int KeyLength = 30;

    public static TheoryData<int, int, int> Positions { get; } = new()
    {
        { 0, 0, 0 },
        { 5, 3, 11 },
        { -4, 0, 40 },
        { -100, 2, 7 },
    };

    [Theory]
    [MemberData(nameof(Positions))]
    public void Ranges_are_what_their_definitions_say(int offset, int windowOffset, int prefix)
    {
        var sequence = new Sequence
        {
            QueryLength = KeyLength,
            KeyLength = KeyLength,
            CausalOffset = offset,
            WindowOffset = windowOffset,
            PrefixLength = prefix,
        };
        var window = new WindowRange { Left = 4, Right = 2 };
        AssertRange(new AllKeys(), sequence, (_, _) => true);
        AssertRange(new CausalRange(), sequence, (query, key) => key <= query + offset);
        AssertRange(new PrefixRange(), sequence, (query, key) => key < prefix || key <= query + offset);
        AssertRange(window, sequence, (query, key) => key >= query + windowOffset - 4 && key <= query + windowOffset + 2);
        AssertRange(
            new RangePair<PrefixRange, WindowRange> { Second = window },
            sequence,
            (query, key) =>
                (key < prefix || key <= query + offset) && key >= query + windowOffset - 4 && key <= query + windowOffset + 2);
        AssertRange(new WindowRange { Left = WindowRange.Unbounded, Right = WindowRange.Unbounded }, sequence, (_, _) => true);
    }

    [Fact]
    public void Everything_has_keys_behind_the_end() => Assert.Equal(int.MaxValue, new Everything().EndKey(new Sequence { KeyLength = 3 }, 0));

    [Fact]
    public void A_pair_of_variants_changes_in_order_and_shows_what_both_show()
    {
        Assert.True(VariantPair<NoVariant, NoVariant>.IsIdentity);
        Assert.False(VariantPair<NoVariant, Softcap>.IsIdentity);
        Assert.False(VariantPair<NoVariant, Softcap>.ScansBlocks);
        Assert.True(VariantPair<Softcap, BooleanMask>.ScansBlocks);
        var pair = new VariantPair<Softcap, Softcap> { First = new() { Cap = 2f }, Second = new() { Cap = 3f } };
        Assert.Equal(3.0 * Math.Tanh(2.0 * Math.Tanh(5.0 / 2.0) / 3.0), pair.Apply(5f, default, 0, 0), 1e-6);
    }

    [Fact]
    public void Tanh_is_exact_to_a_few_ulp()
    {
        for (int i = -20_000; i <= 20_000; i++)
        {
            float x = i / 1500f;
            double expected = Math.Tanh(x);
            Assert.Equal(expected, Softcap.Tanh(x), Math.Abs(expected) * 4e-7);
        }

        Assert.Equal((1f, -1f, 0f), (Softcap.Tanh(1e30f), Softcap.Tanh(float.NegativeInfinity), Softcap.Tanh(0f)));
        Assert.True(float.IsNaN(Softcap.Tanh(float.NaN)));
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

    private static void AssertRange<TRange>(TRange range, Sequence sequence, Func<int, int, bool> isVisible)
        where TRange : struct, IKeyRange
    {
        (int lastFirst, int lastEnd) = (0, 0);
        for (int query = 0; query < KeyLength; query++)
        {
            (int first, int end) = (range.FirstKey(sequence, query), range.EndKey(sequence, query));
            for (int key = 0; key < KeyLength; key++)
                Assert.Equal(isVisible(query, key), key >= first && key < end);
            Assert.True(first >= lastFirst && end >= lastEnd && end <= KeyLength, "Ranges must never fall, nor leave the keys.");
            (lastFirst, lastEnd) = (first, end);
        }
    }
}
