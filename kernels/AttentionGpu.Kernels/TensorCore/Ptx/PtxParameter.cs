using System.Runtime.CompilerServices;

namespace AttentionGpu.Kernels.TensorCore.Ptx;

/// <summary>A field of a struct, or of a struct in it.</summary>
public delegate ref TField PtxField<T, TField>(ref T value);

/// <summary>A kernel's parameter: a struct, as C# lays it out.</summary>
public sealed class PtxParameter<T>
    where T : unmanaged
{
    private readonly PtxText _text;
    private readonly string _name;

    internal PtxParameter(PtxText text, string name)
    {
        _text = text;
        _name = name;
    }

    internal string Declaration => $".param .align 8 .b8 {_name}[{Unsafe.SizeOf<T>()}]";

    /// <summary>A field of 32 bits.</summary>
    public Word Load(PtxField<T, int> field) => _text.Write<Word>("ld.param.u32", null, Address(field));

    /// <summary>A field of 64 bits.</summary>
    public Wide Load(PtxField<T, long> field) => _text.Write<Wide>("ld.param.u64", null, Address(field));

    /// <summary>A field that is a float32.</summary>
    public Real Load(PtxField<T, float> field) => _text.Write<Real>("ld.param.f32", null, Address(field));

    private string Address<TField>(PtxField<T, TField> field) => $"[{_name}+{PtxParameter.Offset(field)}]";
}

/// <summary>Where the fields of parameters are.</summary>
public static class PtxParameter
{
    /// <summary>Bytes from the start of a struct to a field.</summary>
    public static int Offset<T, TField>(PtxField<T, TField> field)
        where T : unmanaged
    {
        T value = default;
        return (int)Unsafe.ByteOffset(ref Unsafe.As<T, byte>(ref value), ref Unsafe.As<TField, byte>(ref field(ref value)));
    }
}
