using AttentionGpu.Backends;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>A device on which work waits at a gate: a test does something while a call is in progress, in an order that it knows.</summary>
internal sealed class GatedBackend(IBackend inner) : DelegatingBackend(inner)
{
    private readonly ManualResetEventSlim _isOpen = new(true);
    private readonly ManualResetEventSlim _hasArrived = new();

    /// <summary>Called when the work that waited is started.</summary>
    public Action Passed { get; set; } = () => { };

    /// <summary>Lets no work pass any more.</summary>
    public void Close()
    {
        _hasArrived.Reset();
        _isOpen.Reset();
    }

    /// <summary>Lets all work pass.</summary>
    public void Open() => _isOpen.Set();

    /// <summary>Returns when work has come to the closed gate.</summary>
    public void WaitForWork() => Assert.True(_hasArrived.Wait(Wait.Patience, TestContext.Current.CancellationToken));

    protected override IPlan<AttentionExtent, AttentionBuffers> Watch(
        AttentionSignature signature, IPlan<AttentionExtent, AttentionBuffers> plan) =>
        new WatchedPlan<AttentionExtent, AttentionBuffers>(plan, (_, _) => Pass(), (_, _) => Passed());

    protected override IPlan<LinearExtent, LinearBuffers> Watch(LinearSignature signature, IPlan<LinearExtent, LinearBuffers> plan) =>
        new WatchedPlan<LinearExtent, LinearBuffers>(plan, (_, _) => Pass());

    private void Pass()
    {
        if (_isOpen.IsSet)
            return;
        _hasArrived.Set();
        if (!_isOpen.Wait(Wait.Patience))
            throw new TimeoutException("The gate was not opened.");
    }
}
