using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Processor;
using AttentionGpu.Memory;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Packs operands for a processor's kernels.</summary>
internal sealed class PanelLaunch<TElement, TLayout>
    where TElement : unmanaged, IElement<TElement>
    where TLayout : struct, IMatrixLayout
{
    private const int Threads = 64;

    private readonly Action<AcceleratorStream, KernelConfig, PanelArguments, int, ArrayView<TElement>, TLayout, ArrayView<Sequence>,
        ArrayView<float>> _kernel;

    private readonly KernelLoader _loader;
    private readonly KernelConfig _config;
    private readonly PanelArguments _shape;
    private readonly int _batch;
    private readonly TLayout _layout;

    public PanelLaunch(KernelLoader loader, PanelArguments shape, int batch, TLayout layout)
    {
        _loader = loader;
        _shape = shape;
        _batch = batch;
        _layout = layout;
        ByteLength = batch * shape.Matrices * shape.MatrixElements * sizeof(float);
        int threads = Math.Min(Threads, loader.Accelerator.MaxNumThreadsPerGroup);
        _config = KernelLoader.Groups(TileCount.DivideUp(batch * shape.Matrices * shape.MatrixLines, threads), threads);
        _kernel = loader.Load<PanelLaunch<TElement, TLayout>, Action<AcceleratorStream, KernelConfig, PanelArguments, int, ArrayView<TElement>,
            TLayout, ArrayView<Sequence>, ArrayView<float>>>(
            accelerator => accelerator.LoadKernel<PanelArguments, int, ArrayView<TElement>, TLayout, ArrayView<Sequence>, ArrayView<float>>(
                PanelKernel.Pack));
    }

    /// <summary>Bytes of the panels.</summary>
    public long ByteLength { get; }

    public void Launch(ArrayView<TElement> source, ArrayView<Sequence> sequences, DeviceMemory panels)
    {
        if (ByteLength != 0)
            _kernel(_loader.Stream, _config, _shape, _batch, source, _layout, sequences, panels.View<float>());
    }
}
