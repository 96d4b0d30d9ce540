using System.Numerics.Tensors;

namespace AttentionGpu.Bench.Peers;

/// <summary>A variant of attention beside the plain one: what it should cost, and calls of both.</summary>
/// <param name="Name">The variant.</param>
/// <param name="Predicted">Its time as a multiple of the plain one's, predicted.</param>
/// <param name="Plain">A call without it.</param>
/// <param name="Variant">A call with it.</param>
internal sealed record VariantCost(string Name, double Predicted, Action Plain, Action Variant);

/// <summary>What variants cost against plain attention of the same sizes.</summary>
internal sealed class VariantCosts(AttentionEngine engine)
{
    private const int Heads = 8;
    private const int Length = 2048;
    private const int Size = 64;
    private const int Documents = 4;

    // The window's problem: long enough that most blocks of keys are outside.
    private const int WindowHeads = 2;
    private const int WindowLength = 16_384;
    private const int Window = 1024;
    private const int Reach = 128;

    private delegate AttentionInputs<float> Change(AttentionInputs<float> inputs);

    /// <summary>All of them.</summary>
    /// <remarks>
    /// Predicted from operations: a vector of scores costs 64 cycles of products and 6 of its exponential. Soft capping is an exponential,
    /// 14 operations and a division more; ALiBi 4 operations and two passes over L1; a bias by distance 1 operation and three passes;
    /// converted keys and values half an operation an element for four multiply-adds. What is hidden in whole blocks costs its share.
    /// </remarks>
    public IEnumerable<VariantCost> All
    {
        get
        {
            Tensor<float> query = Random(1);
            Tensor<float> key = Random(2);
            Tensor<float> value = Random(3);
            Tensor<float> output = Tensor.CreateFromShape<float>([1, Heads, Length, Size]);
            AttentionInputs<float> Inputs() => new() { Query = query, Key = key, Value = value };
            void Run(Change? change, AttentionOptions? options = null, Tensor<float>? logSumExp = null) =>
                engine.ScaledDotProductAttention<float>(
                change is null ? Inputs() : change(Inputs()), new AttentionOutputs<float> { Output = output, LogSumExp = logSumExp }, options);
            VariantCost Cost(string name, double predicted, Change? change, AttentionOptions? options = null, Tensor<float>? logSumExp = null) =>
                new(name, predicted, () => Run(null), () => Run(change, options, logSumExp));

            Tensor<float> slopes = Tensor.Create(Enumerable.Range(1, Heads).Select(head => MathF.Pow(2f, -head)).ToArray(), [Heads]);
            Tensor<float> distances = Tensor.Create(Peers.Inputs.Random(Heads * (2 * Reach + 1), 9), [Heads, 2 * Reach + 1]);
            Tensor<int> documents = Tensor.Create(Enumerable.Range(0, Length).Select(i => i / (Length / Documents)).ToArray(), [1, Length]);
            Tensor<float> table = Tensor.Create(Peers.Inputs.Random(Length * Size / 2, 6), [Length, Size / 2]);
            Tensor<float> norm = Tensor.Create(Peers.Inputs.Random(Size, 7), [Size]);
            int[] half = [Length / 2];
            yield return Sixteen("float16", 1.05, value => (Half)value, query, key, value, Run);
            yield return Sixteen("bfloat16", 1.05, value => (BFloat16)value, query, key, value, Run);
            yield return Cost("softcap", 1.25, null, new() { Softcap = 30f });
            yield return Cost("ALiBi", 1.07, inputs => inputs with { AlibiSlopes = slopes });
            yield return Cost("bias by distance", 1.06, inputs => inputs with { DistanceBias = distances });
            yield return Cost("sinks", 1.0, inputs => inputs with { Sinks = slopes });
            yield return Cost("log-sum-exp", 1.0, null, null, Tensor.CreateFromShape<float>([1, Heads, Length]));
            yield return Cost("norm and rotary embedding", 1.03, inputs => inputs with { QueryNorm = norm, KeyNorm = norm, RotaryCosine = table, RotarySine = table });
            yield return Cost("half of the keys by key lengths", 0.5, inputs => inputs with { KeyLengths = half });
            yield return Cost("four documents", 1.0 / Documents, inputs => inputs with { QueryDocuments = documents.AsReadOnlyTensorSpan() });
            yield return Cost("causal", 0.5 + 0.5 / Length, null, new() { Causal = Causal.TopLeft });
            yield return WindowOfCausal();
        }
    }

    private VariantCost WindowOfCausal()
    {
        nint[] lengths = [1, WindowHeads, WindowLength, Size];
        float[] rows = Peers.Inputs.Random((long)WindowHeads * WindowLength * Size, 8);
        Tensor<float> tensor = Tensor.Create(rows, lengths);
        Tensor<float> output = Tensor.CreateFromShape<float>(lengths);
        double pairs = 0.5 * WindowLength * (WindowLength + 1.0);
        double visible = (double)WindowLength * Window - 0.5 * Window * (Window - 1.0);
        void Run(AttentionWindow? window) => engine.ScaledDotProductAttention<float>(
            tensor, tensor, tensor, output, new AttentionOptions { Causal = Causal.TopLeft, Window = window });
        return new VariantCost(
            $"window of {Window} at length {WindowLength}, of causal", visible / pairs, () => Run(null), () => Run(new AttentionWindow { Left = Window - 1 }));
    }

    private VariantCost Sixteen<T>(
        string name, double predicted, Converter<float, T> store, Tensor<float> query, Tensor<float> key, Tensor<float> value,
        Action<Change?, AttentionOptions?, Tensor<float>?> plain)
        where T : unmanaged
    {
        Tensor<T> Stored(Tensor<float> tensor)
        {
            var values = new float[tensor.FlattenedLength];
            tensor.FlattenTo(values);
            return Tensor.Create(Array.ConvertAll(values, store), tensor.Lengths);
        }

        (Tensor<T> q, Tensor<T> k, Tensor<T> v) = (Stored(query), Stored(key), Stored(value));
        Tensor<T> output = Tensor.CreateFromShape<T>(query.Lengths);
        return new VariantCost(name, predicted, () => plain(null, null, null), () => engine.ScaledDotProductAttention(
            new AttentionInputs<T> { Query = q, Key = k, Value = v }, new AttentionOutputs<T> { Output = output }));
    }

    private static Tensor<float> Random(int seed) =>
        Tensor.Create(Peers.Inputs.Random((long)Heads * Length * Size, seed), [1, Heads, Length, Size]);
}
