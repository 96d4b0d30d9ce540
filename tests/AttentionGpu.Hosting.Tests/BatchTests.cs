using AttentionGpu.Tests.Support;

namespace AttentionGpu.Hosting.Tests;

/// <summary>Which requests run together, as the device sees it.</summary>
public class BatchTests
{
    private static readonly TimeSpan _longerThanTests = TimeSpan.FromHours(1);

    [Theory]
    [InlineData(1, "2, 4 heads", "2, 4 heads", "2, 4 heads", "2, 4 heads")]
    [InlineData(3, "2+2+2, 4 heads", "2, 4 heads")]
    [InlineData(4, "2+2+2+2, 4 heads")]
    public async Task A_batch_has_as_many_requests_as_may(int limit, params string[] batches)
    {
        await using GatedService gated = await GatedService.StartAsync(new() { MaxBatchRequests = limit });
        for (int i = 0; i < 4; i++)
            gated.Send(2);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads", .. batches], gated.Device.Batches);
    }

    [Fact]
    public async Task A_batch_has_as_many_tokens_as_may()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { MaxBatchTokens = 10 });
        foreach (int tokens in (int[])[4, 6, 1, 9, 5, 6, 3, 2])
            gated.Send(tokens);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads", "4+6, 4 heads", "1+9, 4 heads", "5, 4 heads", "6+3, 4 heads", "2, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task A_request_longer_than_a_batch_runs_alone()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { MaxBatchTokens = 10 });
        foreach (int tokens in (int[])[2, 11, 1, 25, 3, 4])
            gated.Send(tokens);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads", "2, 4 heads", "11, 4 heads", "1, 4 heads", "25, 4 heads", "3+4, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task Requests_of_two_layers_are_not_joined()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        gated.Send(2);
        gated.Send(3, gated.Other);
        gated.Send(4, gated.Other);
        gated.Send(5);
        gated.Send(6);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads", "2+5+6, 4 heads", "3+4, 2 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task Requests_with_weights_run_alone()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        gated.Send(2);
        gated.Send(3, weights: true);
        gated.Send(4);
        gated.Send(5);
        gated.Send(6, weights: true);
        gated.Send(7, weights: true);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(
            ["1, 4 heads", "2, 4 heads", "3 weights, 4 heads", "4+5, 4 heads", "6 weights, 4 heads", "7 weights, 4 heads"],
            gated.Device.Batches);
    }

    [Fact]
    public async Task Weights_over_the_output_are_refused_before_the_request_waits()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        int count = 3 * 3 * Fixture.Config.Heads;
        float[] input = Fixture.Input(3, seed: 1);
        float[] memory = new float[input.Length + count];
        foreach (int start in new[] { 0, input.Length - 1 })
        {
            ArgumentException exception = await Assert.ThrowsAsync<ArgumentException>(
                "weights",
                () => gated.Layer.ForwardWithWeightsAsync<float>(
                    input, memory.AsMemory(0, input.Length), memory.AsMemory(start, count),
                    cancellationToken: TestContext.Current.CancellationToken)
                    .WaitAsync(Wait.Patience, TestContext.Current.CancellationToken));
            Assert.Contains("must not overlap 'output'", exception.Message, StringComparison.Ordinal);
        }

        Assert.Equal(0, gated.Service.QueueDepth);
        Task task = gated.Layer.ForwardWithWeightsAsync<float>(
            input, memory.AsMemory(0, input.Length), memory.AsMemory(input.Length, count),
            cancellationToken: TestContext.Current.CancellationToken);
        await gated.OpenAndAssertRightAsync();
        await task;
        Close.Assert(Fixture.Expected(input), memory[..input.Length], "output");
    }

    [Fact]
    public async Task Weights_have_columns_of_extra_keys()
    {
        await using AttentionService service = Fixture.Create(new() { Device = "simd" });
        IAttentionLayer layer = service.AddLayer<float>("zeros", Fixture.Config with { AddZeroAttention = true }, Fixture.Weights);
        Assert.Equal(1, layer.ExtraKeys);
        float[] output = new float[2 * Fixture.Embedding];
        float[] weights = new float[Fixture.Config.Heads * 2 * 3];
        await layer.ForwardWithWeightsAsync<float>(
            Fixture.Input(2, seed: 1), output, weights, cancellationToken: TestContext.Current.CancellationToken);
        Assert.All(weights.Chunk(3), row => Assert.Equal(1f, row.Sum(), 1e-5f));
    }

    [Fact]
    public async Task Requests_that_see_other_keys_are_not_joined()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        gated.Send(2);
        gated.Send(3, causal: Causal.TopLeft);
        gated.Send(4, causal: Causal.TopLeft);
        gated.Send(5);
        gated.Send(6, causal: Causal.TopLeft, weights: true);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads", "2, 4 heads", "3+4 causal, 4 heads", "5, 4 heads", "6 causal weights, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task A_cancelled_request_takes_no_place_in_a_batch()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { MaxBatchRequests = 2, MaxBatchTokens = 8 });
        using var cancellation = new CancellationTokenSource();
        SentRequest first = gated.Send(3);
        SentRequest cancelled = gated.SendUntil(5, cancellation.Token);
        SentRequest last = gated.Send(4);
        await cancellation.CancelAsync();
        gated.Open();
        await first.AssertRightAsync();
        await last.AssertRightAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.Task);
        Assert.Equal(["1, 4 heads", "3+4, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task A_request_waits_for_others_to_join_until_the_batch_is_full()
    {
        var device = new FaultyBackend();
        await using AttentionService service = Fixture.CreateOn(
            device, new() { Device = "faulty", MaxBatchRequests = 2, BatchDelay = _longerThanTests });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        SentRequest first = Send(layer, 3);
        Assert.Equal(1, service.QueueDepth);
        SentRequest second = Send(layer, 4);
        await first.AssertRightAsync();
        await second.AssertRightAsync();
        Assert.Equal(["3+4, 4 heads"], device.Batches);
    }

    [Fact]
    public async Task A_request_that_cannot_join_ends_the_wait_of_others()
    {
        await using AttentionService service = Fixture.Create(new() { Device = "simd", MaxBatchTokens = 8, BatchDelay = _longerThanTests });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        SentRequest first = Send(layer, 4);
        SentRequest second = Send(layer, 5);
        await first.AssertRightAsync();
        Assert.False(second.Task.IsCompleted);
        await service.DisposeAsync();
        await second.AssertRightAsync();
    }

    private static SentRequest Send(IAttentionLayer layer, int tokens)
    {
        float[] input = Fixture.Input(tokens, tokens);
        var output = new float[input.Length];
        Task task = layer.ForwardAsync<float>(input, output, cancellationToken: TestContext.Current.CancellationToken);
        return new(task.WaitAsync(Wait.Patience, TestContext.Current.CancellationToken), output, Fixture.Expected(input));
    }
}
