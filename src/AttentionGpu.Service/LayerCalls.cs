using System.Collections.Frozen;
using AttentionGpu.Hosting;

namespace AttentionGpu.Service;

/// <summary>Requests of a layer, in its element type.</summary>
internal abstract class LayerCalls
{
    private static readonly FrozenDictionary<Type, LayerCalls> _all = new Dictionary<Type, LayerCalls>
    {
        [typeof(float)] = new LayerCalls<float>("float32"),
        [typeof(Half)] = new LayerCalls<Half>("float16"),
        [typeof(BFloat16)] = new LayerCalls<BFloat16>("bfloat16"),
    }.ToFrozenDictionary();

    /// <summary>The element type, as the option of a layer names it.</summary>
    public abstract string ElementType { get; }

    /// <summary>Those of the layer's element type.</summary>
    /// <exception cref="NotSupportedException">
    /// The layer, one that a test has put in place of the service's own, has another type.
    /// </exception>
    public static LayerCalls Of(IAttentionLayer layer) =>
        _all.TryGetValue(layer.ElementType, out LayerCalls? calls)
            ? calls
            : throw new NotSupportedException($"The layer '{layer.Name}' has elements of type {layer.ElementType.Name}.");

    /// <summary>An element type's name, as the option of a layer has it.</summary>
    public static string NameOf(Type type) => _all[type].ElementType;

    /// <summary>Answers a request in JSON, whose numbers are rounded to the layer's type; as a step of the session where there is one.</summary>
    public abstract Task ForwardAsync(JsonRequest request, ForwardOptions options, SessionStep? step, AttentionExchange exchange);

    /// <summary>
    /// Answers the tensor "input" of a file, [tokens, embedding size], with one in the layer's type; as a step of the session where there is
    /// one.
    /// </summary>
    public abstract Task ForwardAsync(
        IAttentionLayer layer, SafetensorsBody body, ForwardOptions options, SessionStep? step, AttentionExchange exchange);
}

/// <summary>Requests in one element type.</summary>
internal sealed class LayerCalls<T>(string elementType) : LayerCalls
    where T : unmanaged
{
    /// <inheritdoc/>
    public override string ElementType => elementType;

    /// <inheritdoc/>
    public override async Task ForwardAsync(
        JsonRequest request, ForwardOptions options, SessionStep? step, AttentionExchange exchange)
    {
        IAttentionLayer layer = request.Layer!;
        int count = request.Values.Length;
        int columns = request.Tokens + layer.ExtraKeys;
        long weights = request.Weights ? (long)layer.Config.Heads * request.Tokens * columns : 0;
        using var values = new RequestArray<T>(exchange.Lease, count);
        using var heads = new RequestArray<T>(exchange.Lease, weights);
        int size = layer.Config.EmbeddingSize;
        for (int token = 0; token < request.Tokens; token++)
            JsonNumbers.Round(request.Values.Span.Slice(token * size, size), values.Memory.Span.Slice(token * size, size), token);
        request.Dispose();
        if (weights == 0)
            await ForwardAsync(layer, step, values.Memory, options, exchange.Aborted).ConfigureAwait(false);
        else
            await layer.ForwardWithWeightsAsync<T>(values.Memory, values.Memory, heads.Memory, options, exchange.Aborted)
                .ConfigureAwait(false);
        using var answer = new JsonAnswer(exchange.Context, exchange.Limits);
        await answer.WriteAsync<T>("output", values.Memory, size).ConfigureAwait(false);
        if (request.Weights)
            await answer.WriteAsync<T>("weights", heads.Memory, layer.Config.Heads, columns).ConfigureAwait(false);
        await answer.EndAsync().ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public override async Task ForwardAsync(
        IAttentionLayer layer, SafetensorsBody body, ForwardOptions options, SessionStep? step, AttentionExchange exchange)
    {
        nint[] lengths = [.. body.File.Entries[SafetensorsBody.Input].Lengths];
        using var values = new RequestArray<T>(exchange.Lease, lengths[0] * lengths[1]);
        body.File.Read(SafetensorsBody.Input, values.Memory.Span);
        body.Dispose();
        await ForwardAsync(layer, step, values.Memory, options, exchange.Aborted).ConfigureAwait(false);
        await SafetensorsBody.WriteAsync<T>(exchange.Context, exchange.Limits, values.Memory, lengths).ConfigureAwait(false);
    }

    private static Task ForwardAsync(
        IAttentionLayer layer, SessionStep? step, Memory<T> values, ForwardOptions options, CancellationToken aborted) =>
        step is null
            ? layer.ForwardAsync<T>(values, values, options, aborted)
            : step.Session.StepAsync<T>(values, values, new StepOptions { Start = step.Start }, aborted);
}
