using System.Runtime.InteropServices;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;

namespace AttentionGpu.Tests.Engine;

/// <summary>Elements of one type in host memory, as the bytes that a plan reads or writes.</summary>
internal sealed class PlanTensor
{
    private PlanTensor(ElementType type, byte[] bytes)
    {
        Type = type;
        Bytes = bytes;
    }

    public ElementType Type { get; }

    public byte[] Bytes { get; }

    public int Count => Bytes.Length / Type.Size();

    /// <summary>The largest difference from the definition that rounding explains, of values up to 1.</summary>
    public double Tolerance => Type switch
    {
        ElementType.Float32 => 1e-5,
        ElementType.Float16 => 2e-3,
        ElementType.BFloat16 => 1e-2,
        _ => throw ElementTypes.Unknown(Type),
    };

    /// <summary>Numbers between -1 and 1.</summary>
    public static PlanTensor Random(Random random, ElementType type, long count) =>
        Of(type, [.. Enumerable.Range(0, (int)Math.Max(1, count)).Select(_ => random.NextSingle() * 2f - 1f)]);

    /// <summary>Not-a-number everywhere.</summary>
    public static PlanTensor Poisoned(ElementType type, long count)
    {
        var bytes = new byte[Math.Max(1, count) * type.Size()];
        Array.Fill(bytes, byte.MaxValue);
        return new PlanTensor(type, bytes);
    }

    /// <summary>A table of anything.</summary>
    public static PlanTensor Table<T>(params T[] entries)
        where T : unmanaged => new(ElementType.Float32, MemoryMarshal.AsBytes(entries.AsSpan()).ToArray());

    /// <summary>What a device has made of it.</summary>
    public PlanTensor With(byte[] bytes) => new(Type, bytes);

    public float[] ToSingles() => Type.Visit(new Reader(Bytes));

    private static PlanTensor Of(ElementType type, float[] values) => new(type, type.Visit(new Writer(values)));

    private sealed class Reader(byte[] bytes) : IElementVisitor<float[]>
    {
        public float[] Visit<TElement>()
            where TElement : unmanaged, IElement<TElement>
        {
            ReadOnlySpan<TElement> elements = MemoryMarshal.Cast<byte, TElement>(bytes);
            var values = new float[elements.Length];
            for (int i = 0; i < values.Length; i++)
                values[i] = elements[i].ToSingle();
            return values;
        }
    }

    private sealed class Writer(float[] values) : IElementVisitor<byte[]>
    {
        public byte[] Visit<TElement>()
            where TElement : unmanaged, IElement<TElement> =>
            MemoryMarshal.AsBytes(Array.ConvertAll(values, TElement.FromSingle).AsSpan()).ToArray();
    }
}
