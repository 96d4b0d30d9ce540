using System.Numerics.Tensors;

namespace AttentionGpu.Layers;

/// <summary>The factors of norms of queries and keys, as they are multiplied.</summary>
internal static class NormFactors
{
    /// <param name="stored">As a checkpoint has them; null for no norm.</param>
    /// <param name="form">How it stores them.</param>
    public static Tensor<float>? Read(Tensor<float>? stored, StoredNorms form)
    {
        if (stored is null || form != StoredNorms.LessOne)
            return stored;
        Tensor<float> factors = Tensor.CreateFromShape<float>(stored.Lengths);
        for (nint i = 0; i < stored.FlattenedLength; i++)
            factors[i] = 1f + stored[i];
        return factors;
    }
}
