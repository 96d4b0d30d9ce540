using System.Numerics.Tensors;
using AttentionGpu.Bench.Peers;

namespace AttentionGpu.Bench.Services;

/// <summary>
/// Texts that sessions of the demo layer write, and the outputs of all their tokens. Texts begin alike in groups, so that a service that
/// keeps prefixes has some of use.
/// </summary>
internal sealed class SessionStreams
{
    public const int Tokens = 384;

    private const int Size = GoodClients.Embedding;
    private const int Streams = 48;
    private const int Groups = 12;
    private const int Alike = 64;

    private readonly (float[] Input, float[] Output)[] _streams;

    public SessionStreams()
    {
        using var engine = new AttentionEngine("simd");
        var config = new MultiHeadAttentionConfig { EmbeddingSize = Size, Heads = 8 };
        using var layer = new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(config, seed: 1));
        _streams = [.. Enumerable.Range(0, Streams).Select(stream =>
        {
            float[] input = Inputs.Random(Tokens * Size, 1000 + stream);
            Inputs.Random(Alike * Size, stream % Groups).CopyTo(input, 0);
            var output = new float[input.Length];
            layer.Forward(
                new ReadOnlyTensorSpan<float>(input, [1, Tokens, Size]), new TensorSpan<float>(output, [1, Tokens, Size]), Causal.TopLeft);
            return (input, output);
        })];
    }

    /// <summary>Tokens of a text as the body of a step.</summary>
    public byte[] Body(int stream, int first, int count) => GoodClients.Write(
        Tensor.Create(_streams[stream % Streams].Input[(first * Size)..((first + count) * Size)], [count, Size]));

    /// <summary>Whether outputs are those of the text: to 2e-5 of the largest, in the mean.</summary>
    public bool IsRight(int stream, int first, ReadOnlySpan<float> outputs)
    {
        ReadOnlySpan<float> expected = _streams[stream % Streams].Output.AsSpan(first * Size, outputs.Length);
        float difference = TensorPrimitives.Distance(outputs, expected) / MathF.Sqrt(outputs.Length);

        // What is not a number is not right.
        return difference <= 2e-5f * MathF.Abs(TensorPrimitives.MaxMagnitude(expected));
    }
}
