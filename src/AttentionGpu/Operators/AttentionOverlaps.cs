using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>
/// Refuses calls of attention whose outputs share memory with anything, themselves included. A present may begin with its past.
/// </summary>
internal static class AttentionOverlaps
{
    /// <exception cref="ArgumentException">An output overlaps an input, another output or itself.</exception>
    public static void Check<T>(
        in AttentionHeads heads, in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionNames names)
        where T : unmanaged
    {
        Check(outputs.Output, "output", inputs, names);
        Check(outputs.Scores, names.Scores, inputs, names);
        Check(outputs.LogSumExp, "logSumExp", inputs, names);
        Check(outputs.PresentKey, "presentKey", inputs, names, continuesKey: heads.PresentKey.ContinuesPast);
        Check(outputs.PresentValue, "presentValue", inputs, names, continuesValue: heads.PresentValue.ContinuesPast);
        TensorOverlap.RequireDistinct(outputs.Scores, outputs.Output.AsInput(), names.Scores, "output");
        TensorOverlap.RequireDistinct(outputs.LogSumExp, outputs.Output.AsInput(), "logSumExp", "output");
        TensorOverlap.RequireDistinct(outputs.LogSumExp, outputs.Scores.AsInput(), "logSumExp", names.Scores);
        TensorOverlap.RequireDistinct(outputs.PresentValue, outputs.PresentKey.AsInput(), "presentValue", "presentKey");
        CheckPresent(outputs.PresentKey, "presentKey", outputs, names);
        CheckPresent(outputs.PresentValue, "presentValue", outputs, names);
    }

    private static void CheckPresent<T>(in TensorOutput<T> present, string name, in AttentionOutputs<T> outputs, AttentionNames names)
        where T : unmanaged
    {
        if (!present.IsPresent)
            return;
        TensorOverlap.RequireDistinct(present, outputs.Output.AsInput(), name, "output");
        TensorOverlap.RequireDistinct(present, outputs.Scores.AsInput(), name, names.Scores);
        TensorOverlap.RequireDistinct(present, outputs.LogSumExp.AsInput(), name, "logSumExp");
    }

    private static void Check<TOutput, T>(
        in TensorOutput<TOutput> output, string name, in AttentionInputs<T> inputs, AttentionNames names, bool continuesKey = false,
        bool continuesValue = false)
        where TOutput : unmanaged
        where T : unmanaged
    {
        if (!output.IsPresent)
            return;
        TensorOverlap.RequireOwnElements(output, name);
        TensorOverlap.RequireDistinct(output, inputs.Query, name, names.Query);
        TensorOverlap.RequireDistinct(output, inputs.Key, name, "key");
        TensorOverlap.RequireDistinct(output, inputs.Value, name, "value");
        if (!continuesKey)
            TensorOverlap.RequireDistinct(output, inputs.PastKey, name, "pastKey");
        if (!continuesValue)
            TensorOverlap.RequireDistinct(output, inputs.PastValue, name, "pastValue");
        TensorOverlap.RequireDistinct(output, inputs.Mask.Visible, name, "mask");
        TensorOverlap.RequireDistinct(output, inputs.Mask.Bias, name, "mask");
        TensorOverlap.RequireDistinct<TOutput, int>(output, inputs.QueryDocuments, name, "queryDocuments");
        TensorOverlap.RequireDistinct<TOutput, int>(output, inputs.KeyDocuments, name, "keyDocuments");
        TensorOverlap.RequireDistinct(output, inputs.KeyPaddingMask, name, "keyPaddingMask");
        TensorOverlap.RequireDistinct(output, inputs.KeyPaddingBias, name, "keyPaddingBias");
        TensorOverlap.RequireDistinct<TOutput, int>(output, inputs.QueryPositions, name, "queryPositions");
        TensorOverlap.RequireDistinct<TOutput, int>(output, inputs.KeyPositions, name, "keyPositions");
        TensorOverlap.RequireDistinct(output, inputs.AlibiSlopes, name, "alibiSlopes");
        TensorOverlap.RequireDistinct(output, inputs.DistanceBias, name, "distanceBias");
        TensorOverlap.RequireDistinct(output, inputs.Sinks, name, "sinks");
        TensorOverlap.RequireDistinct(output, inputs.ExtraKey, name, "extraKey");
        TensorOverlap.RequireDistinct(output, inputs.ExtraValue, name, "extraValue");
        TensorOverlap.RequireDistinct(output, inputs.QueryNorm, name, "queryNorm");
        TensorOverlap.RequireDistinct(output, inputs.KeyNorm, name, "keyNorm");
        TensorOverlap.RequireDistinct(output, inputs.RotaryCosine, name, "rotaryCosine");
        TensorOverlap.RequireDistinct(output, inputs.RotarySine, name, "rotarySine");
    }
}
