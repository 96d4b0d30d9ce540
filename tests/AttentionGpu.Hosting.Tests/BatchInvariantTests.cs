namespace AttentionGpu.Hosting.Tests;

/// <summary>Requests of a batch-invariant service have the same bits alone and joined.</summary>
public class BatchInvariantTests
{
    private static readonly TimeSpan _longerThanTests = TimeSpan.FromHours(1);

    // Few queries and many, which the processor computes in two ways.
    private static readonly int[] _tokens = [2, 100, 1, 7];

    [Fact]
    public async Task Joined_requests_have_the_bits_of_each_alone()
    {
        float[][] alone = await RunAsync(requestsInBatch: 1);
        float[][] joined = await RunAsync(requestsInBatch: _tokens.Length);
        Assert.All(alone.Zip(joined), pair => Assert.Equal(pair.First, pair.Second));
    }

    // Two processors compute these requests alike without the option too: the bits cannot tell whether an engine has it.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_engine_has_the_option_of_the_service(bool batchInvariant)
    {
        await using AttentionService service = Fixture.Create(new() { Device = "simd", BatchInvariant = batchInvariant });
        Assert.Equal(batchInvariant, service.Engine.IsBatchInvariant);
    }

    private static async Task<float[][]> RunAsync(int requestsInBatch)
    {
        await using AttentionService service = Fixture.Create(new()
        {
            Device = "simd",
            BatchInvariant = true,
            MaxBatchRequests = requestsInBatch,
            BatchDelay = _longerThanTests,
        });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        float[][] inputs = [.. _tokens.Select(tokens => Fixture.Input(tokens, tokens))];
        float[][] outputs = [.. inputs.Select(input => new float[input.Length])];
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        Task[] tasks =
        [
            .. inputs.Zip(outputs, (input, output) => layer.ForwardAsync<float>(input, output, cancellationToken: cancellationToken)),
        ];
        await Task.WhenAll(tasks).WaitAsync(Wait.Patience, cancellationToken);
        return outputs;
    }
}
