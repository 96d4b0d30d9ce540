using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>Checks of the tensors of a call that are not queries, keys, values or outputs.</summary>
internal static class AttentionRules
{
    /// <summary>Throws where two arguments exclude each other.</summary>
    public static void RefuseContradictions<T>(
        in AttentionHeads heads, in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions options, AttentionNames names)
        where T : unmanaged
    {
        bool hasPrefix = !inputs.PrefixLengths.IsEmpty;
        BadInput.RefuseWhen(hasPrefix && options.Causal == Causal.None, "prefixLengths", "nothing is causal");
        BadInput.RefuseWhen(heads.IsRagged && hasPrefix, "prefixLengths", "sequences are ragged");
        BadInput.RefuseWhen(heads.IsRagged && (inputs.Mask.Visible.IsPresent || inputs.Mask.Bias.IsPresent), "mask", "sequences are ragged");
        BadInput.RefuseWhen(heads.IsRagged && inputs.KeyPaddingMask.IsPresent, "keyPaddingMask", "sequences are ragged");
        BadInput.RefuseWhen(heads.IsRagged && inputs.KeyPaddingBias.IsPresent, "keyPaddingBias", "sequences are ragged");
        BadInput.RefuseWhen(heads.IsRagged && inputs.QueryDocuments.Rank != 0, "queryDocuments", "sequences are ragged");
        BadInput.RefuseWhen(heads.IsRagged && outputs.Scores.IsPresent, names.Scores, "sequences are ragged");
        BadInput.RefuseWhen(heads.IsRagged && outputs.PresentKey.IsPresent, "presentKey", "sequences are ragged");
        BadInput.RefuseWhen(heads.IsRagged && outputs.PresentValue.IsPresent, "presentValue", "sequences are ragged");
        if (heads.IsRagged && options.Layout != AttentionLayout.BatchHeadsLength)
            throw BadInput.OutOfRange("options", options.Layout, "The option 'Layout' must be left out where sequences are ragged.");
        if (heads.Cache is null && inputs.CacheLayer != 0)
            throw BadInput.OutOfRange("cacheLayer", inputs.CacheLayer, "'cacheLayer' must be left out where there is no 'cache'.");
        if (!heads.IsRagged && !inputs.CumulativeKeyLengths.IsEmpty)
            throw BadInput.Because("cumulativeKeyLengths", $"'cumulativeKeyLengths' must be left out where there are no '{names.CumulativeQueryLengths}'.");
        bool hasNorm = inputs.QueryNorm.IsPresent || inputs.KeyNorm.IsPresent;
        if (!hasNorm && options.NormEpsilon != AttentionOptions.DefaultNormEpsilon)
            throw BadInput.OutOfRange("options", options.NormEpsilon, "The option 'NormEpsilon' must be left out where nothing is normalised.");
        if (options.RotaryInterleaved && !inputs.RotaryCosine.IsPresent)
            throw BadInput.OutOfRange("options", true, "The option 'RotaryInterleaved' must be left out where there are no rotary tables.");
    }

    /// <summary>The stage of the scores that are asked for, with their shape checked; null for none.</summary>
    /// <param name="outputs">The outputs.</param>
    /// <param name="lengths">[batch, heads, query length, key length].</param>
    /// <param name="leftOut">How many of the first axes the call's tensors leave out.</param>
    /// <param name="name">The public name of the scores.</param>
    public static ScoreStage? Scores<T>(in AttentionOutputs<T> outputs, ReadOnlySpan<nint> lengths, int leftOut, string name)
        where T : unmanaged
    {
        if (!Enum.IsDefined(outputs.ScoreStage))
            throw new ArgumentOutOfRangeException(nameof(outputs), outputs.ScoreStage, "'ScoreStage' must be one of its named values.");
        if (!outputs.Scores.IsPresent)
        {
            if (outputs.ScoreStage != ScoreStage.Weights)
                throw BadInput.OutOfRange(nameof(outputs), outputs.ScoreStage, $"'ScoreStage' must be left out where there are no '{name}'.");
            return null;
        }

        if (outputs.ScoreStage == ScoreStage.AverageWeights)
        {
            ShapeRules.Require(
                outputs.Scores.Lengths, [lengths[0], lengths[2], lengths[3]], "[batch, query length, key length]", name,
                Math.Min(leftOut, 1));
        }
        else
        {
            ShapeRules.Require(outputs.Scores.Lengths, lengths, "[batch, heads, query length, key length]", name, leftOut);
        }

        return outputs.ScoreStage;
    }

