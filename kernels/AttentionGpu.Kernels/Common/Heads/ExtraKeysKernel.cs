using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Common.Variants;
using ILGPU;
using ILGPU.Algorithms;

namespace AttentionGpu.Kernels.Common.Heads;

/// <summary>A finished attention that extra keys join.</summary>
public struct ExtraKeysArguments
{
    /// <summary>Queries of a batch entry.</summary>
    public int Length;

    /// <summary>Query heads.</summary>
    public int Heads;

    /// <summary>Query heads that share a key/value head.</summary>
    public int GroupSize;

    /// <summary>Elements of a query.</summary>
    public int HeadSize;

    /// <summary>Elements of a value and of an output row.</summary>
    public int ValueHeadSize;

    /// <summary>Columns of the finished attention's scores.</summary>
    public int KeyLength;

    /// <summary>Not 0 where there is a key of the caller's.</summary>
    public int HasKey;

    /// <summary>Not 0 where there is a key of zeros.</summary>
    public int HasZeroKey;

    /// <summary>What products are multiplied by.</summary>
    public float Scale;

    /// <summary>What scores are bounded by; 0 for not at all.</summary>
    public float Softcap;

    /// <summary>Not 0 where scores are weights.</summary>
    public int HasWeights;

    /// <summary>Not 0 where scores are means over heads.</summary>
    public int Averages;

    /// <summary>Not 0 where scores are products, before they are bounded.</summary>
    public int HasProducts;

    /// <summary>Where the queries lie.</summary>
    public RowLayout Query;

    /// <summary>Where the output rows lie.</summary>
    public RowLayout Output;

    /// <summary>Where the logarithms of sums lie, a row an element.</summary>
    public RowLayout LogSumExp;
}

/// <summary>
/// Joins keys that every query sees to a finished attention, by the logarithms of its rows' sums: <c>bias_k</c>, <c>bias_v</c> and
/// <c>add_zero_attn</c> of PyTorch's <c>nn.MultiheadAttention</c>. Two softmaxes join as the blocks of one do (Milakov and Gimelshein,
/// "Online normalizer calculation for softmax", 2018).
/// </summary>
public static class ExtraKeysKernel
{
    /// <summary>Most threads in a group of <see cref="Join"/>; the group's size is a power of two up to it.</summary>
    public const int MaxThreads = 128;

    /// <summary>Numbers of a row that <see cref="Store"/> reads: a factor, and the columns of the caller's key and of zeros.</summary>
    public const int RowNumbers = 3;

    /// <summary>
    /// One group a row: a load of a query's and two of an output's elements, a store of the latter, and log2(threads) barriers. Bound by
    /// memory.
    /// </summary>
    public static void Join<TElement>(
        ExtraKeysArguments shape, ArrayView<TElement> query, ArrayView<TElement> key, ArrayView<TElement> value,
        ArrayView<TElement> output, ArrayView<float> logSumExp, ArrayView<float> numbers)
        where TElement : unmanaged, IElement<TElement>
    {
        ArrayView<float> products = SharedMemory.Allocate<float>(MaxThreads);
        var place = new GroupPlace(shape.Length, 1, shape.Heads);
        int row = place.Column;
        int keyHead = place.Head / shape.GroupSize;
        long sumAt = shape.LogSumExp.Address(place.Batch, place.Head, row);
        float before = logSumExp[sumAt];
        float product = 0f;
        if (shape.HasKey != 0)
        {
            product = shape.Scale
                * Dot(
                    products, query, shape.Query.Address(place.Batch, place.Head, row), key,
                    (long)keyHead * shape.HeadSize, shape.HeadSize);
        }

        float score = shape.Softcap > 0f ? shape.Softcap * Softcap.Tanh(product / shape.Softcap) : product;
        float ofKey = shape.HasKey != 0 ? score : float.NegativeInfinity;
        float ofZero = shape.HasZeroKey != 0 ? 0f : float.NegativeInfinity;
        float largest = XMath.Max(before, XMath.Max(ofKey, ofZero));
        float beforeShare = Share(before, largest);
        float keyShare = Share(ofKey, largest);
        float zeroShare = Share(ofZero, largest);
        float sum = beforeShare + keyShare + zeroShare;
        float total = sum == 0f ? 1f : sum;
        float factor = beforeShare / total;
        float keyWeight = keyShare / total;
        long outputAt = shape.Output.Address(place.Batch, place.Head, row);
        long valueAt = (long)keyHead * shape.ValueHeadSize + Group.IdxX;
        for (int i = Group.IdxX; i < shape.ValueHeadSize; i += Group.DimX, valueAt += Group.DimX)
        {
            float added = shape.HasKey != 0 ? keyWeight * value[valueAt].ToSingle() : 0f;
            output[outputAt + i] = TElement.FromSingle(factor * output[outputAt + i].ToSingle() + added);
        }

        // No thread of the group may read the old sum any more.
        Group.Barrier();
        if (Group.IdxX != 0)
            return;
        logSumExp[sumAt] = largest + XMath.Log(total);
        long first = (long)Grid.IdxX * RowNumbers;
        if (first + RowNumbers > numbers.Length)
            return;
        numbers[first] = shape.HasWeights != 0 ? factor : 1f;
        numbers[first + 1] = shape.HasWeights != 0 ? keyWeight : shape.HasProducts != 0 ? product : score;
        numbers[first + 2] = shape.HasWeights != 0 ? zeroShare / total : 0f;
    }

