using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>
/// Sequences of a cache in some form, and new queries behind each, for a plan and by the definition in float64 over the values that the
/// rows have as they are stored.
/// </summary>
internal sealed class FormAttention
{
    private const int Gap = 3;

    private readonly float[] _sinks;
    private readonly FormRows _keys;
    private readonly FormRows _values;
    private readonly int _tokens;
    private AttentionSignature _signature;
    private AttentionExtent _extent;
    private Sequence[] _sequences;
    private readonly float[] _query;

    /// <param name="random">Where sizes and numbers come from.</param>
    /// <param name="form">The form of keys and values.</param>
    /// <param name="lengths">Queries and keys of each sequence.</param>
    /// <param name="headSize">Elements of a query and of a key.</param>
    /// <param name="valueSize">Elements of a value.</param>
    /// <param name="element">The type of queries and outputs.</param>
    public FormAttention(
        Random random, KeyValueForm form, (int Queries, int Keys)[] lengths, int headSize, int valueSize,
        ElementType element = ElementType.Float32)
    {
        (int keyHeads, int group) = (random.Next(1, 3), random.Next(1, 4));
        int heads = keyHeads * group;
        int capacity = lengths.Max(length => length.Keys) + random.Next(0, 3);
        _keys = FormRows.Random(random, form, lengths.Length, keyHeads, headSize, Math.Max(1, capacity));
        _values = form.IsLatent ? _keys : _keys.Beside(valueSize);
        _sequences = new Sequence[lengths.Length];
        for (int i = 0; i < lengths.Length; i++)
        {
            (int queries, int keys) = lengths[i];
            _sequences[i] = new Sequence
            {
                QueryStart = _tokens,
                QueryLength = queries,
                KeyStart = _keys.Start(i),
                KeyLength = keys,
                CausalOffset = keys - queries,
                WindowOffset = keys - queries,
            };
            _tokens += queries;
            for (int row = 0; row < keys; row++)
            {
                for (int head = 0; head < keyHeads; head++)
                {
                    _keys[head, _keys.Start(i) + row] = FormRow.Of(form.Element, Numbers(headSize));
                    if (!form.IsLatent)
                        _values[head, _keys.Start(i) + row] = FormRow.Of(form.Element, Numbers(valueSize));
                }
            }
        }

        _signature = new AttentionSignature
        {
            Element = element,
            KeyValue = form,
            HeadSize = headSize,
            ValueHeadSize = valueSize,
            GroupSize = group,
            Causal = random.Next(3) == 0 ? CausalKind.None : CausalKind.Causal,
            HasWindow = random.Next(3) == 0,
            HasSequences = true,
            HasLogSumExp = true,
            HasSinks = random.Next(2) == 0,
        };
        _extent = new AttentionExtent
        {
            Batch = lengths.Length,
            Heads = heads,
            KeyValueHeads = keyHeads,
            Scale = AttentionExtent.DefaultScale(headSize),
            Sequence = new Sequence
            {
                QueryLength = lengths.Max(length => length.Queries),
                KeyLength = lengths.Max(length => length.Keys),
            },
            Window = new WindowSize(random.Next(0, capacity + 1), random.Next(0, 3)),
            Query = new TensorLayout(0, headSize + Gap, (long)heads * (headSize + Gap)),
            Key = _keys.Layout,
            Value = _values.Layout,
            PageShift = _keys.PageShift,
            Output = new TensorLayout(0, valueSize + Gap, (long)heads * (valueSize + Gap)),
            LogSumExp = new TensorLayout(0, 1, heads),
        };
        _query = [.. Numbers(_tokens * heads * (headSize + Gap)).Select(value => (float)(2.0 * value))];
        if (element != ElementType.Float32)
            _query = [.. _query.Select(value => (float)(Half)value)];
        _sinks = [.. Enumerable.Range(0, heads).Select(_ => 2f * random.NextSingle())];

        double[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextDouble() * 2.0 - 1.0)];
    }

    public IReadOnlyList<Sequence> Sequences => _sequences;

    /// <summary>The same with a window of some keys to the left of the diagonal.</summary>
    public FormAttention WithWindow(int left)
    {
        var other = (FormAttention)MemberwiseClone();
        other._signature = _signature with { Causal = CausalKind.Causal, HasWindow = true };
        other._extent = _extent with { Window = new WindowSize(left, 0) };
        return other;
    }

    /// <summary>The same with results that depend on a sequence's own lengths only.</summary>
    public FormAttention BatchInvariant()
    {
        var other = (FormAttention)MemberwiseClone();
        other._signature = _signature with { BatchInvariant = true };
        return other;
    }

    /// <summary>One sequence alone.</summary>
    public FormAttention Only(int sequence)
    {
        var other = (FormAttention)MemberwiseClone();
        other._sequences = [_sequences[sequence]];
        other._extent = _extent with
        {
            Batch = 1,
            Sequence = new Sequence { QueryLength = _sequences[sequence].QueryLength, KeyLength = _sequences[sequence].KeyLength },
        };
        return other;
    }

    /// <summary>The bytes of a sequence's rows among those of all, with what lies between them.</summary>
    public byte[] OutputOf(byte[] output, int sequence)
    {
        int row = (int)_extent.Output.RowStride * _signature.Element.Size();
        Sequence one = _sequences[sequence];
        return output[(one.QueryStart * row)..((one.QueryStart + one.QueryLength) * row)];
    }

    /// <summary>Makes the first element of a value something else.</summary>
    public void Spoil(int sequence, int head, int row, double value)
    {
        int size = _signature.KeyValue.StoredValueSize(_signature.HeadSize, _signature.ValueHeadSize);
        FormRow old = _values[head, _values.Start(sequence) + row];
        double[] values = [.. Enumerable.Range(0, size).Select(i => old[i])];
        values[0] = value;
        _values[head, _values.Start(sequence) + row] = FormRow.Of(_signature.KeyValue.Element, values);
    }

    /// <summary>Runs the plan: the bits of all outputs, with what lies between them.</summary>
    public (byte[] Output, byte[] LogSumExp) Run(PlanDevice device)
    {
        bool half = _signature.Element == ElementType.Float16;
        DeviceMemory keys = device.Upload<byte>(_keys.Elements);
        DeviceMemory scales = device.Upload<byte>(_keys.Scales);
        bool shared = ReferenceEquals(_keys, _values);
        DeviceMemory output = device.Poisoned(_tokens * _extent.Output.RowStride * _signature.Element.Size());
        DeviceMemory sums = device.Poisoned(_tokens * _extent.Heads * sizeof(float));
        device.Run<AttentionSignature, AttentionExtent, AttentionBuffers>(_signature, _extent, new()
        {
            Query = half ? device.Upload<Half>([.. _query.Select(value => (Half)value)]) : device.Upload<float>(_query),
            Key = keys,
            Value = shared ? keys : device.Upload<byte>(_values.Elements),
            KeyScales = scales,
            ValueScales = shared ? scales : device.Upload<byte>(_values.Scales),
            Pages = device.Upload<int>(_keys.Pages),
            Output = output,
            Sinks = _signature.HasSinks ? device.Upload<float>(_sinks) : default,
            Sequences = device.Upload<Sequence>(_sequences),
            LogSumExp = sums,
        });
        (byte[] Output, byte[] LogSumExp) results = (device.Download(output), device.Download(sums));
        device.Free();
        return results;
    }

    public void AssertAgrees(PlanDevice device, string context)
    {
        (byte[] output, byte[] sums) = Run(device);
        double tolerance = _signature.Element == ElementType.Float32 ? 1e-5 : 2e-3;
        for (int i = 0; i < _sequences.Length; i++)
        {
            for (int query = 0; query < _sequences[i].QueryLength; query++)
            {
                for (int head = 0; head < _extent.Heads; head++)
                {
                    string where = $"{context}, {_signature}: sequence {i} of {_sequences[i]}, query {query}, head {head}";
                    int row = _sequences[i].QueryStart + query;
                    (double[] expected, double sum) = Expected(_sequences[i], head, query);
                    AssertClose(sum, BitConverter.ToSingle(sums, (row * _extent.Heads + head) * sizeof(float)), 1e-5, where + ", sum");
                    for (int column = 0; column < _signature.ValueHeadSize + Gap; column++)
                    {
                        int at = (int)_extent.Output.Offset(0, head, row) + column;
                        double actual = _signature.Element == ElementType.Float32
                            ? BitConverter.ToSingle(output, at * sizeof(float)) : (double)BitConverter.ToHalf(output, at * 2);
                        AssertClose(
                            column < expected.Length ? expected[column] : double.NaN, actual, tolerance, $"{where}, column {column}");
                    }
                }
            }
        }
    }

    private static void AssertClose(double expected, double actual, double tolerance, string where) => Assert.True(
        expected.Equals(actual) || Math.Abs(expected - actual) <= tolerance * Math.Max(1.0, Math.Abs(expected)),
        $"{where} is {actual:R}, expected {expected:R}.");

    private (double[] Output, double LogSumExp) Expected(Sequence sequence, int head, int query)
    {
        int keyHead = head / _signature.GroupSize;
        (int first, int end) = (0, sequence.KeyLength);
        if (_signature.Causal == CausalKind.Causal)
            end = Math.Clamp(query + sequence.CausalOffset + 1, 0, end);
        if (_signature.HasWindow)
        {
            first = Math.Max(0, query + sequence.WindowOffset - _extent.Window.Left);
            end = Math.Min(end, query + sequence.WindowOffset + _extent.Window.Right + 1);
        }

        int queryAt = (int)_extent.Query.Offset(0, head, sequence.QueryStart + query);
        double sink = _signature.HasSinks ? _sinks[head] : double.NegativeInfinity;
        double largest = sink;
        var scores = new double[Math.Max(0, end - first)];
        for (int i = 0; i < scores.Length; i++)
        {
            FormRow key = _keys[keyHead, sequence.KeyStart + first + i];
            for (int element = 0; element < _signature.HeadSize; element++)
                scores[i] += _query[queryAt + element] * key[element];
            scores[i] *= _extent.Scale;
            largest = Math.Max(largest, scores[i]);
        }

        var output = new double[_signature.ValueHeadSize];
        if (double.IsNegativeInfinity(largest))
            return (output, double.NegativeInfinity);
        double total = Math.Exp(sink - largest);
        for (int i = 0; i < scores.Length; i++)
        {
            double weight = Math.Exp(scores[i] - largest);
            total += weight;
            FormRow value = _values[keyHead, sequence.KeyStart + first + i];
            for (int column = 0; column < output.Length; column++)
                output[column] += weight * value[column];
        }

        return (Array.ConvertAll(output, value => value / total), largest + Math.Log(total));
    }
}
