using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>New rows of sequences of a cache, for a plan and by the definition in float64.</summary>
internal sealed class FormAppend
{
    private const int Positions = 60;
    private const double Epsilon = 1e-3;

    private readonly HeadTransformSignature _signature;
    private readonly HeadTransformExtent _extent;
    private readonly FormRows _target;
    private readonly Sequence[] _sequences;
    private readonly float[] _source;
    private readonly float[] _norm;
    private readonly float[] _cosine;
    private readonly float[] _sine;
    private readonly int[] _positions;

    public FormAppend(Random random, KeyValueForm form, int size)
    {
        (int heads, int capacity) = (random.Next(1, 4), random.Next(5, 40));
        _sequences = new Sequence[random.Next(1, 5)];
        _target = FormRows.Random(random, form, _sequences.Length, heads, size, capacity);
        int tokens = 0;
        for (int i = 0; i < _sequences.Length; i++)
        {
            int length = random.Next(0, capacity + 1);
            int added = random.Next(0, Math.Min(length, 5) + 1);
            _sequences[i] = new Sequence
            {
                QueryStart = tokens,
                QueryLength = added,
                KeyStart = _target.Start(i),
                KeyLength = length,
                DroppedKeys = random.Next(0, 9),
            };
            tokens += added;
        }

        _signature = new HeadTransformSignature
        {
            Element = (ElementType)random.Next(3),
            Target = form,
            Size = size,
            HasNorm = random.Next(2) == 0,
            RotarySize = 2 * random.Next(0, size / 2 + 1),
            IsInterleaved = random.Next(2) == 0,
            HasPositions = random.Next(2) == 0,
            HasSequences = true,
            FollowsPast = true,
        };
        _extent = new HeadTransformExtent
        {
            Batch = _sequences.Length,
            Heads = heads,
            Length = Math.Max(1, _sequences.Max(sequence => sequence.QueryLength)),
            Source = new TensorLayout(0, size, (long)heads * size),
            Target = _target.Layout,
            NormEpsilon = (float)Epsilon,
            RowsAreKeys = true,
            PageShift = _target.PageShift,
        };
        _source = [.. Enumerable.Range(0, Math.Max(1, tokens * heads * size)).Select(_ => Rounded(Number()))];
        SpoilRows();
        _norm = [.. Enumerable.Range(0, size).Select(_ => Number())];
        _cosine = [.. Enumerable.Range(0, Positions * size).Select(_ => Number())];
        _sine = [.. Enumerable.Range(0, Positions * size).Select(_ => Number())];
        _positions = [.. Enumerable.Range(0, Math.Max(1, tokens)).Select(_ => random.Next(Positions))];

        float Number() => random.NextSingle() * 2f - 1f;

        // Some rows are zeros, and some have an element that is not finite.
        void SpoilRows()
        {
            for (int row = 0; row < tokens * heads; row++)
            {
                Span<float> one = _source.AsSpan(row * size, size);
                int kind = random.Next(10);
                if (kind == 0)
                    one.Clear();
                else if (kind == 1)
                    one[random.Next(size)] = random.Next(2) == 0 ? float.NaN : float.NegativeInfinity;
            }
        }
    }

