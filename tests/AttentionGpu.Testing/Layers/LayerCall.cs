using System.Globalization;
using System.Numerics.Tensors;
using System.Text;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Layers;

/// <summary>
/// A layer and one call of it, in float32. Tensors are batch-first, [tokens, size] where sequences are ragged, whatever the layer's order:
/// the run on an engine puts them into it.
/// </summary>
internal sealed record LayerCall
{
    /// <summary>The seed or the name that tells a failed case.</summary>
    public required string Name { get; init; }

    /// <summary>Sizes and variants, but for <see cref="Rotary"/>.</summary>
    public required MultiHeadAttentionConfig Config { get; init; }

    public required MultiHeadAttentionWeights Weights { get; init; }

    public RotaryDefinition? Rotary { get; init; }

    public ElementForm Element { get; init; }

    /// <summary>Whether tensors are on the engine's device.</summary>
    public bool OnDevice { get; init; }

    public required Tensor<float> Query { get; init; }

    /// <summary>Null for self-attention.</summary>
    public Tensor<float>? Key { get; init; }

    /// <summary>Null where it is the same as for keys.</summary>
    public Tensor<float>? Value { get; init; }

    public Causal Causal { get; init; }

    public Tensor<bool>? Mask { get; init; }

    public Tensor<float>? Bias { get; init; }

    public Tensor<bool>? Padding { get; init; }

    /// <summary>The same, added.</summary>
    public Tensor<float>? PaddingBias { get; init; }

    public int[] KeyLengths { get; init; } = [];

    /// <summary>Where ragged sequences start; empty where they are not ragged.</summary>
    public int[] Starts { get; init; } = [];

    /// <summary>The same for keys; empty where it is the same as for queries.</summary>
    public int[] KeyStarts { get; init; } = [];

    public Tensor<int>? QueryPositions { get; init; }

    public Tensor<int>? KeyPositions { get; init; }

    /// <summary>Whether attention weights are asked for.</summary>
    public bool HasWeights { get; init; }

    /// <summary>Whether they are the mean over heads.</summary>
    public bool AveragesWeights { get; init; }

    public bool HasLogSumExp { get; init; }

    /// <summary>Whether the run leaves out the batch, of one entry.</summary>
    public bool LeavesOutBatch { get; init; }

    /// <summary>Columns of the weights.</summary>
    public int WeightColumns => KeyLength + (Weights.ExtraKey is null ? 0 : 1) + (Config.AddZeroAttention ? 1 : 0);

    public bool IsRagged => Starts.Length > 0;

    public int Batch => IsRagged ? 1 : (int)Query.Lengths[0];

    /// <summary>Queries of a batch entry; all of ragged sequences.</summary>
    public int QueryLength => (int)Query.Lengths[^2];

    /// <summary>Keys of a batch entry; all of ragged sequences.</summary>
    public int KeyLength => (int)(Key ?? Query).Lengths[^2];

    public int HeadSize => Config.HeadSize ?? Config.EmbeddingSize / Config.Heads;

    public nint[] WeightLengths =>
        AveragesWeights ? [Batch, QueryLength, WeightColumns] : [Batch, Config.Heads, QueryLength, WeightColumns];

    public nint[] LogSumExpLengths => IsRagged ? [Config.Heads, QueryLength] : [Batch, Config.Heads, QueryLength];

    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{Name}, {Element}{(OnDevice ? " on the device" : "")}, {Config}, {Rotary}");
        text.Append(CultureInfo.InvariantCulture, $", query {Format(Query)}");
        text.Append(CultureInfo.InvariantCulture, $", key {Format(Key)}, value {Format(Value)}, {Causal}");
        Append(text, "mask", Mask);
        Append(text, "bias", Bias);
        Append(text, "padding", Padding);
        Append(text, "padding bias", PaddingBias);
        Append(text, "query positions", QueryPositions);
        Append(text, "key positions", KeyPositions);
        foreach ((string name, Tensor<float>? tensor) in new[]
        {
            ("extra key", Weights.ExtraKey), ("query norm", Weights.QueryNorm), ("key norm", Weights.KeyNorm), ("sinks", Weights.Sinks),
            ("slopes", Weights.AlibiSlopes), ("bias by distance", Weights.DistanceBias),
        })
        {
            Append(text, name, tensor);
        }

        text.Append(CultureInfo.InvariantCulture, $", key lengths [{string.Join(' ', KeyLengths)}], starts [{string.Join(' ', Starts)}]");
        text.Append(CultureInfo.InvariantCulture, $" [{string.Join(' ', KeyStarts)}]");
        text.Append(
            CultureInfo.InvariantCulture, $", weights {HasWeights} {AveragesWeights}, sums {HasLogSumExp}, no batch {LeavesOutBatch}");
        return text.ToString();
    }

    private static void Append<T>(StringBuilder text, string name, Tensor<T>? tensor)
    {
        if (tensor is not null)
            text.Append(CultureInfo.InvariantCulture, $", {name} {Format(tensor)}");
    }

    private static string Format<T>(Tensor<T>? tensor) => tensor is null ? "none" : $"[{string.Join(", ", tensor.Lengths.ToArray())}]";
}

/// <summary>The outputs of a call, batch-first.</summary>
internal sealed record LayerResult(Tensor<float> Output, Tensor<float>? Weights, Tensor<float>? LogSumExp);
