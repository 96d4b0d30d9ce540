using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace AttentionGpu.Service;

/// <summary>The numbers of a JSON body, which are float32, in a layer's element type and back.</summary>
internal static class JsonNumbers
{
    /// <summary>Rounds numbers to the nearest of the element type, of two to the even one.</summary>
    /// <exception cref="ArgumentException">A finite number is beyond the type's range.</exception>
    public static void Round<T>(ReadOnlySpan<float> row, Span<T> target, int index)
        where T : unmanaged
    {
        if (typeof(T) == typeof(float))
        {
            row.CopyTo(MemoryMarshal.Cast<T, float>(target));
        }
        else if (typeof(T) == typeof(Half))
        {
            TensorPrimitives.ConvertToHalf(row, MemoryMarshal.Cast<T, Half>(target));
        }
        else if (typeof(T) == typeof(BFloat16))
        {
            Span<BFloat16> rounded = MemoryMarshal.Cast<T, BFloat16>(target);
            for (int i = 0; i < row.Length; i++)
                rounded[i] = (BFloat16)row[i];
        }
        else
        {
            throw new NotSupportedException($"A layer has elements of float, Half or BFloat16, not {typeof(T)}.");
        }

        for (int i = 0; i < row.Length; i++)
        {
            if (float.IsFinite(row[i]) && float.IsInfinity(ToSingle(target[i])))
            {
                throw new ArgumentException(
                    $"Row {index} of 'input' has the number {row[i]}, which {LayerCalls.NameOf(typeof(T))}, the layer's type, does not "
                    + "reach.");
            }
        }
    }

    /// <summary>An element as a number.</summary>
    public static float ToSingle<T>(T element)
        where T : unmanaged => element switch
        {
            float value => value,
            Half value => (float)value,
            BFloat16 value => value,
            _ => throw new NotSupportedException($"A layer has elements of float, Half or BFloat16, not {typeof(T)}."),
        };
}
