using AttentionGpu.Backends;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;

namespace AttentionGpu.Tests.Support;

/// <summary>
/// A backend that hands every call to another one: the base of test backends that count, record, fail or compute wrong results. A plan
/// passes
/// through <c>Watch</c> when it is made.
/// </summary>
internal abstract class DelegatingBackend(IBackend inner) : IBackend, IOperators, IDeviceMemory
{
    public virtual DeviceInfo Device => inner.Device;

    public IDeviceMemory Memory => this;

    public IOperators Operators => this;

    public string DeviceName => Device.Name;

    public virtual bool IsHostMemory => inner.Memory.IsHostMemory;

    public virtual long BytesInUse => inner.Memory.BytesInUse;

    public virtual int PanelRows(ElementType element) => inner.Operators.PanelRows(element);

    public IPlan<TExtent, TBuffers> Plan<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        object plan = signature switch
        {
            AttentionSignature attention => Watch(attention, PlanOf<AttentionSignature, AttentionExtent, AttentionBuffers>(attention)),
            LinearSignature linear => Watch(linear, PlanOf<LinearSignature, LinearExtent, LinearBuffers>(linear)),
            HeadTransformSignature rows => Watch(rows, PlanOf<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(rows)),
            _ => PlanOf<TSignature, TExtent, TBuffers>(signature),
        };
        return (IPlan<TExtent, TBuffers>)plan;
    }

    public virtual DeviceMemory Rent(long byteLength) => inner.Memory.Rent(byteLength);

    public virtual void Return(DeviceMemory memory) => inner.Memory.Return(memory);

    public virtual void ReleaseUnused() => inner.Memory.ReleaseUnused();

    public DeviceMemory WrapAddress(nint address, long byteLength) => inner.Memory.WrapAddress(address, byteLength);

    public DeviceMemory WrapView(ArrayView<byte> view) => inner.Memory.WrapView(view);

    public virtual void Upload(ReadOnlySpan<byte> source, DeviceMemory target) => inner.Memory.Upload(source, target);

    public virtual void Download(DeviceMemory source, Span<byte> target) => inner.Memory.Download(source, target);

    public virtual void Copy(DeviceMemory source, DeviceMemory target) => inner.Memory.Copy(source, target);

    public virtual void Synchronize() => inner.Memory.Synchronize();

    public void Dispose() => inner.Dispose();

    /// <summary>The plan of a signature on the inner backend.</summary>
    protected IPlan<TExtent, TBuffers> PlanOf<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct => inner.Operators.Plan<TSignature, TExtent, TBuffers>(signature);

    /// <summary>The plan in place of the inner one of a signature of attention.</summary>
    protected virtual IPlan<AttentionExtent, AttentionBuffers> Watch(
        AttentionSignature signature, IPlan<AttentionExtent, AttentionBuffers> plan) => plan;

    /// <summary>The plan in place of the inner one of a product.</summary>
    protected virtual IPlan<LinearExtent, LinearBuffers> Watch(LinearSignature signature, IPlan<LinearExtent, LinearBuffers> plan) => plan;

    /// <summary>The plan in place of the inner one of rows that are moved.</summary>
    protected virtual IPlan<HeadTransformExtent, HeadTransformBuffers> Watch(
        HeadTransformSignature signature, IPlan<HeadTransformExtent, HeadTransformBuffers> plan) => plan;

    /// <summary>A plan that calls <paramref name="before"/>, runs the inner plan, and calls <paramref name="after"/>.</summary>
    protected sealed class WatchedPlan<TExtent, TBuffers>(
        IPlan<TExtent, TBuffers> plan, Action<TExtent, TBuffers>? before = null, Action<TExtent, TBuffers>? after = null) : IPlan<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        public long WorkspaceBytes(in TExtent extent) => plan.WorkspaceBytes(extent);

        public void Execute(in TExtent extent, in TBuffers buffers, DeviceMemory workspace)
        {
            before?.Invoke(extent, buffers);
            plan.Execute(extent, buffers, workspace);
            after?.Invoke(extent, buffers);
        }
    }
}
