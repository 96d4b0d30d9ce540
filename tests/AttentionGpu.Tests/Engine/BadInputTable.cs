using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>The table of bad inputs: attention, linear layers, layers and tensors. Those of files are in their own tests.</summary>
internal static class BadInputTable
{
    private static readonly nint[] _query = [2, 4, 5, 8];
    private static readonly nint[] _key = [2, 2, 7, 8];
    private static readonly nint[] _value = [2, 2, 7, 6];
    private static readonly nint[] _output = [2, 4, 5, 6];
    private static readonly MultiHeadAttentionConfig _config = new() { EmbeddingSize = 12, Heads = 3 };

    public static IEnumerable<BadInput> All =>
    [
        Attention("query of rank 3", ["query", "[2, 5, 8]"], query: [2, 5, 8]),
        Attention("query of rank 0", ["query", "[]"], query: []),
        Attention("query without heads", ["query", "head"], query: [2, 0, 5, 8]),
        Attention("query of head size 0", ["query", "head size"], query: [2, 4, 5, 0]),
        Attention("key of rank 2", ["key", "[7, 8]"], key: [7, 8]),
        Attention("key of another batch", ["key", "batch"], key: [3, 2, 7, 8]),
        Attention("key of another head size", ["key", "head size"], key: [2, 2, 7, 9]),
        Attention("key heads that do not divide", ["key", "divides"], key: [2, 3, 7, 8]),
        Attention("key without heads", ["key", "divides"], key: [2, 0, 7, 8]),
        Attention("more key heads than heads", ["key", "divides"], key: [2, 8, 7, 8]),
        Attention("value of rank 5", ["value"], value: [1, 2, 2, 7, 6]),
        Attention("value of another batch", ["value", "batch"], value: [1, 2, 7, 6]),
        Attention("value of other heads", ["value", "heads"], value: [2, 4, 7, 6]),
        Attention("value of another length", ["value", "length"], value: [2, 2, 8, 6]),
        Attention("value of size 0", ["value", "size"], value: [2, 2, 7, 0]),
        Attention("output of another size", ["output", "[2, 4, 5, 6]", "[2, 4, 5, 8]"], output: [2, 4, 5, 8]),
        Attention("output of another length", ["output"], output: [2, 4, 6, 6]),
        Attention("output of rank 3", ["output"], output: [8, 5, 6]),
        Attention("scale NaN", ["Scale", "finite"], options: new() { Scale = float.NaN }, type: typeof(ArgumentOutOfRangeException)),
        Attention("scale infinite", ["Scale", "finite"], options: new() { Scale = float.PositiveInfinity }, type: typeof(ArgumentOutOfRangeException)),
        Attention("causal without a name", ["Causal"], options: new() { Causal = (Causal)7 }, type: typeof(ArgumentOutOfRangeException)),
        Attention("mask of another key length", ["mask", "[5, 8]", "[2, 4, 5, 7]"], mask: [5, 8]),
        Attention("mask of another query length", ["mask"], mask: [4, 7]),
        Attention("mask of key/value heads", ["mask"], mask: [2, 2, 5, 7]),
        Attention("mask of rank 5", ["mask"], mask: [1, 2, 4, 5, 7]),
        Attention("weights of another length", ["weights", "[2, 4, 5, 7]"], weights: [2, 4, 5, 8]),
        Attention("weights averaged but of rank 4", ["weights", "[2, 5, 7]"], weights: [2, 4, 5, 7], average: true),
        Attention("weights per head but of rank 3", ["weights", "[2, 4, 5, 7]"], weights: [2, 5, 7]),
        new("output that is the query", typeof(ArgumentException), ["output", "overlap", "query"], (engine, outputs) =>
        {
            TensorSpan<float> both = outputs.Make(1, 1, 4, 8);
            engine.ScaledDotProductAttention<float>(both, Input(1, 1, 4, 8), Input(1, 1, 4, 8), both);
        }),
        new("output that overlaps the value by one element", typeof(ArgumentException), ["output", "overlap", "value"], (engine, outputs) =>
        {
            TensorSpan<float> memory = outputs.Make(63);
            Span<float> flat = memory.GetSpan([0], 63);
            engine.ScaledDotProductAttention<float>(
                Input(1, 1, 4, 8), Input(1, 1, 4, 8), new ReadOnlyTensorSpan<float>(flat[..32], [1, 1, 4, 8]),
                new TensorSpan<float>(flat[31..], [1, 1, 4, 8]));
        }),
        new("weights that are the output", typeof(ArgumentException), ["weights", "overlap", "output"], (engine, outputs) =>
        {
            TensorSpan<float> both = outputs.Make(1, 1, 4, 4);
            engine.ScaledDotProductAttentionWithWeights<float>(Input(1, 1, 4, 4), Input(1, 1, 4, 4), Input(1, 1, 4, 4), both, both);
        }),

        Linear("linear weight of rank 1", ["weight"], weight: [6]),
        Linear("linear weight of size 0", ["weight"], weight: [0, 4]),
        Linear("linear input of rank 0", ["input"], input: []),
        Linear("linear input of another size", ["input", "[3, 5]"], input: [3, 5]),
        Linear("linear bias of another size", ["bias"], bias: [5]),
        Linear("linear output of another size", ["output", "[3, 6]"], output: [3, 5]),
        Linear("linear output of another row count", ["output"], output: [4, 6]),

        Config("embedding size 0", ["EmbeddingSize"], new() { EmbeddingSize = 0, Heads = 1 }),
        Config("no heads", ["Heads"], new() { EmbeddingSize = 12, Heads = 0 }),
        Config("negative heads", ["Heads", "-3"], new() { EmbeddingSize = 12, Heads = -3 }),
        Config("heads that do not divide the embedding", ["Heads (5)", "EmbeddingSize (12)"], new() { EmbeddingSize = 12, Heads = 5 }),
        Config("key/value heads that do not divide", ["KeyValueHeads (2)", "Heads (3)"], new() { EmbeddingSize = 12, Heads = 3, KeyValueHeads = 2 }),
        Config("no key/value heads", ["KeyValueHeads"], new() { EmbeddingSize = 12, Heads = 3, KeyValueHeads = 0 }),
        Config("head size 0", ["HeadSize"], new() { EmbeddingSize = 12, Heads = 3, HeadSize = 0 }),
        Config("key size 0", ["KeySize"], new() { EmbeddingSize = 12, Heads = 3, KeySize = 0 }),
        Config("value size -1", ["ValueSize"], new() { EmbeddingSize = 12, Heads = 3, ValueSize = -1 }),
        Config("layer scale NaN", ["Scale"], new() { EmbeddingSize = 12, Heads = 3, Scale = float.NaN }),
        Weights("query weight of another shape", ["Query", "[12, 12]"], weights => With(weights, query: Data.Random(new Random(1), 11, 12))),
        Weights("key weight of another shape", ["Key"], weights => With(weights, key: Data.Random(new Random(1), 12, 13))),
        Weights("output bias of another size", ["OutputBias"], weights => With(weights, outputBias: Data.Random(new Random(1), 11))),

        Layer("layer input of rank 1", ["query", "[batch, length, embedding size]"], query: [12]),
        Layer("layer input without a batch beside keys with one", ["key", "[length, key size]", "[2, 7, 12]"], query: [5, 12]),
        Layer("layer input of another size", ["query", "embedding size"], query: [2, 5, 11]),
        Layer("layer key of another batch", ["key", "batch"], key: [1, 7, 12]),
        Layer("layer value of another length", ["value", "length"], value: [2, 8, 12]),
        Layer("layer output of another shape", ["output", "[2, 5, 12]"], output: [2, 6, 12]),
        Layer("layer causal without a name", ["causal"], causal: (Causal)9),
        Layer("layer padding of another length", ["keyPaddingMask", "[2, 7]"], padding: [2, 6]),
        Layer("layer padding of rank 1", ["keyPaddingMask"], padding: [7]),
        Layer("layer mask that does not broadcast", ["mask"], mask: [4, 5]),

        new("disposed engine", typeof(ObjectDisposedException), ["AttentionEngine"], (engine, outputs) =>
        {
            var other = new AttentionEngine(engine.Device.Name);
            other.Dispose();
            other.Dispose();
            other.Linear<float>(Input(3, 4), Input(6, 4), outputs.Make(3, 6));
        }),
        new("disposed layer", typeof(ObjectDisposedException), ["MultiHeadAttention"], (engine, outputs) =>
        {
            var layer = new MultiHeadAttention<float>(engine, _config, MultiHeadAttentionWeights.Random(_config, 1));
            layer.Dispose();
            layer.Dispose();
            layer.Forward(Input(2, 5, 12), outputs.Make(2, 5, 12));
        }),
        new("layer of a disposed engine", typeof(ObjectDisposedException), ["AttentionEngine"], (engine, outputs) =>
        {
            var other = new AttentionEngine(engine.Device.Name);
            using var layer = new MultiHeadAttention<float>(other, _config, MultiHeadAttentionWeights.Random(_config, 1));
            other.Dispose();
            layer.Forward(Input(2, 5, 12), outputs.Make(2, 5, 12));
        }),
        new("disposed device tensor", typeof(ObjectDisposedException), ["DeviceTensor"], (engine, _) =>
        {
            DeviceTensor<float> input = engine.CreateTensor<float>(3, 4);
            using DeviceTensor<float> weight = engine.CreateTensor<float>(6, 4);
            using DeviceTensor<float> output = engine.CreateTensor<float>(3, 6);
            input.Dispose();
            engine.Linear<float>(input, weight, output);
        }),
        new("device tensor of another engine", typeof(ArgumentException), ["input", "another engine"], (engine, _) =>
        {
            using var other = new AttentionEngine(engine.Device.Name);
            using DeviceTensor<float> input = other.CreateTensor<float>(3, 4);
            using DeviceTensor<float> weight = engine.CreateTensor<float>(6, 4);
            using DeviceTensor<float> output = engine.CreateTensor<float>(3, 6);
            engine.Linear<float>(input, weight, output);
        }),
        new("device output that is an input", typeof(ArgumentException), ["output", "overlap", "input"], (engine, _) =>
        {
            using DeviceTensor<float> square = engine.CreateTensor<float>(4, 4);
            using DeviceTensor<float> weight = engine.CreateTensor<float>(4, 4);
            engine.Linear<float>(square, weight, square);
        }),
        new("device tensor null", typeof(ArgumentException), ["weight", "[]"], (engine, _) =>
        {
            using DeviceTensor<float> square = engine.CreateTensor<float>(4, 4);
            engine.Linear<float>(square, (DeviceTensor<float>?)null, square);
        }),
        new("device tensor of a negative length", typeof(ArgumentException), ["lengths", "[3, -1]"], (engine, _) => engine.CreateTensor<float>(3, -1)),
        new("device tensor of doubles", typeof(NotSupportedException), ["System.Double"], (engine, _) => engine.CreateTensor<double>(3)),
        new("device copy of another shape", typeof(ArgumentException), ["source", "[3, 5]", "[3, 4]"], (engine, _) =>
        {
            using DeviceTensor<float> tensor = engine.CreateTensor<float>(3, 4);
            tensor.CopyFrom(Input(3, 5));
        }),
        new("missing device", typeof(ArgumentException), ["cuda:99", "ilgpu-cpu"], (_, _) => new AttentionEngine("cuda:99").Dispose()),
        new("empty device name", typeof(ArgumentException), ["device"], (_, _) => new AttentionEngine("").Dispose()),
        new("layer without an engine", typeof(ArgumentNullException), ["engine"], (_, _) =>
            new MultiHeadAttention<float>(null!, _config, MultiHeadAttentionWeights.Random(_config, 1)).Dispose()),
        new("layer without weights", typeof(ArgumentNullException), ["weights"], (engine, _) =>
            new MultiHeadAttention<float>(engine, _config, null!).Dispose()),
    ];

