using System.Diagnostics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Cli.Files;
using AttentionGpu.Cli.Output;

namespace AttentionGpu.Cli.Commands;

/// <summary>Calls of a layer whose results wait to be written.</summary>
/// <param name="First">The time of the first call, kernels compiled.</param>
/// <param name="Time">The time of the last call.</param>
/// <param name="Cost">The cost of one.</param>
/// <param name="Write">Writes the results to a file.</param>
internal sealed record LayerRun(TimeSpan First, TimeSpan Time, LayerCost Cost, Action<string> Write)
{
    // A second call shows the speed without compilation; it is left out where the first took this long.
    private static readonly TimeSpan _longCall = TimeSpan.FromSeconds(5);

    /// <summary>Runs a layer in its element type, to which the inputs are rounded.</summary>
    /// <exception cref="ArgumentException">A shape does not fit the layer, or it has no positions and some are given.</exception>
    /// <exception cref="InvalidDataException">
    /// The element type does not have a number of the inputs, or their sizes are not those of the layer.
    /// </exception>
    public static LayerRun Of(MultiHeadAttention layer, RunInputs inputs, Causal causal, bool needWeights) => layer switch
    {
        MultiHeadAttention<float> single => Of(single, inputs, causal, needWeights),
        MultiHeadAttention<Half> half => Of(half, inputs, causal, needWeights),
        MultiHeadAttention<BFloat16> half => Of(half, inputs, causal, needWeights),
        _ => throw new NotSupportedException($"Layers of {layer.ElementType.Name} are not known to the command line."),
    };

    private static LayerRun Of<T>(MultiHeadAttention<T> layer, RunInputs inputs, Causal causal, bool needWeights)
        where T : unmanaged
    {
        if (inputs.PositionIds is not null && layer.Config.Rotary is null)
            throw new ArgumentException("--position-ids must be left out: the layer has no rotary embedding.");
        RequireAxis("--input", inputs.Input, "last", layer.Config.EmbeddingSize, "the layer's embedding size");
        if (inputs.Context is Tensor<float> context)
        {
            RequireAxis("--context", context, "first", inputs.Input.Lengths[0], "the batch of --input");
            RequireAxis("--context", context, "last", layer.Config.KeySize ?? layer.Config.EmbeddingSize, "the layer's key size");
        }

        Tensor<T> query = ElementConversion.FromSingle<T>(inputs.Input, "--input");
        Tensor<T>? key = inputs.Context is null ? null : ElementConversion.FromSingle<T>(inputs.Context, "--context");
        Tensor<T> output = Tensor.CreateFromShape<T>(query.Lengths);
        Tensor<T>? weights = needWeights
            ? Tensor.CreateFromShape<T>(
                [query.Lengths[0], layer.Config.Heads, query.Lengths[1], (key ?? query).Lengths[1] + layer.ExtraKeys])
            : null;
        int[] starts = inputs.CumulativeLengths();
        (TimeSpan first, TimeSpan time) = Screen.Status($"attention on {layer.Engine.Device.Name}", report =>
        {
            TimeSpan cold = Measure(Forward);
            if (cold > _longCall)
                return (cold, cold);
            report("a second call, without compilation");
            return (cold, Measure(Forward));
        });

        var tensors = new Dictionary<string, Tensor<T>> { ["y"] = output };
        if (weights is not null)
            tensors["weights"] = weights;
        var cost = LayerCost.Of(layer.Config, inputs.Sequences, causal, needWeights, Unsafe.SizeOf<T>());
        return new LayerRun(first, time, cost, path => TensorFile.Write(path, tensors));

        void Forward() => layer.Forward(
            new MultiHeadAttentionInputs<T>
            {
                Query = query,
                Key = key,
                Causal = causal,
                KeyPaddingMask = inputs.KeyPadding,
                QueryPositions = inputs.PositionIds is null ? default : inputs.PositionIds.AsReadOnlyTensorSpan(),
                CumulativeLengths = starts,
            },
            new MultiHeadAttentionOutputs<T> { Output = output, Weights = weights });
    }

    // The engine would name its own arguments.
    private static void RequireAxis(string option, Tensor<float> tensor, string axis, nint length, string meaning)
    {
        if (tensor.Lengths[axis == "first" ? 0 : ^1] != length)
        {
            throw new InvalidDataException(
                $"{option} has the shape [{string.Join(", ", tensor.Lengths.ToArray())}]; its {axis} axis must be {length}, {meaning}.");
        }
    }

    private static TimeSpan Measure(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start);
    }
}
