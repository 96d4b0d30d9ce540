using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <content>The calls of a batch, in every layer.</content>
internal sealed partial class CacheTrial
{
    private void Batch(bool appends)
    {
        (CacheSession[] chosen, int[] lengths) = Choose(appends);
        KeyValueSequence[] sequences = [.. chosen.Select(session => session.Sequence)];
        int[] past = [.. chosen.Select(session => session.Tokens.Count)];
        CacheTree? tree = appends && Options.Window is null && _random.Next(3) == 0 ? CacheTree.Random(_random, lengths, past) : null;
        using KeyValueBatch batch = appends ? _cache.Append(sequences, lengths, tree?.Parents) : _cache.Read(sequences, lengths);
        int tokens = lengths.Sum();
        Assert.Equal(tokens, batch.Tokens);
        CacheToken[] added =
        [
            .. Enumerable.Range(0, appends ? tokens : 0)
                .Select(_ => new CacheToken(new double[Options.Layers][][], new double[Options.Layers][][])),
        ];
        var outputs = new Tensor<float>[Options.Layers];
        var sums = new Tensor<float>[Options.Layers];
        var queries = new Tensor<float>[Options.Layers];
        CacheCall call = RandomCall();
        if (tree is not null)
            call = call with { Options = call.Options with { Window = null }, Slopes = null, DistanceBias = null };
        float[]? norm = _random.Next(3) == 0 ? [.. Enumerable.Range(0, Options.HeadSize).Select(_ => 0.5f + _random.NextSingle())] : null;
        for (int layer = 0; layer < Options.Layers; layer++)
        {
            queries[layer] = Data.Random(_random, tokens, Heads, Options.HeadSize);
            Tensor<float> keys = Data.Random(_random, tokens, Options.KeyValueHeads, Options.HeadSize);
            Tensor<float> values = Data.Random(_random, tokens, Options.KeyValueHeads, ValueSize);
            outputs[layer] = Data.Poisoned(tokens, Heads, ValueSize);
            sums[layer] = Data.Poisoned(Heads, tokens);
            Run(batch, layer, queries[layer], keys, values, outputs[layer], sums[layer], call, norm);
            for (int token = 0; token < added.Length; token++)
            {
                int of = Owner(lengths, token);
                int position = tree?.Position(token) ?? past[of] + token - lengths[..of].Sum();
                added[token].Keys[layer] =
                    [.. Enumerable.Range(0, Options.KeyValueHeads).Select(head => Turn(Row(keys, token, head), norm, position))];
                added[token].Values[layer] = Options.ValuesInKeys
                    ? added[token].Keys[layer]
                    : [.. Enumerable.Range(0, Options.KeyValueHeads).Select(head => Row(values, token, head))];
            }
        }

        batch.Dispose();
        for (int token = 0; token < added.Length; token++)
            chosen[Owner(lengths, token)].Tokens.Add(added[token]);
        for (int i = 0, first = 0; i < chosen.Length; first += lengths[i++])
        {
            for (int layer = 0; layer < Options.Layers; layer++)
            {
                (double[]?[][] keys, double[]?[][] values) = CheckRows(chosen[i], layer);
                int start = appends ? past[i] : past[i] - lengths[i];
                for (int query = 0; query < lengths[i]; query++)
                {
                    int token = first + query;
                    int position = tree?.Position(token) ?? start + query;
                    Check(
                        queries[layer], outputs[layer], sums[layer], token, position, keys, values, call, norm,
                        tree is null ? null : row => tree.Sees(token, row));
                }
            }
        }
    }

    private void Run(
        KeyValueBatch batch, int layer, Tensor<float> query, Tensor<float> key, Tensor<float> value, Tensor<float> output,
        Tensor<float> logSumExp, CacheCall call, float[]? norm)
    {
        TensorInput<float> factors = norm is null ? default : Tensor.Create(norm);
        var inputs = new AttentionInputs<float>
        {
            Query = query,
            Key = batch.Appends ? key : default(TensorInput<float>),
            Value = batch.Appends && !Options.ValuesInKeys ? value : default(TensorInput<float>),
            Cache = batch,
            CacheLayer = layer,
            Sinks = call.Sinks is null ? default : Tensor.Create(call.Sinks),
            AlibiSlopes = call.Slopes is null ? default : Tensor.Create(call.Slopes),
            DistanceBias = call.DistanceBias is { } table
                ? Tensor.Create(table.Cast<float>().ToArray(), [Heads, table.GetLength(1)])
                : default,
            QueryNorm = factors,
            KeyNorm = batch.Appends ? factors : default,
            RotaryCosine = _rotarySize == 0 ? default(TensorInput<float>) : _cosine,
            RotarySine = _rotarySize == 0 ? default(TensorInput<float>) : _sine,
        };
        _engine.ScaledDotProductAttention(
            inputs, new AttentionOutputs<float> { Output = output, LogSumExp = logSumExp },
            norm is null ? call.Options : call.Options with { NormEpsilon = 0.25f });
    }

