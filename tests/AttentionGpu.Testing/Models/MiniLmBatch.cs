using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.Tokenizers;

namespace AttentionGpu.Tests.Models;

/// <summary>Sentences as tokens, padded to the longest.</summary>
internal sealed class MiniLmBatch
{
    private readonly int[][] _tokens;

    public MiniLmBatch(MiniLmFolder folder, params IEnumerable<string> sentences)
    {
        var tokenizer = BertTokenizer.Create(Path.Combine(folder.Path, "vocab.txt"));
        _tokens = [.. sentences.Select(sentence => tokenizer.EncodeToIds(sentence).ToArray())];
        Lengths = [.. _tokens.Select(tokens => tokens.Length)];
        Longest = Lengths.Max();
        Starts = [0, .. Lengths.Select((_, index) => Lengths.Take(index + 1).Sum())];
    }

    /// <summary>Tokens of each sentence.</summary>
    public int[] Lengths { get; }

    public int Longest { get; }

    /// <summary>Where each sentence starts without padding, and the number of tokens.</summary>
    public int[] Starts { get; }

    /// <summary>[sentences, longest]: whether a token is padding.</summary>
    public bool[] Padding => [.. Lengths.SelectMany(length => Enumerable.Range(0, Longest).Select(position => position >= length))];

    /// <summary>What the model reads.</summary>
    public (string Name, OrtValue Value)[] Inputs
    {
        get
        {
            long[] ids =
                [.. _tokens.SelectMany(tokens => tokens.Select(id => (long)id).Concat(Enumerable.Repeat(0L, Longest - tokens.Length)))];
            return
            [
                ("input_ids", Value(ids)),
                ("attention_mask", Value([.. Padding.Select(isPadding => isPadding ? 0L : 1L)])),
                ("token_type_ids", Value(new long[ids.Length])),
            ];
        }
    }

    /// <summary>The rows of tokens that are no padding, sentence after sentence.</summary>
    public float[] Ragged(float[] padded) =>
    [
        .. padded.Chunk(padded.Length / (Lengths.Length * Longest)).Where((_, row) => row % Longest < Lengths[row / Longest])
            .SelectMany(row => row),
    ];

    private OrtValue Value(long[] values) => OrtValue.CreateTensorValueFromMemory(values, [Lengths.Length, Longest]);
}
