using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>
/// Layers that share a cache, run over sequences in random chunks and single steps, with forks and truncations between, against the same
/// layers over whole sequences without a cache.
/// </summary>
internal sealed class CachedRun : IDisposable
{
    public const int Sequences = 3;

    private readonly MultiHeadAttention<float>[] _layers;
    private readonly Random _random;
    private readonly KeyValueCache _cache;
    private readonly Tensor<float>[] _inputs;
    private readonly KeyValueSequence[] _sequences;

    // By layer and sequence.
    private readonly float[][][] _outputs;
    private readonly int _size;

    private CachedRun(MultiHeadAttention<float>[] layers, KeyValueCacheOptions options, Random random, int longest)
    {
        _layers = layers;
        _random = random;
        _size = layers[0].Config.EmbeddingSize;
        _inputs = [.. Enumerable.Range(0, Sequences).Select(_ => Data.Random(random, 1, random.Next(1, longest + 1), _size))];
        _outputs = [.. layers.Select(_ => _inputs.Select(input => Data.Flat(Data.Poisoned(input.Lengths))).ToArray())];
        _cache = layers[0].Engine.CreateCache(options with { Sequences = Sequences + 1 });
        _sequences = [.. _inputs.Select(_ => _cache.Open())];
    }

    public void Dispose() => _cache.Dispose();

    /// <summary>Fails where a layer gives other outputs with a cache than without.</summary>
    /// <param name="layers">The layers, of one size.</param>
    /// <param name="definitions">The same on the reference.</param>
    /// <param name="options">A cache of as many layers.</param>
    /// <param name="random">Draws inputs and steps.</param>
    /// <param name="longest">The most tokens of a sequence.</param>
    /// <param name="context">Tells a failed case.</param>
    public static void AssertAgrees(
        MultiHeadAttention<float>[] layers, MultiHeadAttention<float>[] definitions, KeyValueCacheOptions options, Random random,
        int longest,
        string context)
    {
        using var run = new CachedRun(layers, options, random, longest);
        while (run.HasRest())
        {
            if (random.Next(4) == 0)
                run.Truncate(random.Next(Sequences));
            if (random.Next(4) == 0)
                run.Fork(random.Next(Sequences));
            run.Step();
        }

        for (int layer = 0; layer < layers.Length; layer++)
        {
            for (int i = 0; i < Sequences; i++)
            {
                Tensor<float> expected = Data.Poisoned(run._inputs[i].Lengths);
                definitions[layer].Forward(run._inputs[i], expected, Causal.BottomRight);
                Close.Assert(Data.Flat(expected), run._outputs[layer][i], $"sequence {i} of layer {layer}, {options}, {context}");
            }
        }

        foreach (KeyValueSequence sequence in run._sequences)
            sequence.Dispose();
        Assert.Equal(0, run._cache.PagesInUse);
    }

    private int Rest(int i) => (int)_inputs[i].Lengths[1] - _sequences[i].Length;

    private bool HasRest() => Enumerable.Range(0, Sequences).Any(i => Rest(i) > 0);

    // Some of the sequences in any order, each with no token, one or several.
    private void Step()
    {
        int[] order = [.. Enumerable.Range(0, Sequences)];
        _random.Shuffle(order);
        order = order[..(1 + _random.Next(Sequences))];
        int[] counts =
        [
            .. order.Select(i => Math.Min(Math.Min(Rest(i), _sequences[i].AppendableRows), _random.Next(3) == 0 ? 9 : _random.Next(3))),
        ];
        var rows = new List<float>();
        for (int place = 0; place < order.Length; place++)
        {
            int i = order[place];
            rows.AddRange(Data.Flat(_inputs[i]).AsSpan(_sequences[i].Length * _size, counts[place] * _size));
        }

        using KeyValueBatch batch = _cache.Append([.. order.Select(i => _sequences[i])], counts);
        Tensor<float> input = Tensor.Create(rows.ToArray(), [batch.Tokens, _size]);
        for (int layer = 0; layer < _layers.Length; layer++)
        {
            Tensor<float> output = Data.Poisoned(batch.Tokens, _size);
            _layers[layer].Forward(input, output, batch, layer);
            ReadOnlySpan<float> left = Data.Flat(output);
            for (int place = 0; place < order.Length; place++)
            {
                int elements = counts[place] * _size;
                left[..elements].CopyTo(_outputs[layer][order[place]].AsSpan(_sequences[order[place]].Length * _size - elements));
                left = left[elements..];
            }
        }
    }

    // Rows that come back are computed again.
    private void Truncate(int i) => _sequences[i].Truncate(Shorter(i));

    // A fork goes on, while the sequence that it came from writes other rows and ends.
    private void Fork(int i)
    {
        int length = Shorter(i);
        KeyValueSequence old = _sequences[i];
        _sequences[i] = old.Fork(length);
        int count = Math.Min(old.AppendableRows, _random.Next(3));
        using (KeyValueBatch batch = _cache.Append([old], [count]))
        {
            for (int layer = 0; layer < _layers.Length; layer++)
                _layers[layer].Forward(Data.Random(_random, count, _size), Data.Poisoned(count, _size), batch, layer);
        }

        old.Dispose();
    }

    // A length that the sequence can go back to.
    private int Shorter(int i)
    {
        KeyValueSequence sequence = _sequences[i];
        int length = Math.Max(0, sequence.Length - _random.Next(4));
        return _cache.Window.Dropped(length) == sequence.Dropped ? length : sequence.Length;
    }
}
