using System.Numerics.Tensors;

namespace AttentionGpu.Tests.Operators;

/// <summary>One tensor of a call.</summary>
internal sealed record TensorSlot(string Name, nint[] Lengths, int ElementBytes = sizeof(float))
{
    public int Bytes => checked((int)Lengths.Aggregate((nint)ElementBytes, (product, length) => product * length));
}

/// <summary>Where the tensors of a call come from, by name: one block of host memory, or a device.</summary>
internal abstract class TensorSource
{
    public abstract TensorInput<T> Input<T>(string name)
        where T : unmanaged;

    public abstract TensorOutput<T> Output<T>(string name)
        where T : unmanaged;

    /// <summary>Document numbers, which are in host memory always.</summary>
    public abstract ReadOnlyTensorSpan<int> Numbers(string name);
}

/// <summary>
/// Calls with every tensor of elements that they can have at once; positions, key lengths and prefixes are left out. The number of bytes of
/// each tensor is a multiple of 4. In errors the additive mask ("bias") has the name of the boolean one.
/// </summary>
internal sealed class FullCalls
{
    private const int Bytes = 1;

    private static readonly MultiHeadAttentionConfig _config = new() { EmbeddingSize = 12, Heads = 3 };

    private FullCalls(TensorSlot[] inputs, TensorSlot[] outputs, Action<AttentionEngine, TensorSource> run)
    {
        Inputs = inputs;
        Outputs = outputs;
        Run = run;
    }

    public static IReadOnlyDictionary<string, FullCalls> All { get; } = new Dictionary<string, FullCalls>
    {
        ["attention"] = new(
            [
                new("query", [1, 2, 4, 8]), new("key", [1, 1, 5, 8]), new("value", [1, 1, 5, 6]), new("pastKey", [1, 1, 3, 8]),
                new("pastValue", [1, 1, 3, 6]), new("mask", [4, 8], Bytes), new("bias", [4, 8]), new("queryDocuments", [1, 4]),
                new("keyDocuments", [1, 8]), new("keyPaddingMask", [1, 8], Bytes), new("keyPaddingBias", [1, 8]),
                new("extraKey", [1, 8]), new("extraValue", [1, 6]), new("alibiSlopes", [2]), new("distanceBias", [2, 5]), new("sinks", [2]),
                new("queryNorm", [8]), new("keyNorm", [8]),
                new("rotaryCosine", [9, 4]), new("rotarySine", [9, 4]),
            ],
            [
                new("output", [1, 2, 4, 6]), new("scores", [1, 2, 4, 9]), new("logSumExp", [1, 2, 4]), new("presentKey", [1, 1, 8, 8]),
                new("presentValue", [1, 1, 8, 6]),
            ],
            Attend),
        ["attention with weights"] = new(
            [
                new("query", [1, 1, 4, 8]), new("key", [1, 1, 6, 8]), new("value", [1, 1, 6, 4]), new("mask", [4, 6], Bytes),
                new("bias", [4, 6]),
            ],
            [new("output", [1, 1, 4, 4]), new("weights", [1, 1, 4, 6])],
            (engine, tensors) => engine.ScaledDotProductAttentionWithWeights<float>(
                tensors.Input<float>("query"), tensors.Input<float>("key"), tensors.Input<float>("value"), tensors.Output<float>("output"),
                tensors.Output<float>("weights"), mask: new AttentionMask(tensors.Input<bool>("mask"), tensors.Input<float>("bias")))),
        ["linear"] = new(
            [new("input", [3, 4]), new("weight", [6, 4]), new("bias", [6])],
            [new("output", [3, 6])],
            (engine, tensors) => engine.Linear<float>(
                tensors.Input<float>("input"), tensors.Input<float>("weight"), tensors.Output<float>("output"),
                tensors.Input<float>("bias"))),
        ["layer"] = new(
            [
                new("query", [2, 4, 12]), new("key", [2, 6, 12]), new("value", [2, 6, 12]), new("mask", [4, 6], Bytes),
                new("bias", [2, 1, 4, 6]), new("keyPaddingMask", [2, 6], Bytes), new("keyPaddingBias", [2, 6]),
            ],
            [new("output", [2, 4, 12]), new("weights", [2, 4, 6]), new("logSumExp", [2, 3, 4])],
            Forward),
    };

    public IReadOnlyList<TensorSlot> Inputs { get; }

    public IReadOnlyList<TensorSlot> Outputs { get; }

    public IEnumerable<TensorSlot> Slots => Inputs.Concat(Outputs);

    public Action<AttentionEngine, TensorSource> Run { get; }

    private static void Attend(AttentionEngine engine, TensorSource tensors) => engine.ScaledDotProductAttention(
        new AttentionInputs<float>
        {
            Query = tensors.Input<float>("query"),
            Key = tensors.Input<float>("key"),
            Value = tensors.Input<float>("value"),
            PastKey = tensors.Input<float>("pastKey"),
            PastValue = tensors.Input<float>("pastValue"),
            Mask = new AttentionMask(tensors.Input<bool>("mask"), tensors.Input<float>("bias")),
            QueryDocuments = tensors.Numbers("queryDocuments"),
            KeyDocuments = tensors.Numbers("keyDocuments"),
            KeyPaddingMask = tensors.Input<bool>("keyPaddingMask"),
            KeyPaddingBias = tensors.Input<float>("keyPaddingBias"),
            ExtraKey = tensors.Input<float>("extraKey"),
            ExtraValue = tensors.Input<float>("extraValue"),
            AlibiSlopes = tensors.Input<float>("alibiSlopes"),
            DistanceBias = tensors.Input<float>("distanceBias"),
            Sinks = tensors.Input<float>("sinks"),
            QueryNorm = tensors.Input<float>("queryNorm"),
            KeyNorm = tensors.Input<float>("keyNorm"),
            RotaryCosine = tensors.Input<float>("rotaryCosine"),
            RotarySine = tensors.Input<float>("rotarySine"),
        },
        new AttentionOutputs<float>
        {
            Output = tensors.Output<float>("output"),
            Scores = tensors.Output<float>("scores"),
            ScoreStage = ScoreStage.Weights,
            LogSumExp = tensors.Output<float>("logSumExp"),
            PresentKey = tensors.Output<float>("presentKey"),
            PresentValue = tensors.Output<float>("presentValue"),
        });

    private static void Forward(AttentionEngine engine, TensorSource tensors)
    {
        using var layer = new MultiHeadAttention<float>(engine, _config, MultiHeadAttentionWeights.Random(_config, 1));
        layer.Forward(
            new MultiHeadAttentionInputs<float>
            {
                Query = tensors.Input<float>("query"),
                Key = tensors.Input<float>("key"),
                Value = tensors.Input<float>("value"),
                Mask = new AttentionMask(tensors.Input<bool>("mask"), tensors.Input<float>("bias")),
                KeyPaddingMask = tensors.Input<bool>("keyPaddingMask"),
                KeyPaddingBias = tensors.Input<float>("keyPaddingBias"),
            },
            new MultiHeadAttentionOutputs<float>
            {
                Output = tensors.Output<float>("output"),
                Weights = tensors.Output<float>("weights"),
                AverageWeights = true,
                LogSumExp = tensors.Output<float>("logSumExp"),
            });
    }
}
