using AttentionGpu.Memory;

namespace AttentionGpu.Operators;

/// <summary>Refuses calls of attention whose outputs share memory with anything.</summary>
internal static class AttentionOverlaps
{
    /// <exception cref="ArgumentException">An output overlaps an input or another output.</exception>
    public static void Check<T>(in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, string scoresName)
        where T : unmanaged
    {
        Check(outputs.Output, "output", inputs);
        Check(outputs.Scores, scoresName, inputs);
        Check(outputs.LogSumExp, "logSumExp", inputs);
        Check(outputs.PresentKey, "presentKey", inputs);
        Check(outputs.PresentValue, "presentValue", inputs);
        CallMemory.RequireDistinct(outputs.Scores, outputs.Output.AsInput(), scoresName, "output");
        CallMemory.RequireDistinct(outputs.LogSumExp, outputs.Output.AsInput(), "logSumExp", "output");
        CallMemory.RequireDistinct(outputs.LogSumExp, outputs.Scores.AsInput(), "logSumExp", scoresName);
        CallMemory.RequireDistinct(outputs.PresentValue, outputs.PresentKey.AsInput(), "presentValue", "presentKey");
        CheckPresent(outputs.PresentKey, "presentKey", outputs, scoresName);
        CheckPresent(outputs.PresentValue, "presentValue", outputs, scoresName);
    }

    private static void CheckPresent<T>(in TensorOutput<T> present, string name, in AttentionOutputs<T> outputs, string scoresName)
        where T : unmanaged
    {
        if (!present.IsPresent)
            return;
        CallMemory.RequireDistinct(present, outputs.Output.AsInput(), name, "output");
        CallMemory.RequireDistinct(present, outputs.Scores.AsInput(), name, scoresName);
        CallMemory.RequireDistinct(present, outputs.LogSumExp.AsInput(), name, "logSumExp");
    }

    private static void Check<TOutput, T>(in TensorOutput<TOutput> output, string name, in AttentionInputs<T> inputs)
        where TOutput : unmanaged
        where T : unmanaged
    {
        if (!output.IsPresent)
            return;
        CallMemory.RequireDistinct(output, inputs.Query, name, "query");
        CallMemory.RequireDistinct(output, inputs.Key, name, "key");
        CallMemory.RequireDistinct(output, inputs.Value, name, "value");
        CallMemory.RequireDistinct(output, inputs.PastKey, name, "pastKey");
        CallMemory.RequireDistinct(output, inputs.PastValue, name, "pastValue");
        CallMemory.RequireDistinct(output, inputs.Mask.Visible, name, "mask");
        CallMemory.RequireDistinct(output, inputs.Mask.Bias, name, "mask");
        CallMemory.RequireDistinct<TOutput, int>(output, inputs.QueryDocuments, name, "queryDocuments");
        CallMemory.RequireDistinct<TOutput, int>(output, inputs.KeyDocuments, name, "keyDocuments");
        CallMemory.RequireDistinct(output, inputs.AlibiSlopes, name, "alibiSlopes");
        CallMemory.RequireDistinct(output, inputs.Sinks, name, "sinks");
        CallMemory.RequireDistinct(output, inputs.QueryNorm, name, "queryNorm");
        CallMemory.RequireDistinct(output, inputs.KeyNorm, name, "keyNorm");
        CallMemory.RequireDistinct(output, inputs.RotaryCosine, name, "rotaryCosine");
        CallMemory.RequireDistinct(output, inputs.RotarySine, name, "rotarySine");
    }
}
