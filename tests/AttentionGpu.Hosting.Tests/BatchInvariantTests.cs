namespace AttentionGpu.Hosting.Tests;

/// <summary>Requests of a batch-invariant service have the same bits alone and joined.</summary>
public class BatchInvariantTests
{
    private static readonly TimeSpan _longerThanTests = TimeSpan.FromHours(1);

    // Few queries and many, which the processor computes in two ways.
    private static readonly int[] _tokens = [2, 100, 1, 7];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Joined_requests_have_the_bits_of_each_alone_where_the_option_says_so(bool batchInvariant)
    {
        float[][] alone = await RunAsync(batchInvariant, requestsInBatch: 1);
        float[][] joined = await RunAsync(batchInvariant, requestsInBatch: _tokens.Length);
        Assert.Equal(batchInvariant, alone.Zip(joined).All(pair => pair.First.AsSpan().SequenceEqual(pair.Second)));
    }

    private static async Task<float[][]> RunAsync(bool batchInvariant, int requestsInBatch)
    {
        await using AttentionService service = Fixture.Create(new()
        {
            Device = "simd",
            BatchInvariant = batchInvariant,
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
