using System.Buffers;
using System.Collections.Frozen;
using AttentionGpu.Hosting;
using AttentionGpu.Serialization;

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

    /// <summary>Answers numbers, rounded to the layer's type.</summary>
    public abstract Task<AttentionResponse> ForwardAsync(
        IAttentionLayer layer, float[][] input, ForwardOptions options, bool weights, CancellationToken cancellationToken);

    /// <summary>Answers the tensor "input" of a file, [tokens, embedding size], with one in the layer's type.</summary>
    public abstract Task ForwardAsync(
        IAttentionLayer layer, SafetensorsFile file, ForwardOptions options, HttpResponse response, CancellationToken cancellationToken);
}

/// <summary>Requests in one element type.</summary>
internal sealed class LayerCalls<T>(string elementType) : LayerCalls
    where T : unmanaged
{
    /// <inheritdoc/>
    public override string ElementType => elementType;

    /// <inheritdoc/>
    public override async Task<AttentionResponse> ForwardAsync(
        IAttentionLayer layer, float[][] input, ForwardOptions options, bool weights, CancellationToken cancellationToken)
    {
        int size = layer.Config.EmbeddingSize;
        int tokens = input.Length;
        var rounded = new T[tokens * size];
        for (int i = 0; i < tokens; i++)
        {
            float[]? row = input[i];
            if (row?.Length != size)
            {
                throw new ArgumentException(
                    $"Row {i} of 'input' must have {size} numbers, the embedding size of '{layer.Name}'; it has {row?.Length ?? 0}.");
            }

            JsonNumbers.Round(row, rounded.AsSpan(i * size, size), i);
        }

        var output = new T[rounded.Length];
        if (!weights || tokens == 0)
        {
            await layer.ForwardAsync<T>(rounded, output, options, cancellationToken).ConfigureAwait(false);
            return new AttentionResponse(JsonNumbers.Rows(output, size));
        }

        int columns = tokens + layer.ExtraKeys;
        var heads = new T[layer.Config.Heads * tokens * columns];
        await layer.ForwardWithWeightsAsync<T>(rounded, output, heads, options, cancellationToken).ConfigureAwait(false);
        return new AttentionResponse(
            JsonNumbers.Rows(output, size), [.. heads.Chunk(tokens * columns).Select(head => JsonNumbers.Rows(head, columns))]);
    }

    /// <inheritdoc/>
    public override async Task ForwardAsync(
        IAttentionLayer layer, SafetensorsFile file, ForwardOptions options, HttpResponse response, CancellationToken cancellationToken)
    {
        nint[] lengths = [.. file.Entries[SafetensorsBody.Input].Lengths];
        int count = (int)(lengths[0] * lengths[1]);
        T[] values = ArrayPool<T>.Shared.Rent(count);
        try
        {
            file.Read(SafetensorsBody.Input, values.AsSpan(0, count));
            Memory<T> used = values.AsMemory(0, count);
            await layer.ForwardAsync<T>(used, used, options, cancellationToken).ConfigureAwait(false);
            await SafetensorsBody.WriteAsync(response, values, lengths, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            ArrayPool<T>.Shared.Return(values);
        }
    }
}
