using System.Runtime.InteropServices;

namespace AttentionGpu.Cli.Tests;

/// <summary>A tensor of a safetensors file as it is stored.</summary>
internal sealed record StoredTensor(string Type, int[] Shape, byte[] Bytes)
{
    public static StoredTensor Float32(int[] shape, params float[] values) => Of("F32", shape, values);

    public static StoredTensor Float16(int[] shape, params float[] values) =>
        Of("F16", shape, Array.ConvertAll(values, value => (Half)value));

    public static StoredTensor BFloat16(int[] shape, params float[] values) =>
        Of("BF16", shape, Array.ConvertAll(values, value => (BFloat16)value));

    public static StoredTensor Boolean(int[] shape, params bool[] values) => Of("BOOL", shape, values);

    public static StoredTensor Int64(int[] shape, params long[] values) => Of("I64", shape, values);

    private static StoredTensor Of<T>(string type, int[] shape, T[] values)
        where T : unmanaged => new(type, shape, MemoryMarshal.AsBytes<T>(values).ToArray());
}
