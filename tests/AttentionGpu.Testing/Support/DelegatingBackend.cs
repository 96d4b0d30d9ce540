using AttentionGpu.Backends;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Support;

/// <summary>
/// A backend that hands every call to another one: the base of test backends that count, record, fail or compute wrong results.
/// </summary>
internal abstract class DelegatingBackend(IBackend inner) : IBackend, IDeviceMemory, IOperators
{
    public virtual DeviceInfo Device => inner.Device;

    public IDeviceMemory Memory => this;

    public IOperators Operators => this;

    public virtual string DeviceName => inner.Memory.DeviceName;

    public virtual bool IsHostMemory => inner.Memory.IsHostMemory;

    public virtual long BytesInUse => inner.Memory.BytesInUse;

    public virtual int PanelRows(ElementType element) => inner.Operators.PanelRows(element);

    public virtual IPlan<TExtent, TBuffers> Plan<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct =>
        inner.Operators.Plan<TSignature, TExtent, TBuffers>(signature);

    public virtual DeviceMemory Rent(long byteLength) => inner.Memory.Rent(byteLength);

    public virtual void Return(DeviceMemory memory) => inner.Memory.Return(memory);

    public virtual void Upload(ReadOnlySpan<byte> source, DeviceMemory target) => inner.Memory.Upload(source, target);

    public virtual void Download(DeviceMemory source, Span<byte> target) => inner.Memory.Download(source, target);

    public virtual void Synchronize() => inner.Memory.Synchronize();

    public void Dispose() => inner.Dispose();

    /// <summary>A plan that calls <paramref name="before"/>, runs the inner plan, and calls <paramref name="after"/>.</summary>
    protected sealed class WatchedPlan<TExtent, TBuffers>(
        IPlan<TExtent, TBuffers> plan, Action<TExtent, TBuffers>? before = null, Action<TExtent, TBuffers>? after = null)
        : IPlan<TExtent, TBuffers>
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
