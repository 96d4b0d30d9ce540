namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>Neighbouring vectors that a register tile works on together; the fields of a row stay in registers.</summary>
internal unsafe interface ITileRow<TSelf, TVector>
    where TSelf : struct, ITileRow<TSelf, TVector>
    where TVector : unmanaged
{
    /// <summary>Floats in a row.</summary>
    static abstract int Lanes { get; }

    static abstract TSelf Zero { get; }

    static abstract TSelf Load(float* source);

    static abstract void Store(TSelf row, float* target);

    static abstract TSelf Add(TSelf left, TSelf right);

    static abstract TSelf Max(TSelf left, TSelf right);

    /// <summary>left * right + addend, with the same left operand in every vector.</summary>
    static abstract TSelf MultiplyAdd(TVector left, TSelf right, TSelf addend);

    /// <summary>left * right + addend, lane by lane.</summary>
    static abstract TSelf MultiplyAdd(TSelf left, TSelf right, TSelf addend);
}
