namespace AttentionGpu.Backends.Simd.Stored;

/// <summary>Elements of keys and values as a cache stores them: widened to floats in registers, not multiplied by their scales.</summary>
internal unsafe interface IStoredElements<TVector>
    where TVector : unmanaged
{
    /// <summary>Elements of a row that share a scale; <see cref="int.MaxValue"/> where groups have none.</summary>
    static abstract int GroupSize { get; }

    /// <summary>Whether a row has one scale.</summary>
    static abstract bool HasRowScale { get; }

    /// <summary>
    /// Whether elements are read with so few instructions that the products of a few rows wait for memory.
    /// </summary>
    static abstract bool WaitsForMemory { get; }

    /// <summary>A vector of a row's elements.</summary>
    /// <param name="row">The row.</param>
    /// <param name="element">The first element: a multiple of a vector's.</param>
    static abstract TVector Load(byte* row, int element);

    /// <summary>One element of a row.</summary>
    static abstract float LoadOne(byte* row, int element);
}
