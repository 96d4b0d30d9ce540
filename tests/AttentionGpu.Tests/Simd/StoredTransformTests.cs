using AttentionGpu.Backends.Simd;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Simd;

/// <summary>Rows that are appended to caches: the bits of every form, and the bytes around them.</summary>
public sealed unsafe class StoredTransformTests : IDisposable
{
    private const int Heads = 3;
    private const int PageShift = 4;
    private const int Rows = 8 << PageShift;
    private const byte Untouched = 0xA5;

    private static readonly int[] _sizes = [1, 7, 8, 13, 32, 33, 40, 64, 128];

    private static readonly Sequence[] _sequences =
    [
        new() { QueryStart = 0, QueryLength = 1, KeyStart = 16, KeyLength = 31, DroppedKeys = 5 },
        new() { QueryStart = 1, QueryLength = 0, KeyStart = 48, KeyLength = 7 },
        new() { QueryStart = 1, QueryLength = 20, KeyStart = 64, KeyLength = 33, DroppedKeys = 2 },
        new() { QueryStart = 21, QueryLength = 2, KeyStart = 112, KeyLength = 2 },
    ];

    private readonly PlanMemory _memory = new();
    private readonly SimdBackend _backend = new(threads: 2);

    public void Dispose()
    {
        _backend.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Appended_rows_have_the_bits_of_the_definition()
    {
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        foreach (KeyValueElement element in Enum.GetValues<KeyValueElement>())
        {
            foreach (KeyValueRows rows in new[] { KeyValueRows.Contiguous, KeyValueRows.Paged })
            {
                foreach (int size in _sizes)
                {
                    foreach (bool transforms in new[] { false, true })
                    {
                        var form = new KeyValueForm(element, rows);
                        Check(random, form, size, transforms, $"seed {seed}, {form}, {size}, {transforms}");
                    }
                }
            }
        }
    }

    private void Check(Random random, KeyValueForm form, int size, bool transforms, string context)
    {
        int tokens = _sequences.Sum(sequence => sequence.QueryLength);
        float[] source = Source(random, tokens, size);
        int rotary = transforms ? size / 2 * 2 : 0;
        int[] pages = StoredTensor.ShuffledPages(random, form, Rows, PageShift);
        var target = new StoredTensor(_memory, form, Heads, Rows, size, pages, PageShift);
        int storedRows = Heads * (form.Rows == KeyValueRows.Paged ? Rows + (StoredTensor.SparePages << PageShift) : Rows);
        byte[] bytes = Fill(storedRows * target.RowBytes);
        byte[] scales = Fill(storedRows * target.ScaleBytes);
        DeviceMemory memory = _memory.Values(bytes);
        DeviceMemory scaleMemory = _memory.Values(scales);
        var buffers = new HeadTransformBuffers
        {
            Source = _memory.Of(ElementType.Float32, source),
            Target = memory,
            TargetScales = scaleMemory,
            Pages = _memory.Values(pages),
            Norm = _memory.Random(random, ElementType.Float32, size),
            Cosine = _memory.Random(random, ElementType.Float32, 100 * size),
            Sine = _memory.Random(random, ElementType.Float32, 100 * size),
            Sequences = _memory.Values(_sequences),
        };
        HeadTransformSignature signature = Signature(form, size, rotary, transforms) with { HasSequences = true, FollowsPast = true };
        var extent = new HeadTransformExtent
        {
            Batch = _sequences.Length,
            Heads = Heads,
            Length = 20,
            Source = new TensorLayout(0, (long)tokens * size, size),
            Target = target.Layout,
            NormEpsilon = 1e-5f,
            RowsAreKeys = true,
            PageShift = PageShift,
        };
        _memory.Run(_backend.Plan<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(signature), extent, buffers);
        foreach (Sequence sequence in _sequences)
        {
            int past = sequence.KeyLength - sequence.QueryLength;
            float[] rows = Transformed(buffers, source, sequence, tokens, size, rotary, transforms);
            for (int head = 0; head < Heads; head++)
            {
                for (int i = 0; i < sequence.QueryLength; i++)
                {
                    float[] row = rows[((head * sequence.QueryLength + i) * size)..][..size];
                    (byte[] expected, byte[] expectedScales) = QuantisedDefinition.Encode(row, form.Element);
                    long index = target.Index(head, sequence.KeyStart + past + i);
                    expected.CopyTo(bytes, index * target.RowBytes);
                    expectedScales.CopyTo(scales, index * target.ScaleBytes);
                }
            }
        }

        Assert.True(bytes.AsSpan().SequenceEqual(new ReadOnlySpan<byte>(memory.Pointer<byte>(), bytes.Length)), context);
        AssertSameScales(form.Element, scales, new ReadOnlySpan<byte>(scaleMemory.Pointer<byte>(), scales.Length), context);
    }

    // Two NaN may differ in their bits.
    private static void AssertSameScales(KeyValueElement element, byte[] expected, ReadOnlySpan<byte> actual, string context)
    {
        int size = element == KeyValueElement.Int4 ? sizeof(ushort) : sizeof(float);
        for (int i = 0; i < expected.Length; i += size)
        {
            bool isSame = expected.AsSpan(i, size).SequenceEqual(actual.Slice(i, size));
            Assert.True(isSame || (IsNaN(expected.AsSpan(i, size)) && IsNaN(actual.Slice(i, size))), $"{context}, scale {i / size}");
        }
    }

    private static bool IsNaN(ReadOnlySpan<byte> scale) =>
        scale.Length == sizeof(float) ? float.IsNaN(BitConverter.ToSingle(scale)) : Half.IsNaN(BitConverter.ToHalf(scale));

    // The rows of a sequence as floats, [heads, queries, size]: by a transform of a tensor of their own, at the sequence's position.
    private float[] Transformed(
        in HeadTransformBuffers buffers, float[] source, in Sequence sequence, int tokens, int size, int rotary, bool transforms)
    {
        var own = new float[Heads * sequence.QueryLength * size];
        for (int head = 0; head < Heads; head++)
        {
            Array.Copy(
                source, (head * tokens + sequence.QueryStart) * size, own, head * sequence.QueryLength * size, sequence.QueryLength * size);
        }

        if (sequence.QueryLength == 0)
            return own;
        TensorLayout layout = TensorLayout.Contiguous(Heads, sequence.QueryLength, size);
        var extent = new HeadTransformExtent
        {
            Batch = 1,
            Heads = Heads,
            Length = sequence.QueryLength,
            Source = layout,
            Target = layout,
            NormEpsilon = 1e-5f,
            FirstPosition = sequence.DroppedKeys + sequence.KeyLength - sequence.QueryLength,
        };
        var with = new HeadTransformBuffers
        {
            Source = _memory.Of(ElementType.Float32, own),
            Target = _memory.Poisoned(ElementType.Float32, own.Length),
            Norm = buffers.Norm,
            Cosine = buffers.Cosine,
            Sine = buffers.Sine,
        };
        _memory.Run(
            _backend.Plan<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(
                Signature(new KeyValueForm(KeyValueElement.Float32), size, rotary, transforms)),
            extent, with);
        return PlanMemory.Read(with.Target, ElementType.Float32, own.Length);
    }

    private static HeadTransformSignature Signature(KeyValueForm form, int size, int rotary, bool transforms) => new()
    {
        Element = ElementType.Float32,
        Target = form,
        Size = size,
        HasNorm = transforms,
        RotarySize = rotary,
    };

    // Rows of all magnitudes; one of zeros, one with a subnormal scale, one with a scale beyond 16 bits, and one that is not finite.
    private static float[] Source(Random random, int tokens, int size)
    {
        var source = new float[Heads * tokens * size];
        for (int row = 0; row < Heads * tokens; row++)
        {
            float scale = (row % tokens) switch
            {
                2 => 0f,
                3 => 1e-44f,
                4 => 1e30f,
                _ => MathF.Pow(10f, random.Next(-3, 4)),
            };
            for (int i = 0; i < size; i++)
                source[row * size + i] = scale * (float)(2.0 * random.NextDouble() - 1.0);
            if (row % tokens == 5)
                source[row * size + random.Next(size)] = random.Next(2) == 0 ? float.NaN : float.NegativeInfinity;
        }

        return source;
    }

    private static byte[] Fill(int count)
    {
        var bytes = new byte[count];
        Array.Fill(bytes, Untouched);
        return bytes;
    }
}
