using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Processor;
using AttentionGpu.Memory;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Panels operands for a processor's kernels.</summary>
internal sealed class PanelLaunch<TRows>(KernelLoader loader)
    where TRows : struct, IMatrixRows
{
    private const int MaxThreads = 64;

    private readonly Action<AcceleratorStream, KernelConfig, PanelArguments, int, TRows, ArrayView<Sequence>, ArrayView<float>> _kernel =
        loader.Load<Action<AcceleratorStream, KernelConfig, PanelArguments, int, TRows, ArrayView<Sequence>, ArrayView<float>>>(
            PanelKernel.Pack<TRows>);

    private readonly int _threads = Math.Min(MaxThreads, loader.Accelerator.MaxNumThreadsPerGroup);

    /// <summary>Bytes of the panels, once it is sure that one launch can fill them.</summary>
    /// <exception cref="NotSupportedException">It takes too many groups.</exception>
    public long Bytes(in PanelArguments shape, int batch)
    {
        Groups(shape, batch);
        return batch * shape.Matrices * shape.MatrixElements * sizeof(float);
    }

    /// <summary>Starts filling the panels; the caller holds the gate.</summary>
    public void Launch(in PanelArguments shape, int batch, TRows source, ArrayView<Sequence> sequences, DeviceMemory panels)
    {
        KernelConfig groups = Groups(shape, batch);
        if (groups.GridDim.X != 0)
            _kernel(loader.Stream, groups, shape, batch, source, sequences, panels.View<float>());
    }

    private KernelConfig Groups(in PanelArguments shape, int batch) =>
        KernelLoader.Groups(TileCount.DivideUp(batch * shape.Matrices * shape.MatrixLines, _threads), _threads);
}