    /// <summary>The changes of scores that come from tensors, with the shapes of padding and documents checked.</summary>
    public static ScoreVariants Variants<T>(in AttentionInputs<T> inputs, in AttentionHeads heads)
        where T : unmanaged
    {
        return (inputs.AlibiSlopes.IsPresent ? ScoreVariants.Alibi : 0)
            | (inputs.DistanceBias.IsPresent ? ScoreVariants.DistanceBias : 0)
            | (inputs.Mask.Bias.IsPresent ? ScoreVariants.Bias : 0)
            | KeyPaddingBias(inputs, heads)
            | (inputs.Mask.Visible.IsPresent ? ScoreVariants.Mask : 0)
            | (HasDocuments(inputs, heads) ? ScoreVariants.Documents : 0)
            | (HasKeyPadding(inputs, heads) ? ScoreVariants.KeyPadding : 0);
    }

    /// <summary>Whether there are document numbers, with their shapes checked.</summary>
    private static bool HasDocuments<T>(in AttentionInputs<T> inputs, in AttentionHeads heads)
        where T : unmanaged
    {
        if (inputs.QueryDocuments.Rank == 0)
        {
            BadInput.RefuseWhen(inputs.KeyDocuments.Rank != 0, "keyDocuments", "there are no 'queryDocuments'");
            return false;
        }

        RequireRows(inputs.QueryDocuments.Lengths, heads, heads.Query.Length, "[batch, query length]", "queryDocuments");
        if (inputs.KeyDocuments.Rank != 0)
            RequireRows(inputs.KeyDocuments.Lengths, heads, heads.TotalKeys, "[batch, key length]", "keyDocuments");
        else if (heads.TotalKeys != heads.Query.Length)
            throw BadInput.Because("keyDocuments", "'keyDocuments' must be given where there are not as many keys as queries.");
        return true;
    }

    /// <summary>Whether there is a mask of padding, with its shape checked.</summary>
    private static bool HasKeyPadding<T>(in AttentionInputs<T> inputs, in AttentionHeads heads)
        where T : unmanaged
    {
        if (!inputs.KeyPaddingMask.IsPresent)
            return false;
        RequireRows(inputs.KeyPaddingMask.Lengths, heads, heads.TotalKeys, "[batch, key length]", "keyPaddingMask");
        return true;
    }

    /// <summary>
    /// The change of scores by an additive mask of padding, with its shape checked: the additive mask, or one beside the call's own.
    /// </summary>
    private static ScoreVariants KeyPaddingBias<T>(in AttentionInputs<T> inputs, in AttentionHeads heads)
        where T : unmanaged
    {
        if (!inputs.KeyPaddingBias.IsPresent)
            return ScoreVariants.None;
        RequireRows(inputs.KeyPaddingBias.Lengths, heads, heads.TotalKeys, "[batch, key length]", "keyPaddingBias");
        return inputs.Mask.Bias.IsPresent ? ScoreVariants.KeyBias : ScoreVariants.Bias;
    }

    /// <summary>Requires [batch, length], without the batch where the call's tensors leave it out.</summary>
    private static void RequireRows(ReadOnlySpan<nint> lengths, in AttentionHeads heads, int length, string axes, string name) =>
        ShapeRules.Require(lengths, [heads.Query.Batch, length], axes, name, Math.Min(heads.AxesLeftOut, 1));

    /// <summary>Requires a number for each query head, where there is a tensor.</summary>
    public static void RequireHeads(in TensorInput<float> tensor, int heads, string name)
    {
        if (tensor.IsPresent)
            ShapeRules.Require(tensor.Lengths, [heads], "[heads]", name);
    }

    /// <summary>The slopes from one batch entry to the next, with the shape of slopes checked.</summary>
    /// <param name="slopes">[heads], or [batch, heads]; or none.</param>
    /// <param name="batch">Batch entries; ragged sequences.</param>
    /// <param name="heads">Query heads.</param>
    public static int AlibiBatchStride(in TensorInput<float> slopes, int batch, int heads)
    {
        if (slopes.Lengths.Length == 2)
            ShapeRules.Require(slopes.Lengths, [batch, heads], "[heads], or [batch (ragged sequences), heads]", "alibiSlopes");
        else
            RequireHeads(slopes, heads, "alibiSlopes");
        return slopes.Lengths.Length == 2 ? heads : 0;
    }

    /// <summary>The largest distance with a bias of its own, with the shape of the table checked.</summary>
    /// <param name="table">The shape of the table: [heads, 2 x reach + 1].</param>
    /// <param name="heads">Query heads.</param>
    /// <param name="name">The table, as messages name it.</param>
    public static int DistanceReach(ReadOnlySpan<nint> table, int heads, string name)
    {
        nint columns = table.Length == 2 ? table[1] : 1;
        ShapeRules.Require(table, [heads, columns | 1], "[heads, 2 x reach + 1]", name);
        return (int)(columns / 2);
    }

