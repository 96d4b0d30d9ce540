using AttentionGpu.Backends.Simd.Attention;
using AttentionGpu.Backends.Simd.Stored;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Simd;

/// <summary>Runs of paged rows.</summary>
public sealed unsafe class KeyValueViewTests : IDisposable
{
    private const int PageShift = 4;
    private const int PageRows = 1 << PageShift;
    private const int Pages = 12;
    private const int Heads = 3;
    private const int Size = 5;

    private readonly PlanMemory _memory = new();

    public void Dispose() => _memory.Dispose();

    /// <summary>Pages 4, 5, 6 follow each other in memory where a head has its pages together, and nowhere else.</summary>
    [Theory]
    [InlineData(true, 0, 100, 16)]
    [InlineData(true, 16, 100, 48)]
    [InlineData(true, 16, 40, 40)]
    [InlineData(true, 40, 100, 24)]
    [InlineData(true, 47, 2, 2)]
    [InlineData(true, 64, 16, 16)]
    [InlineData(true, 70, 10, 10)]
    [InlineData(false, 16, 100, 16)]
    [InlineData(false, 40, 100, 8)]
    [InlineData(false, 20, 3, 3)]
    public void A_run_ends_where_the_next_page_lies_elsewhere(bool headsAreOuter, int row, int wanted, int count)
    {
        int[] pages = [9, 4, 5, 6, 8, 11, 2];
        TensorLayout layout = headsAreOuter
            ? new TensorLayout(PageRows * Size, Pages * PageRows * Size, Size)
            : new TensorLayout(Heads * PageRows * Size, PageRows * Size, Size);
        var memory = DeviceMemory.OnHost(null, 4096, sizeof(float));
        var view = new KeyValueView(
            memory, default, _memory.Values(pages), new KeyValueForm(KeyValueElement.Float32, KeyValueRows.Paged), layout, PageShift, Size,
            Size);
        for (int head = 0; head < Heads; head++)
        {
            StoredRows rows = view.Rows(0, head, row, wanted);
            Assert.Equal(count, rows.Count);
            for (int i = 0; i < count; i++)
            {
                long expected = layout.Offset(pages[(row + i) / PageRows], head, (row + i) % PageRows) * sizeof(float);
                Assert.Equal(expected, rows.First + i * rows.Stride - memory.Pointer<byte>());
            }
        }
    }
}