    private CacheCall RandomCall()
    {
        int? left = Options.Window is int window ? _random.Next(window) : _random.Next(4) == 0 ? _random.Next(60) : null;
        bool hasTable = _random.Next(5) == 0;
        float[,] table = new float[Heads, 2 * _random.Next(20) + 1];
        for (int i = 0; i < table.Length; i++)
            table[i / table.GetLength(1), i % table.GetLength(1)] = _random.NextSingle();
        return new CacheCall
        {
            Options = new AttentionOptions
            {
                Causal = _random.Next(4) == 0 ? Causal.None : Causal.BottomRight,
                Window = left is null ? null : new AttentionWindow { Left = left, Alignment = Pick(Enum.GetValues<QueryAlignment>()) },
                Softcap = _random.Next(5) == 0 ? 1.5f : null,
                Scale = _random.Next(3) == 0 ? 2f : null,
                BatchInvariant = _random.Next(4) == 0,
            },
            Sinks = _random.Next(5) == 0 ? [.. Enumerable.Range(0, Heads).Select(_ => _random.NextSingle())] : null,
            Slopes = _random.Next(5) == 0 ? [.. Enumerable.Range(0, Heads).Select(_ => _random.NextSingle() / 4)] : null,
            DistanceBias = hasTable ? table : null,
        };
    }

    private void Check(
        Tensor<float> queries, Tensor<float> outputs, Tensor<float> sums, int token, int position, double[]?[][] keys, double[]?[][] values,
        CacheCall call, float[]? norm, Func<int, bool>? sees)
    {
        for (int head = 0; head < Heads; head++)
        {
            double[] query = Turn(Row(queries, token, head), norm, position);
            (double[] expected, double sum) = CacheDefinition.Attend(
                query, position, head, keys[head / _group], values[head / _group], ValueSize, call, sees);
            for (int i = 0; i < ValueSize; i++)
                AssertNear(expected[i], outputs[token, head, i], $"output of token {token}, head {head}, element {i}");
            AssertNear(sum, sums[head, token], $"log-sum-exp of token {token}, head {head}");
        }
    }

    private void AssertNear(double expected, float actual, string of)
    {
        if (double.IsNegativeInfinity(expected) && float.IsNegativeInfinity(actual))
            return;
        Assert.True(Math.Abs(expected - actual) <= 2e-5 * (1 + Math.Abs(expected)), $"{of} is {actual}, not {expected}; {_context}");
    }

    private void CheckRows(CacheSession session)
    {
        for (int layer = 0; layer < Options.Layers; layer++)
            CheckRows(session, layer);
    }

    // The rows that the cache has are what storing gives of what was written; attention is then compared over the cache's.
    private (double[]?[][] Keys, double[]?[][] Values) CheckRows(CacheSession session, int layer)
    {
        int resident = session.Sequence.ResidentLength;
        Tensor<float> keys = Data.Poisoned(Options.KeyValueHeads, resident, Options.HeadSize);
        Tensor<float> values = Data.Poisoned(Options.KeyValueHeads, resident, ValueSize);
        session.Sequence.CopyTo(layer, keys, values);
        return (
            CheckRows(session, keys, Options.HeadSize, token => token.Keys[layer], isKey: true),
            CheckRows(session, values, ValueSize, token => token.Values[layer], isKey: Options.ValuesInKeys));
    }

    private double[]?[][] CheckRows(CacheSession session, Tensor<float> rows, int size, Func<CacheToken, double[][]> of, bool isKey)
    {
        int dropped = DroppedOf(session.Sequence);
        var found = new double[]?[Options.KeyValueHeads][];
        for (int head = 0; head < found.Length; head++)
        {
            found[head] = new double[]?[session.Sequence.Length];
            for (int i = dropped; i < session.Sequence.Length; i++)
            {
                double[] written = of(session.Tokens[i])[head];
                double[] stored = StoredRows.Store(written, Options.Element);
                double[] actual = [.. Enumerable.Range(0, size).Select(e => (double)rows[head, i - dropped, e])];
                for (int e = 0; e < size; e++)
                {
                    double allowed = isKey ? StoredRows.Step(written, Options.Element, stored[e]) : 0;
                    Assert.True(
                        Math.Abs(actual[e] - stored[e]) <= allowed + 1e-6 * Math.Abs(stored[e]),
                        $"row {i}, head {head}, element {e} is {actual[e]}, not {stored[e]}; {_context}");
                }

                found[head][i] = actual;
            }
        }

        return found;
    }

    private double[] Turn(double[] row, float[]? norm, int position)
    {
        double[] turned = [.. row];
        if (norm is not null)
        {
            double factor = 1 / Math.Sqrt(row.Sum(value => value * value) / row.Length + 0.25);
            for (int i = 0; i < row.Length; i++)
                turned[i] *= factor * norm[i];
        }

        int half = _rotarySize / 2;
        for (int i = 0; i < half; i++)
        {
            (double x, double y) = (turned[i], turned[i + half]);
            (double cosine, double sine) = (_cosine[position, i], _sine[position, i]);
            (turned[i], turned[i + half]) = (x * cosine - y * sine, y * cosine + x * sine);
        }

        return turned;
    }

    private static double[] Row(Tensor<float> rows, int token, int head) =>
        [.. Enumerable.Range(0, (int)rows.Lengths[2]).Select(i => (double)rows[token, head, i])];

    private static int Owner(int[] lengths, int token)
    {
        int owner = 0;
        for (int end = lengths[0]; token >= end; end += lengths[owner])
            owner++;
        return owner;
    }
}
