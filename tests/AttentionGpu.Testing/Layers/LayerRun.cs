using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Layers;

/// <summary>Runs a call of a layer on an engine, in the layer's element type and order of axes, into poisoned outputs.</summary>
internal static class LayerRun
{
    /// <summary>The largest difference from the definition that passes, relative to the largest expected value.</summary>
    public static double Tolerance(ElementForm element) => element switch
    {
        ElementForm.F32 => Close.Tolerance,
        ElementForm.F16 => 2e-3,
        _ => 1e-2,
    };

    /// <summary>Runs the call on an engine and compares everything that it writes with the definition.</summary>
    /// <param name="call">The call.</param>
    /// <param name="engine">The engine.</param>
    /// <param name="roundsWeights">
    /// Whether attention's weights are rounded to the element type too, as tensor cores need: outputs that are small differences may lose
    /// as much again.
    /// </param>
    public static void AssertAgrees(LayerCall call, AttentionEngine engine, bool roundsWeights = false)
    {
        LayerResult expected = LayerDefinition.Run(call);
        LayerResult actual = Run(call, engine);
        double tolerance = Tolerance(call.Element) * (roundsWeights && call.Element != ElementForm.F32 ? 3 : 1);
        Close.Assert(expected.Output, actual.Output, $"output of {call}", tolerance);
        if (call.HasWeights)
            Close.Assert(expected.Weights!, actual.Weights!, $"weights of {call}", tolerance);
        if (call.HasLogSumExp)
            Close.Assert(expected.LogSumExp!, actual.LogSumExp!, $"log-sum-exp of {call}", tolerance);
    }

    public static LayerResult Run(LayerCall call, AttentionEngine engine) => call.Element switch
    {
        ElementForm.F32 => Run(call, engine, value => value, value => value),
        ElementForm.F16 => Run(call, engine, value => (Half)value, value => (float)value),
        _ => Run(call, engine, value => (BFloat16)value, value => value),
    };

    private static LayerResult Run<T>(LayerCall call, AttentionEngine engine, Converter<float, T> store, Converter<T, float> load)
        where T : unmanaged
    {
        using var layer = new MultiHeadAttention<T>(engine, call.Config with { Rotary = call.Rotary?.ToEmbedding() }, call.Weights);
        using var tensors = new Tensors(call.OnDevice ? engine : null);
        Tensor<T> query = Stored(Entry(call, Ordered(call, call.Query))!, store);
        Tensor<T> output = Stored(Data.Poisoned(query.Lengths), store);
        Tensor<T>? weights = call.HasWeights ? Stored(Entry(call, Data.Poisoned(call.WeightLengths))!, store) : null;
        Tensor<float>? sums = call.HasLogSumExp ? Entry(call, Data.Poisoned(call.LogSumExpLengths)) : null;
        layer.Forward(
            new MultiHeadAttentionInputs<T>
            {
                Query = tensors.Input(query),
                Key = call.Key is null ? default : tensors.Input(Stored(Entry(call, Ordered(call, call.Key))!, store)),
                Value = call.Value is null ? default : tensors.Input(Stored(Entry(call, Ordered(call, call.Value))!, store)),
                Causal = call.Causal,
                Mask = new AttentionMask(tensors.Input(call.Mask), tensors.Input(call.Bias)),
                KeyPaddingMask = tensors.Input(Entry(call, call.Padding)),
                KeyPaddingBias = tensors.Input(Entry(call, call.PaddingBias)),
                KeyLengths = call.KeyLengths,
                CumulativeLengths = call.Starts,
                CumulativeKeyLengths = call.KeyStarts,
                QueryPositions = Numbers(Entry(call, call.QueryPositions)),
                KeyPositions = Numbers(Entry(call, call.KeyPositions)),
            },
            new MultiHeadAttentionOutputs<T>
            {
                Output = tensors.Output(output),
                Weights = tensors.Output(weights),
                AverageWeights = call.AveragesWeights,
                LogSumExp = tensors.Output(sums),
            });
        tensors.CopyBack();
        return new LayerResult(
            call.LeavesOutBatch ? Shaped(Loaded(output, load), call.Query.Lengths) : Ordered(call, Loaded(output, load)),
            weights is null ? null : Shaped(Loaded(weights, load), call.WeightLengths),
            sums is null ? null : Shaped(sums, call.LogSumExpLengths));
    }

    private static Tensor<T> Stored<T>(Tensor<float> tensor, Converter<float, T> store) =>
        Tensor.Create(Array.ConvertAll(Data.Flat(tensor), store), tensor.Lengths);

    private static Tensor<float> Loaded<T>(Tensor<T> tensor, Converter<T, float> load) =>
        Tensor.Create(Array.ConvertAll(Data.Flat(tensor), load), tensor.Lengths);

    // Without the axis of the batch, where the call leaves it out.
    private static Tensor<T>? Entry<T>(LayerCall call, Tensor<T>? tensor) =>
        tensor is null || !call.LeavesOutBatch ? tensor
        : tensor.Rank == 3 && tensor.Lengths[1] == 1 && !call.Config.BatchFirst ? Shaped(tensor, [tensor.Lengths[0], tensor.Lengths[2]])
        : Shaped(tensor, tensor.Lengths[1..]);

    private static Tensor<T> Shaped<T>(Tensor<T> tensor, ReadOnlySpan<nint> lengths) => Tensor.Create(Data.Flat(tensor), lengths);

    // Batch-first as the layer has it, and back.
    private static Tensor<float> Ordered(LayerCall call, Tensor<float> tensor) =>
        call.Config.BatchFirst || call.IsRagged ? tensor : Tensor.PermuteDimensions(tensor, [1, 0, 2]).ToDenseTensor();

    private static ReadOnlyTensorSpan<int> Numbers(Tensor<int>? numbers) => numbers is null ? default : numbers.AsReadOnlyTensorSpan();

    /// <summary>The tensors of a call: in host memory, or on the device of an engine.</summary>
    private sealed class Tensors(AttentionEngine? engine) : IDisposable
    {
        private readonly List<DeviceTensor> _owned = [];
        private Action _copyBack = () => { };

        public TensorInput<T> Input<T>(Tensor<T>? tensor)
            where T : unmanaged =>
            tensor is null ? default : engine is null ? tensor : Own(engine, tensor);

        public TensorOutput<T> Output<T>(Tensor<T>? tensor)
            where T : unmanaged
        {
            if (tensor is null || engine is null)
                return tensor;
            DeviceTensor<T> device = Own(engine, tensor);
            _copyBack += () => device.CopyTo(tensor.AsTensorSpan());
            return device;
        }

        public void CopyBack() => _copyBack();

        public void Dispose() => _owned.ForEach(tensor => tensor.Dispose());

        private DeviceTensor<T> Own<T>(AttentionEngine owner, Tensor<T> tensor)
            where T : unmanaged
        {
            DeviceTensor<T> device = owner.CreateTensor(tensor.AsReadOnlyTensorSpan());
            _owned.Add(device);
            return device;
        }
    }
}
