using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.KeyValues;

namespace AttentionGpu.Backends.Simd.Stored;

/// <summary>Stored rows as floats, multiplied by their scales.</summary>
internal static unsafe class StoredConversion
{
    /// <summary>Puts the first elements of rows side by side.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="element">What their elements are.</param>
    /// <param name="size">Elements of a row that are wanted.</param>
    /// <param name="target">[rows, size].</param>
    public static void Load(in StoredRows rows, KeyValueElement element, int size, float* target)
    {
        byte* row = rows.First;
        byte* scales = rows.Scales;
        for (int i = 0; i < rows.Count; i++)
        {
            switch (element)
            {
                case KeyValueElement.Int8:
                    Load<Int8Elements<Vector256<float>, Operations256>>(row, scales, size, target);
                    break;
                case KeyValueElement.Int4:
                    Load<Int4Elements<Vector256<float>, Operations256>>(row, scales, size, target);
                    break;
                case KeyValueElement.Float8E4M3 when SpecialCodes.AreIn(element, row, size):
                    LoadOnes<Float8Elements<Vector256<float>, Operations256>>(row, *(float*)scales, size, target);
                    break;
                case KeyValueElement.Float8E4M3:
                    Load<Float8Elements<Vector256<float>, Operations256>>(row, scales, size, target);
                    break;
                default:
                    ElementRows.Load(row, element.Plain(), target, size);
                    break;
            }

            row += rows.Stride;
            scales += rows.ScaleStride;
            target += size;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Load<TStored>(byte* row, byte* scales, int size, float* target)
        where TStored : struct, IStoredElements<Vector256<float>>
    {
        for (int first = 0; first < size;)
        {
            float scale = TStored.HasRowScale
                ? *(float*)scales
                : new HalfElement { Bits = ((ushort*)scales)[first / TStored.GroupSize] }.ToSingle();
            int end = size - first > TStored.GroupSize ? first + TStored.GroupSize : size;
            Vector256<float> factor = Vector256.Create(scale);
            for (; first + Vector256<float>.Count <= end; first += Vector256<float>.Count)
                (TStored.Load(row, first) * factor).Store(target + first);
            for (; first < end; first++)
                target[first] = TStored.LoadOne(row, first) * scale;
        }
    }

    private static void LoadOnes<TStored>(byte* row, float scale, int size, float* target)
        where TStored : struct, IStoredElements<Vector256<float>>
    {
        for (int i = 0; i < size; i++)
            target[i] = TStored.LoadOne(row, i) * scale;
    }
}