    /// <summary>Where the logarithms of sums go, with their shape checked where the caller asks for them.</summary>
    public static TensorLayout LogSumExp<T>(in AttentionOutputs<T> outputs, in AttentionHeads heads)
        where T : unmanaged
    {
        HeadTensor query = heads.Query;
        if (outputs.LogSumExp.IsPresent && heads.IsRagged)
        {
            ShapeRules.Require(outputs.LogSumExp.Lengths, [query.Heads, query.Length], "[heads, tokens]", "logSumExp");
        }
        else if (outputs.LogSumExp.IsPresent)
        {
            ShapeRules.Require(
                outputs.LogSumExp.Lengths, [query.Batch, query.Heads, query.Length], "[batch, heads, query length]", "logSumExp",
                heads.AxesLeftOut);
        }

        return heads.IsRagged ? new TensorLayout(0, query.Length, 1) : TensorLayout.Contiguous(query.Heads, query.Length, 1);
    }

    /// <summary>Keys that every query sees beside the others, with the shapes of the caller's checked.</summary>
    public static int ExtraKeys<T>(in AttentionHeads heads, in AttentionInputs<T> inputs, AttentionOptions options)
        where T : unmanaged
    {
        int zeros = options.AddZeroAttention ? 1 : 0;
        if (!inputs.ExtraKey.IsPresent && !inputs.ExtraValue.IsPresent)
            return zeros;
        const string missing = "'extraKey' and 'extraValue' must be given together; '{0}' is missing.";
        if (!inputs.ExtraKey.IsPresent)
            throw BadInput.Because("extraKey", string.Format(null, missing, "extraKey"));
        if (!inputs.ExtraValue.IsPresent)
            throw BadInput.Because("extraValue", string.Format(null, missing, "extraValue"));
        ShapeRules.Require(inputs.ExtraKey.Lengths, [heads.Key.Heads, heads.Key.Size], "[key/value heads, head size]", "extraKey");
        ShapeRules.Require(
            inputs.ExtraValue.Lengths, [heads.Key.Heads, heads.Value.Size], "[key/value heads, value head size]", "extraValue");
        return 1 + zeros;
    }

    /// <summary>Elements of a row that are rotated, with the shapes of norms and rotary tables checked; 0 for none.</summary>
    public static int RotarySize<T>(in AttentionInputs<T> inputs, in AttentionHeads heads)
        where T : unmanaged
    {
        int headSize = heads.Query.Size;
        if (inputs.QueryNorm.IsPresent)
            ShapeRules.Require(inputs.QueryNorm.Lengths, [headSize], "[head size]", "queryNorm");
        if (inputs.KeyNorm.IsPresent)
            ShapeRules.Require(inputs.KeyNorm.Lengths, [headSize], "[head size]", "keyNorm");
        if (!inputs.RotaryCosine.IsPresent && !inputs.RotarySine.IsPresent)
        {
            BadInput.RefuseWhen(inputs.QueryPositions.Rank != 0, "queryPositions", "there are no rotary tables");
            BadInput.RefuseWhen(inputs.KeyPositions.Rank != 0, "keyPositions", "there are no rotary tables");
            return 0;
        }

        ReadOnlySpan<nint> table = inputs.RotaryCosine.Lengths;
        ShapeRules.RequireRank(
            table, table.Length == 3 ? 3 : 2, "[positions, rotary size / 2], or [batch, length, rotary size / 2]", "rotaryCosine");
        nint half = table[^1];
        if (half < 1 || 2 * half > headSize)
            throw ShapeRules.Error(inputs.RotaryCosine.Lengths, $"must have 1 to {headSize / 2} columns, half of the head size {headSize} at most", "rotaryCosine");
        ShapeRules.Require(inputs.RotarySine.Lengths, table, "the shape of 'rotaryCosine'", "rotarySine");
        if (table.Length == 3)
            CheckTablesOfTokens(inputs, heads);
        return 2 * (int)half;
    }

    // Without positions row i is that of an entry's i-th query and of its i-th new key: there are as many rows, so that tables with rows of
    // the past are never taken for others.
    private static void CheckTablesOfTokens<T>(in AttentionInputs<T> inputs, in AttentionHeads heads)
        where T : unmanaged
    {
        ReadOnlySpan<nint> table = inputs.RotaryCosine.Lengths;
        if (table[0] != heads.Query.Batch && table[0] != 1)
        {
            string rule = heads.IsRagged
                ? "must have 1 as axis 0 where sequences are ragged"
                : $"must have query's batch, {heads.Query.Batch}, or 1 as axis 0";
            throw ShapeRules.Error(table, rule, "rotaryCosine");
        }

        bool hasQueryPositions = inputs.QueryPositions.Rank != 0;
        if (hasQueryPositions != (inputs.KeyPositions.Rank != 0))
        {
            throw BadInput.Because(
                hasQueryPositions ? "keyPositions" : "queryPositions",
                "'queryPositions' and 'keyPositions' must be given together, or neither, where 'rotaryCosine' has an axis of batch.");
        }

        int rows = Math.Max(heads.Query.Length, heads.Key.Length);
        if (!hasQueryPositions && table[1] != rows)
        {
            throw ShapeRules.Error(
                table, $"must have {rows} as axis 1 (the length of the longer of 'query' and 'key') where there are no positions",
                "rotaryCosine");
        }
    }
}