    /// <summary>Copies scores and puts the columns of the extra keys behind them; one thread an element. Bound by memory.</summary>
    public static void Store<TElement>(
        ExtraKeysArguments shape, ArrayView<float> numbers, ArrayView<TElement> stored, ArrayView<TElement> scores)
        where TElement : unmanaged, IElement<TElement>
    {
        long element = (long)Grid.IdxX * Group.DimX + Group.IdxX;
        int heads = 0;
        int column = 0;
        long own = 0;

        // As in GroupPlace: the divisions stay in the branch.
        if (element < scores.Length)
        {
            int width = shape.KeyLength + shape.HasKey + shape.HasZeroKey;
            own = element / width;
            column = (int)(element - own * width);
            heads = 1;
            if (shape.Averages != 0)
            {
                heads = shape.Heads;
                own = own / shape.Length * shape.Heads * shape.Length + own % shape.Length;
            }
        }

        float sum = 0f;
        for (int head = 0; head < heads; head++, own += shape.Length)
        {
            long first = own * RowNumbers;
            float score = column >= shape.KeyLength
                ? numbers[first + (column == shape.KeyLength && shape.HasKey != 0 ? 1 : 2)]
                : shape.HasWeights != 0
                    ? numbers[first] * stored[own * shape.KeyLength + column].ToSingle()
                    : stored[own * shape.KeyLength + column].ToSingle();
            sum += score;
        }

        if (heads > 0)
            scores[element] = TElement.FromSingle(sum / heads);
    }

    // A logarithm of -inf has no share, even where the largest is -inf too.
    private static float Share(float logarithm, float largest) =>
        logarithm == float.NegativeInfinity ? 0f : XMath.Exp(logarithm - largest);

    private static float Dot<TElement>(
        ArrayView<float> products, ArrayView<TElement> query, long queryAt, ArrayView<TElement> key, long keyAt, int size)
        where TElement : unmanaged, IElement<TElement>
    {
        float sum = 0f;
        queryAt += Group.IdxX;
        keyAt += Group.IdxX;
        for (int i = Group.IdxX; i < size; i += Group.DimX, queryAt += Group.DimX, keyAt += Group.DimX)
            sum += query[queryAt].ToSingle() * key[keyAt].ToSingle();
        products[Group.IdxX] = sum;
        Group.Barrier();
        for (int distance = Group.DimX / 2; distance > 0; distance /= 2)
        {
            if (Group.IdxX < distance)
                products[Group.IdxX] += products[Group.IdxX + distance];
            Group.Barrier();
        }

        return products[0];
    }
}
