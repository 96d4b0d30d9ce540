using System.Buffers;
using System.Runtime.CompilerServices;

namespace AttentionGpu.Hosting.Tests;

/// <summary>What a request leaves behind, and what its memory may do to others.</summary>
public class RequestEndTests
{
    [Fact]
    public async Task A_token_keeps_nothing_of_requests_that_have_ended()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { QueueLimit = 2 });
        gated.Device.FailOn(7);
        using var cancellation = new CancellationTokenSource();
        (Task completed, WeakReference completedOutput) = Send(gated.Layer, 2, cancellation.Token);
        (Task failed, WeakReference failedOutput) = Send(gated.Layer, 7, cancellation.Token);
        (Task refused, WeakReference refusedOutput) = Send(gated.Layer, 3, cancellation.Token);
        await Assert.ThrowsAsync<AttentionOverloadedException>(() => refused);
        await UntilCollectedAsync(refusedOutput);
        gated.Open();
        await completed;
        await Assert.ThrowsAsync<AttentionDeviceException>(() => failed);
        await UntilCollectedAsync(completedOutput);
        await UntilCollectedAsync(failedOutput);

        // The requests that have ended are not told.
        await cancellation.CancelAsync();
        Assert.True(completed.IsCompletedSuccessfully);
    }

    [Fact]
    public async Task A_cancellation_ends_a_request_with_its_token()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        using var cancellation = new CancellationTokenSource();
        SentRequest waiting = gated.SendUntil(2, cancellation.Token);
        await cancellation.CancelAsync();
        SentRequest late = gated.SendUntil(2, cancellation.Token);
        foreach (SentRequest request in new[] { waiting, late })
        {
            OperationCanceledException exception = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request.Task);
            Assert.Equal(cancellation.Token, exception.CancellationToken);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Memory_that_is_gone_fails_its_request_alone(bool inputIsGone)
    {
        await using GatedService gated = await GatedService.StartAsync(new() { FallbackDevice = "simd" });
        SentRequest before = gated.Send(2);
        float[] input = Fixture.Input(3, 1);
        using var gone = new GoneMemory(input.Length);
        Task failing = gated.Layer.ForwardAsync<float>(
            inputIsGone ? gone.Memory : input, inputIsGone ? new float[input.Length] : gone.Memory,
            cancellationToken: TestContext.Current.CancellationToken);
        SentRequest after = gated.Send(4);
        await gated.OpenAndAssertRightAsync();
        await before.AssertRightAsync();
        await after.AssertRightAsync();
        failing = failing.WaitAsync(Wait.Patience, TestContext.Current.CancellationToken);
        Assert.Equal("gone", (await Assert.ThrowsAsync<InvalidOperationException>(() => failing)).Message);
        Assert.False(gated.Service.UsesFallback);
    }

    [Fact]
    public async Task An_empty_request_ends_at_once()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        Assert.True(gated.Send(0).Task.IsCompletedSuccessfully);
        Assert.True(gated.Send(0, weights: true).Task.IsCompletedSuccessfully);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads"], gated.Device.Batches);
    }

    // Not inlined, so that the caller has no reference to the output.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (Task Task, WeakReference Output) Send(IAttentionLayer layer, int tokens, CancellationToken token)
    {
        float[] input = Fixture.Input(tokens, tokens);
        var output = new float[input.Length];
        try
        {
            Task task = layer.ForwardAsync<float>(input, output, cancellationToken: token);
            return (task.WaitAsync(Wait.Patience, CancellationToken.None), new WeakReference(output));
        }
        catch (AttentionOverloadedException exception)
        {
            return (Task.FromException(exception), new WeakReference(output));
        }
    }

    private static Task UntilCollectedAsync(WeakReference reference) => Wait.UntilAsync(() =>
    {
        GC.Collect();
        return !reference.IsAlive;
    });

    /// <summary>Memory whose owner has freed it.</summary>
    private sealed class GoneMemory(int length) : MemoryManager<float>
    {
        public override Memory<float> Memory => CreateMemory(length);

        public override Span<float> GetSpan() => throw new InvalidOperationException("gone");

        public override MemoryHandle Pin(int elementIndex = 0) => throw new InvalidOperationException("gone");

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}
