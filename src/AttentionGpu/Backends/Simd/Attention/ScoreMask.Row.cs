using System.Runtime.CompilerServices;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>Masks of one query, keys in the lanes: for a few queries, and for masks that are the same for all.</summary>
internal sealed unsafe partial class ScoreMask<TVector, TOperations>
{
    /// <summary>Adds a row that <see cref="ReadRow"/> has read to the scores of one query.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddRow(float* row, float* scores, int count)
    {
        TVector lowest = TOperations.Broadcast(float.MinValue);
        TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
        int key = 0;
        for (; key + TOperations.Width <= count; key += TOperations.Width)
        {
            TVector added = TOperations.Load(row + key);
            TVector sum = TOperations.Add(TOperations.Load(scores + key), added);
            TOperations.Store(TOperations.SelectLess(added, lowest, hidden, sum), scores + key);
        }

        for (; key < count; key++)
            scores[key] = row[key] == float.NegativeInfinity ? float.NegativeInfinity : scores[key] + row[key];
    }

    /// <summary>Reads what is added to the scores of one query into <paramref name="row"/>.</summary>
    public void ReadRow(int batch, int head, int query, int firstKey, int count, float* row)
    {
        float all = 0f;
        float* bias = null;
        byte* visible = null;
        int* documents = null;
        int own = 0;
        byte* padding = _signature.Has(ScoreVariants.KeyPadding) ? Padding(batch, firstKey) : null;
        if (_signature.Has(ScoreVariants.Bias))
        {
            bias = Bias(context.Extent.Bias.Offset(batch, head, query, firstKey));
            if (context.Extent.Bias.Key == 0)
            {
                all = *bias;
                bias = null;
            }
        }

        if (_signature.Has(ScoreVariants.Mask))
        {
            visible = Mask(context.Extent.Mask.Offset(batch, head, query, firstKey));
            if (context.Extent.Mask.Key == 0)
            {
                all = *visible == 0 ? float.NegativeInfinity : all;
                bias = *visible == 0 ? null : bias;
                visible = null;
            }
        }

        if (_signature.Has(ScoreVariants.Documents))
        {
            own = *QueryDocuments(batch, query);
            documents = KeyDocuments(batch, firstKey);
        }

        for (int key = Combine(all, bias, visible, documents, own, padding, row, count); key < count; key++)
        {
            float added = bias == null ? all : bias[key];
            bool hides = (visible != null && visible[key] == 0) || (documents != null && documents[key] != own)
                || (padding != null && padding[key] != 0);
            row[key] = hides ? float.NegativeInfinity : added;
        }
    }

    // Whole vectors of keys; returns how many keys are done. A vector: 1 load and 1 selection for each mask, 1 store.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Combine(float all, float* bias, byte* visible, int* documents, int own, byte* padding, float* row, int count)
    {
        TVector hidden = TOperations.Broadcast(float.NegativeInfinity);
        TVector same = TOperations.Broadcast(all);
        int key = 0;
        for (; key + TOperations.Width <= count; key += TOperations.Width)
        {
            TVector added = bias == null ? same : TOperations.Load(bias + key);
            if (visible != null)
                added = TOperations.SelectZero(visible + key, hidden, added);
            if (documents != null)
                added = TOperations.SelectEqual(documents + key, own, added, hidden);
            if (padding != null)
                added = TOperations.SelectZero(padding + key, added, hidden);
            TOperations.Store(added, row + key);
        }

        return key;
    }
}
