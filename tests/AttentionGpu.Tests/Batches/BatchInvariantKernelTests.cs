using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU;
using ILGPU.Runtime;
using Half = System.Half;
using Rows = AttentionGpu.Kernels.Common.Rows.ContiguousRows<AttentionGpu.Kernels.Common.Elements.SingleElement>;

namespace AttentionGpu.Tests.Batches;

/// <summary>
/// Which kernels a batch-invariant call gets on a GPU: the same ones whatever stands beside a request, and wherever it lies.
/// </summary>
public sealed class BatchInvariantKernelTests : IDisposable
{
    private const int Size = 8;
    private const int PieceBytes = 16;

    private readonly Context _context = AcceleratorDevices.CreateContext(AcceleratorDevices.EmulatorName);
    private readonly Accelerator _accelerator;

    public BatchInvariantKernelTests() =>
        _accelerator = AcceleratorDevices.Find(_context, AcceleratorDevices.EmulatorName).CreateAccelerator(_context);

    public void Dispose()
    {
        _accelerator.Dispose();
        _context.Dispose();
    }

    [Fact]
    public void A_product_has_one_tile_for_all_numbers_of_rows()
    {
        TileChoice tiles = TileChoice.For(_accelerator) with { Emulated = false, Processor = false, AllowsLargeTiles = true };
        var loader = new KernelLoader(_accelerator, new AcceleratorGate(), tiles, new AcceleratorProbe());
        Assert.IsType<MatmulBySize<Rows, Rows, SingleElement, RowLayout, ScaleEpilogue>>(
            MatmulLaunch.Create<Rows, Rows, SingleElement, RowLayout, ScaleEpilogue>(loader, batchInvariant: false));
        Assert.IsType<TiledMatmul<Tile8x8, Rows, Rows, SingleElement, RowLayout, ScaleEpilogue>>(
            MatmulLaunch.Create<Rows, Rows, SingleElement, RowLayout, ScaleEpilogue>(loader, batchInvariant: true));
    }

    /// <summary>
    /// Tensor cores read 16 bytes at once; a tensor that starts between two such pieces would be computed by other kernels.
    /// </summary>
    [Theory]
    [InlineData("input")]
    [InlineData("weight")]
    [InlineData("output")]
    [InlineData("bias")]
    public void A_product_of_16_bits_that_starts_between_pieces_is_refused(string argument)
    {
        using var engine = new AttentionEngine(_accelerator);
        using var memory = new CallersMemory(_accelerator, engine);
        DeviceTensor<Half> Tensor(string name, params ReadOnlySpan<nint> lengths) => memory.Take(lengths, isAligned: name != argument);
        (DeviceTensor<Half> input, DeviceTensor<Half> weight) = (Tensor("input", 1, Size), Tensor("weight", Size, Size));
        (DeviceTensor<Half> output, DeviceTensor<Half> bias) = (Tensor("output", 1, Size), Tensor("bias", Size));
        engine.Linear<Half>(input, weight, output, bias);
        ArgumentException exception =
            Assert.Throws<ArgumentException>(() => engine.Linear<Half>(input, weight, output, bias, batchInvariant: true));
        Assert.Equal(argument, exception.ParamName);
        Assert.Contains("16 bytes", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("query")]
    [InlineData("key")]
    [InlineData("value")]
    [InlineData("output")]
    public void Attention_of_16_bits_that_starts_between_pieces_is_refused(string argument)
    {
        using var engine = new AttentionEngine(_accelerator, new AttentionEngineOptions { BatchInvariant = true });
        using var memory = new CallersMemory(_accelerator, engine);
        DeviceTensor<Half> Tensor(string name, int size) => memory.Take([1, 1, 2, size], isAligned: name != argument);
        ArgumentException exception = Assert.Throws<ArgumentException>(() => engine.ScaledDotProductAttention<Half>(
            Tensor("query", Size), Tensor("key", Size), Tensor("value", Size), Tensor("output", Size)));
        Assert.Equal(argument, exception.ParamName);

        // Heads that are not whole pieces are copied element by element wherever they start. Once is enough: the emulator takes seconds to compile.
        if (argument == "query")
            engine.ScaledDotProductAttention<Half>(Tensor("query", 5), Tensor("key", 5), Tensor("value", 5), Tensor("output", 5));
    }

    /// <summary>Zeros that a caller owns, at addresses that are multiples of 16 bytes or just behind one.</summary>
    private sealed class CallersMemory(Accelerator accelerator, AttentionEngine engine) : IDisposable
    {
        private readonly List<IDisposable> _owned = [];

        public DeviceTensor<Half> Take(ReadOnlySpan<nint> lengths, bool isAligned)
        {
            nint count = 1;
            foreach (nint length in lengths)
                count *= length;
            MemoryBuffer1D<byte, Stride1D.Dense> buffer = accelerator.Allocate1D<byte>(sizeof(ushort) * count + 2 * PieceBytes);
            buffer.MemSetToZero();
            accelerator.Synchronize();
            long first = (PieceBytes - buffer.NativePtr % PieceBytes) % PieceBytes + (isAligned ? 0 : sizeof(ushort));
            DeviceTensor<Half> tensor = engine.Over(buffer.View.BaseView.SubView(first, sizeof(ushort) * count).Cast<Half>(), lengths);
            _owned.Add(tensor);
            _owned.Add(buffer);
            return tensor;
        }

        public void Dispose() => _owned.ForEach(one => one.Dispose());
    }
}
