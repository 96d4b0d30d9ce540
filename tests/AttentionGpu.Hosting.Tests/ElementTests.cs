using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Hosting.Tests;

/// <summary>Layers of 16-bit elements, whose requests are in the layer's type and in no other.</summary>
public class ElementTests
{
    private static readonly AttentionEngine _reference = new("reference");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Requests_of_Half_are_joined_and_agree_with_the_reference() => await AssertAgreesAsync<Half>("Float16");

    [Fact]
    public async Task Requests_of_BFloat16_are_joined_and_agree_with_the_reference() => await AssertAgreesAsync<BFloat16>("BFloat16");

    [Fact]
    public async Task Layers_of_two_types_share_a_service_and_are_not_joined()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        IAttentionLayer half = gated.Service.AddLayer<Half>("half", Fixture.Config, Fixture.Weights);
        gated.Send(2);
        Sent<Half> first = Send<Half>(half, 3, seed: 1);
        Sent<Half> second = Send<Half>(half, 4, seed: 2);
        gated.Send(5);
        await gated.OpenAndAssertRightAsync();
        await first.AssertRightAsync();
        await second.AssertRightAsync();
        Assert.Equal(["1, 4 heads", "2+5, 4 heads", "3+4, 4 heads of Float16"], gated.Device.Batches);
    }

    [Fact]
    public async Task A_fallback_device_has_the_layer_in_the_same_type()
    {
        var lost = new FaultyBackend();
        var fallback = new FaultyBackend();
        await using AttentionService service = Fixture.Create(
            new() { Device = "first", FallbackDevice = "second" }, (name, _) => new AttentionEngine(name == "first" ? lost : fallback));
        IAttentionLayer layer = service.AddLayer<BFloat16>("layer", Fixture.Config, Fixture.Weights);
        lost.FailOn(7);
        await Send<BFloat16>(layer, 7, seed: 1).AssertRightAsync();
        Assert.True(service.UsesFallback);
        await Send<BFloat16>(layer, 8, seed: 2).AssertRightAsync();
        Assert.Equal(["7, 4 heads of BFloat16", "8, 4 heads of BFloat16"], fallback.Batches);
        Assert.Equal(typeof(BFloat16), layer.ElementType);
    }

    [Fact]
    public async Task A_request_in_another_type_is_refused_before_it_waits()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        IAttentionLayer half = gated.Service.AddLayer<Half>("half", Fixture.Config, Fixture.Weights);
        var output = new float[Fixture.Embedding];
        var brain = new BFloat16[Fixture.Embedding];
        ArgumentException exception = await Assert.ThrowsAsync<ArgumentException>(
            "input", () => half.ForwardAsync<float>(new float[Fixture.Embedding], output, cancellationToken: Token));
        Assert.StartsWith("'input' has elements of type Single; the layer 'half' takes Half.", exception.Message, StringComparison.Ordinal);
        exception = await Assert.ThrowsAsync<ArgumentException>(
            "input",
            () => gated.Layer.ForwardAsync<BFloat16>(brain, brain, cancellationToken: Token));
        Assert.StartsWith(
            "'input' has elements of type BFloat16; the layer 'layer' takes Single.", exception.Message, StringComparison.Ordinal);

        // The types have the same size: nothing but the type tells them apart.
        await Assert.ThrowsAsync<ArgumentException>(
            "input",
            () => half.ForwardWithWeightsAsync<BFloat16>(brain, brain, new BFloat16[Fixture.Config.Heads], cancellationToken: Token));
        Assert.Equal(0, gated.Service.QueueDepth);
        await gated.OpenAndAssertRightAsync();
        Assert.Equal(["1, 4 heads"], gated.Device.Batches);
    }

    [Fact]
    public async Task A_layer_of_another_type_cannot_be_added()
    {
        await using AttentionService service = Fixture.Create(new() { Device = "simd" });
        Assert.Throws<NotSupportedException>(() => service.AddLayer<double>("layer", Fixture.Config, Fixture.Weights));
        Assert.Empty(service.Layers);
    }

    [Fact]
    public async Task NaN_stays_in_its_request_of_Half()
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        IAttentionLayer half = gated.Service.AddLayer<Half>("half", Fixture.Config, Fixture.Weights);
        Sent<Half> before = Send<Half>(half, 3, seed: 1);
        var poisoned = new Half[4 * Fixture.Embedding];
        Array.Fill(poisoned, Half.NaN);
        Task task = half.ForwardAsync<Half>(poisoned, poisoned, cancellationToken: Token);
        Sent<Half> after = Send<Half>(half, 5, seed: 2);
        gated.Open();
        await before.AssertRightAsync();
        await after.AssertRightAsync();
        await task;
        Assert.All(poisoned, value => Assert.True(Half.IsNaN(value)));
        Assert.Equal("3+4+5, 4 heads of Float16", gated.Device.Batches[^1]);
    }

    [Fact]
    public async Task Bytes_are_counted_in_the_size_of_the_type()
    {
        using var telemetry = new Telemetry();
        await using AttentionService service = Fixture.Create(new() { Device = "simd" }, meters: telemetry);
        await Send<Half>(service.AddLayer<Half>("half", Fixture.Config, Fixture.Weights), 6, seed: 1).AssertRightAsync();
        await telemetry.UntilBatchesAsync(1);
        Assert.Equal(6 * Fixture.Embedding * 2 * sizeof(ushort), telemetry.Sum("attention.bytes"));
    }

    private static async Task AssertAgreesAsync<T>(string element)
        where T : unmanaged
    {
        await using GatedService gated = await GatedService.StartAsync(new());
        IAttentionLayer layer = gated.Service.AddLayer<T>("16 bits", Fixture.Config, Fixture.Weights);
        Assert.Equal(typeof(T), layer.ElementType);
        Sent<T>[] sent =
        [
            Send<T>(layer, 9, seed: 1), Send<T>(layer, 17, seed: 2), Send<T>(layer, 5, seed: 3, Causal.TopLeft),
            Send<T>(layer, 6, seed: 4, weights: true),
        ];
        gated.Open();
        foreach (Sent<T> one in sent)
            await one.AssertRightAsync();
        Assert.Equal(
            ["1, 4 heads", $"9+17, 4 heads of {element}", $"5 causal, 4 heads of {element}", $"6 weights, 4 heads of {element}"],
            gated.Device.Batches);
    }

    private static Sent<T> Send<T>(IAttentionLayer layer, int tokens, int seed, Causal causal = Causal.None, bool weights = false)
        where T : unmanaged
    {
        T[] input = ElementArrays.Round<T>(Fixture.Input(tokens, seed));
        T[] output = ElementArrays.Poisoned<T>(input.Length);
        T[] probabilities = ElementArrays.Poisoned<T>(weights ? Fixture.Config.Heads * tokens * tokens : 0);
        Task task = weights
            ? layer.ForwardWithWeightsAsync<T>(input, output, probabilities, causal, Token)
            : layer.ForwardAsync<T>(input, output, causal, Token);
        return new Sent<T>(task.WaitAsync(Wait.Patience, CancellationToken.None), (T[])input.Clone(), output, probabilities, causal);
    }

    /// <summary>A request that was sent, and where its results go.</summary>
    private sealed record Sent<T>(Task Task, T[] Input, T[] Output, T[] Weights, Causal Causal)
        where T : unmanaged
    {
        /// <summary>Fails unless the results are those of the float64 reference, in the same type.</summary>
        public async Task AssertRightAsync()
        {
            await Task;
            nint tokens = Input.Length / Fixture.Embedding;
            nint[] lengths = [1, tokens, Fixture.Embedding];
            var output = new T[Input.Length];
            var weights = new T[Fixture.Config.Heads * tokens * tokens];
            using var layer = new MultiHeadAttention<T>(_reference, Fixture.Config, Fixture.Weights);
            var sequence = new ReadOnlyTensorSpan<T>(Input, lengths);
            layer.ForwardWithWeights(
                sequence, sequence, sequence, new TensorSpan<T>(output, lengths),
                new TensorSpan<T>(weights, [1, Fixture.Config.Heads, tokens, tokens]), causal: Causal);
            Close.Assert(ElementArrays.Widen<T>(output), ElementArrays.Widen<T>(Output), "output", ElementArrays.Tolerance<T>());
            if (Weights.Length > 0)
                Close.Assert(ElementArrays.Widen<T>(weights), ElementArrays.Widen<T>(Weights), "weights", ElementArrays.Tolerance<T>());
        }
    }
}
