using AttentionGpu.Backends;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Support;

/// <summary>
/// A backend that hands every call to another one: the base of test backends that count, record, fail or compute wrong results.
/// </summary>
internal abstract class DelegatingBackend(IAttentionBackend inner) : IAttentionBackend
{
    public virtual DeviceInfo Device => inner.Device;

    public virtual bool UsesHostMemory => inner.UsesHostMemory;

    public virtual long BytesInUse => inner.BytesInUse;

    public virtual int WeightPanelRows => inner.WeightPanelRows;

    public virtual IPlan<AttentionBuffers> Plan(AttentionProblem problem) => inner.Plan(problem);

    public virtual IPlan<LinearBuffers> Plan(LinearProblem problem) => inner.Plan(problem);

    public virtual IPlan<HeadTransformBuffers> Plan(HeadTransform problem) => inner.Plan(problem);

    public virtual void PanelWeight(DeviceMemory weight, int rows, int depth) => inner.PanelWeight(weight, rows, depth);

    public virtual DeviceMemory Rent(long byteLength) => inner.Rent(byteLength);

    public virtual void Return(DeviceMemory memory) => inner.Return(memory);

    public virtual void Upload(ReadOnlySpan<byte> source, DeviceMemory target) => inner.Upload(source, target);

    public virtual void Download(DeviceMemory source, Span<byte> target) => inner.Download(source, target);

    public virtual void Synchronize() => inner.Synchronize();

    public void Dispose() => inner.Dispose();

    /// <summary>A plan that calls <paramref name="before"/>, runs the inner plan, and calls <paramref name="after"/>.</summary>
    protected sealed class WatchedPlan<TBuffers>(
        IPlan<TBuffers> plan, Action<TBuffers>? before = null, Action<TBuffers>? after = null) : IPlan<TBuffers>
        where TBuffers : struct
    {
        public void Execute(in TBuffers buffers)
        {
            before?.Invoke(buffers);
            plan.Execute(buffers);
            after?.Invoke(buffers);
        }
    }
}