    public void AssertAgrees(PlanDevice device, string context)
    {
        DeviceMemory elements = device.Upload<byte>(_target.Elements);
        DeviceMemory scales = device.Upload<byte>(_target.Scales);
        device.Run<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(_signature, _extent, new()
        {
            Source = UploadSource(device),
            Target = elements,
            TargetScales = scales,
            Pages = device.Upload<int>(_target.Pages),
            Norm = device.Upload<float>(_norm),
            Cosine = device.Upload<float>(_cosine),
            Sine = device.Upload<float>(_sine),
            Positions = device.Upload<int>(_positions),
            Sequences = device.Upload<Sequence>(_sequences),
        });
        FormRows actual = _target.With(device.Download(elements), device.Download(scales));
        device.Free();
        FormRows rest = actual.With(actual.Elements, actual.Scales);
        foreach ((int i, Sequence sequence) in _sequences.Index())
        {
            for (int head = 0; head < _extent.Heads; head++)
            {
                for (int row = 0; row < sequence.QueryLength; row++)
                {
                    string where = $"{context}, {_signature}: sequence {i} of {sequence}, head {head}, row {row}";
                    int past = sequence.KeyLength - sequence.QueryLength;
                    int position = _signature.HasPositions ? _positions[sequence.QueryStart + row] : sequence.DroppedKeys + past + row;
                    int place = sequence.KeyStart + past + row;
                    AssertRow(Expected(head, sequence.QueryStart + row, position), actual[head, place], where);
                    FormRow stored = rest[head, place];
                    rest[head, place] = new FormRow(
                        _signature.Target.Element, Poison(stored.Bytes.Length), Poison(stored.Scales.Length));
                }
            }
        }

        Assert.True(rest.Elements.All(one => one == byte.MaxValue), $"{context}, {_signature}: other rows have changed.");
        Assert.True(rest.Scales.All(one => one == byte.MaxValue), $"{context}, {_signature}: other scales have changed.");
    }

    private static byte[] Poison(int length) => [.. Enumerable.Repeat(byte.MaxValue, length)];

    // Of two codes at nearly the same distance rounding errors before may choose either.
    private void AssertRow(double[] values, FormRow actual, string where)
    {
        var expected = FormRow.Of(_signature.Target.Element, values);
        double largest = values.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0.0).Max();
        double slack = 1e-5 * Math.Max(largest, 1e-3);
        for (int i = 0; i < values.Length; i++)
        {
            double scale = expected.Scale(i);
            bool isSameScale = scale.Equals(actual.Scale(i))
                || Math.Abs(scale - actual.Scale(i)) <= (_signature.Target.Element == KeyValueElement.Int4 ? 1e-3 : 1e-5) * Math.Abs(scale);
            Assert.True(isSameScale, $"{where}: scale of element {i} is {actual.Scale(i)}, expected {scale}.");
            double error = Math.Abs(expected[i] - values[i]);
            double drift = Math.Abs(actual.Scale(i) - scale) * (_signature.Target.Element == KeyValueElement.Int4 ? 7.0 : 448.0);
            Assert.True(
                expected[i].Equals(actual[i]) || Math.Abs(actual[i] - values[i]) <= error + slack + drift,
                $"{where}: element {i} is {actual[i]}, expected {expected[i]} for {values[i]}.");
        }
    }

    private double[] Expected(int head, int row, int position)
    {
        int size = _signature.Size;
        double[] values = [.. Enumerable.Range(0, size).Select(i => (double)_source[(row * _extent.Heads + head) * size + i])];
        if (_signature.HasNorm)
        {
            double factor = 1.0 / Math.Sqrt(values.Sum(value => value * value) / size + Epsilon);
            values = [.. values.Select((value, i) => value * factor * _norm[i])];
        }

        int half = _signature.RotarySize / 2;
        double[] rotated = [.. values];
        for (int pair = 0; pair < half; pair++)
        {
            (int first, int second) = _signature.IsInterleaved ? (2 * pair, 2 * pair + 1) : (pair, pair + half);
            (double cosine, double sine) = (_cosine[position * half + pair], _sine[position * half + pair]);
            rotated[first] = values[first] * cosine - values[second] * sine;
            rotated[second] = values[second] * cosine + values[first] * sine;
        }

        return rotated;
    }

    private float Rounded(float value) => _signature.Element switch
    {
        ElementType.Float32 => value,
        ElementType.Float16 => (float)(Half)value,
        _ => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(value) & 0xFFFF0000),
    };

    private DeviceMemory UploadSource(PlanDevice device) => _signature.Element switch
    {
        ElementType.Float32 => device.Upload<float>(_source),
        ElementType.Float16 => device.Upload<Half>([.. _source.Select(value => (Half)value)]),
        _ => device.Upload<ushort>([.. _source.Select(value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16))]),
    };
}