    private static ReadOnlyTensorSpan<float> Input(params ReadOnlySpan<nint> lengths) =>
        Data.Random(new Random(1), lengths).AsReadOnlyTensorSpan();

    private static BadInput Attention(
        string name, string[] mentions, nint[]? query = null, nint[]? key = null, nint[]? value = null, nint[]? output = null,
        nint[]? mask = null, nint[]? weights = null, bool average = false, AttentionOptions? options = null, Type? type = null) =>
        new(name, type ?? typeof(ArgumentException), mentions, (engine, outputs) =>
        {
            TensorSpan<float> target = outputs.Make(output ?? _output);
            AttentionMask attentionMask = mask is null ? default : new AttentionMask(MaskOf(mask));
            if (weights is null)
            {
                engine.ScaledDotProductAttention<float>(
                    InputOf(query ?? _query), Input(key ?? _key), Input(value ?? _value), target, options, attentionMask);
            }
            else
            {
                engine.ScaledDotProductAttentionWithWeights<float>(
                    Input(query ?? _query), Input(key ?? _key), Input(value ?? _value), target, outputs.Make(weights), average, options,
                    attentionMask);
            }
        });

    // No lengths stand for a tensor that was never set.
    private static ReadOnlyTensorSpan<float> InputOf(nint[] lengths) => lengths.Length == 0 ? default : Input(lengths);

