using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Elements;
using AttentionGpu.Serialization;
using AttentionGpu.Tensors;

namespace AttentionGpu.Cli.Files;

/// <summary>Element types by the names of the command line, and tensors from one to another.</summary>
internal static class ElementConversion
{
    private static readonly (string Name, Type Type)[] _types =
        [("float32", typeof(float)), ("float16", typeof(Half)), ("bfloat16", typeof(BFloat16))];

    /// <summary>The names.</summary>
    public static string[] Names => [.. _types.Select(one => one.Name)];

    /// <summary>The name of an element type.</summary>
    public static string NameOf(Type type) => _types.Single(one => one.Type == type).Name;

    /// <summary>The element type of a name.</summary>
    public static Type TypeOf(string name) => _types.Single(one => one.Name == name).Type;

    /// <summary>Rounds a tensor to an element type; one of float32 is returned as it is.</summary>
    /// <param name="source">The tensor.</param>
    /// <param name="option">The option that names it.</param>
    /// <exception cref="InvalidDataException">A finite number of the tensor would become infinite.</exception>
    public static Tensor<T> FromSingle<T>(Tensor<float> source, string option)
        where T : unmanaged
    {
        if (typeof(T) == typeof(float))
            return (Tensor<T>)(object)source;
        float[] numbers = Flat(source);
        var rounded = new T[numbers.Length];
        HostCopy.Round(numbers, ElementTypes.Of<T>(), MemoryMarshal.AsBytes(rounded.AsSpan()));
        float[] back = Flat(ToSingle(Tensor.Create(rounded, source.Lengths)));
        for (int i = 0; i < back.Length; i++)
        {
            if (float.IsFinite(numbers[i]) && !float.IsFinite(back[i]))
            {
                throw new InvalidDataException(
                    $"{option} has the number {numbers[i]}, which {NameOf(typeof(T))} does not have; --type float32 computes the layer in "
                    + "float32.");
            }
        }

        return Tensor.Create(rounded, source.Lengths);
    }

    /// <summary>A tensor in float32, which has the numbers of all element types.</summary>
    public static Tensor<float> ToSingle<T>(Tensor<T> source)
        where T : unmanaged
    {
        if (typeof(T) == typeof(float))
            return (Tensor<float>)(object)source;
        var numbers = new float[source.FlattenedLength];
        SafetensorsElements.Convert<float>(MemoryMarshal.AsBytes(Flat(source).AsSpan()), SafetensorsElements.TypeOf<T>(), numbers);
        return Tensor.Create(numbers, source.Lengths);
    }

    private static T[] Flat<T>(Tensor<T> tensor)
    {
        var values = new T[tensor.FlattenedLength];
        tensor.FlattenTo(values);
        return values;
    }
}
