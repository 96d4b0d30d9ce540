using AttentionGpu.Elements;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The operators that the ILGPU kernels compute.</summary>
internal sealed class AcceleratorOperators : IOperators
{
    private readonly OperatorTable _table = new();

    public AcceleratorOperators(KernelLoader loader) => _table
        .Add<AttentionSignature, AttentionExtent, AttentionBuffers>(signature => new AttentionPlanner(signature, loader).Plan())
        .Add<LinearSignature, LinearExtent, LinearBuffers>(signature => LinearPlanner.Plan(signature, loader))
        .Add<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(signature => HeadTransformPlanner.Plan(signature, loader))
        .Add<ExtraKeysSignature, ExtraKeysExtent, ExtraKeysBuffers>(signature => ExtraKeysPlanner.Plan(signature, loader))
        .Add<MergeStatesSignature, MergeStatesExtent, MergeStatesBuffers>(signature => MergeStatesPlanner.Plan(signature, loader));

    public int PanelRows(ElementType element) => 0;

    public bool CompilesKernels => true;

    public IPlan<TExtent, TBuffers> Plan<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct => _table.Plan<TSignature, TExtent, TBuffers>(signature);
}