    private static ReadOnlyTensorSpan<bool> MaskOf(nint[] lengths) =>
        lengths.Length == 0 ? default : Data.RandomBoolean(new Random(1), 0.5, lengths).AsReadOnlyTensorSpan();

    private static BadInput Linear(
        string name, string[] mentions, nint[]? input = null, nint[]? weight = null, nint[]? bias = null, nint[]? output = null) =>
        new(name, typeof(ArgumentException), mentions, (engine, outputs) => engine.Linear<float>(
            InputOf(input ?? [3, 4]), Input(weight ?? [6, 4]), outputs.Make(output ?? [3, 6]), Input(bias ?? [6])));

    private static BadInput Config(string name, string[] mentions, MultiHeadAttentionConfig config) =>
        new(name, typeof(ArgumentException), mentions, (engine, _) =>
            new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(_config, 1)).Dispose());

    private static BadInput Weights(
        string name, string[] mentions, Func<MultiHeadAttentionWeights, MultiHeadAttentionWeights> change) =>
        new(name, typeof(ArgumentException), mentions, (engine, _) =>
            new MultiHeadAttention<float>(engine, _config, change(MultiHeadAttentionWeights.Random(_config, 1))).Dispose());

    private static MultiHeadAttentionWeights With(
        MultiHeadAttentionWeights weights, Tensor<float>? query = null, Tensor<float>? key = null, Tensor<float>? outputBias = null) => new()
        {
            Query = query ?? weights.Query,
            Key = key ?? weights.Key,
            Value = weights.Value,
            Output = weights.Output,
            OutputBias = outputBias ?? weights.OutputBias,
        };

    private static BadInput Layer(
        string name, string[] mentions, nint[]? query = null, nint[]? key = null, nint[]? value = null, nint[]? output = null,
        nint[]? mask = null, nint[]? padding = null, Causal causal = Causal.None) =>
        new(name, typeof(ArgumentException), mentions, (engine, outputs) =>
        {
            using var layer = new MultiHeadAttention<float>(engine, _config, MultiHeadAttentionWeights.Random(_config, 1));
            layer.Forward(
                Input(query ?? [2, 5, 12]), Input(key ?? [2, 7, 12]), Input(value ?? [2, 7, 12]), outputs.Make(output ?? [2, 5, 12]), causal,
                mask is null ? default : new AttentionMask(MaskOf(mask)), MaskOf(padding ?? [2, 7]));
        });
}
