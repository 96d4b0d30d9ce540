using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>Infinities and NaN in keys and values, as in memory that nobody has written.</summary>
internal static class Garbage
{
    private const int VisibleShare = 12;

    private static readonly float[] _garbage = [float.NaN, float.PositiveInfinity, float.NegativeInfinity];

    /// <summary>
    /// The same problem with garbage in all keys and values that no query sees, and in an element of some values that a query may see.
    /// </summary>
    public static VariantCase Fill(VariantCase problem, Random random)
    {
        VariantCase filled = problem with
        {
            Key = Copy(problem.Key)!,
            Value = Copy(problem.Value)!,
            PastKey = Copy(problem.PastKey),
            PastValue = Copy(problem.PastValue),
        };
        int sequences = problem.IsRagged ? problem.QueryStarts.Length - 1 : problem.Batch;
        for (int sequence = 0; sequence < sequences; sequence++)
        {
            int keys = problem.IsRagged ? problem.KeyStarts[sequence + 1] - problem.KeyStarts[sequence] : problem.TotalKeys;
            for (int head = 0; head < problem.KeyValueHeads; head++)
            {
                for (int key = 0; key < keys; key++)
                {
                    if (!IsSeen(problem, sequence, head, key))
                    {
                        for (int i = 0; i < problem.HeadSize; i++)
                            Element(filled, filled.PastKey, filled.Key, sequence, head, key, i) = Draw(random);
                        for (int i = 0; i < problem.ValueSize; i++)
                            Element(filled, filled.PastValue, filled.Value, sequence, head, key, i) = Draw(random);
                    }
                    else if (random.Next(VisibleShare) == 0)
                    {
                        Element(filled, filled.PastValue, filled.Value, sequence, head, key, random.Next(problem.ValueSize)) = Draw(random);
                    }
                }
            }
        }

        return filled;
    }

    private static Tensor<float>? Copy(Tensor<float>? tensor) => tensor is null ? null : Tensor.Create(Data.Flat(tensor), tensor.Lengths);

    private static float Draw(Random random) => _garbage[random.Next(_garbage.Length)];

    private static bool IsSeen(VariantCase problem, int sequence, int keyHead, int key)
    {
        int group = problem.Heads / problem.KeyValueHeads;
        int queries = problem.IsRagged ? problem.QueryStarts[sequence + 1] - problem.QueryStarts[sequence] : problem.QueryLength;
        for (int head = keyHead * group; head < (keyHead + 1) * group; head++)
        {
            for (int query = 0; query < queries; query++)
            {
                if (NaiveAttention.Sees(problem, sequence, head, query, key))
                    return true;
            }
        }

        return false;
    }

    private static ref float Element(
        VariantCase problem, Tensor<float>? past, Tensor<float> rows, int sequence, int head, int key, int element)
    {
        if (problem.IsRagged)
            return ref rows[problem.KeyStarts[sequence] + key, head, element];
        if (key < problem.PastLength)
            return ref past![sequence, head, key, element];
        return ref rows[sequence, head, key - problem.PastLength, element];
    }
}
