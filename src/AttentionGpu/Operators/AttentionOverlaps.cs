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
        TensorCall.RequireDistinct(outputs.Scores, outputs.Output.AsInput(), scoresName, "output");
        TensorCall.RequireDistinct(outputs.LogSumExp, outputs.Output.AsInput(), "logSumExp", "output");
        TensorCall.RequireDistinct(outputs.LogSumExp, outputs.Scores.AsInput(), "logSumExp", scoresName);
        TensorCall.RequireDistinct(outputs.PresentValue, outputs.PresentKey.AsInput(), "presentValue", "presentKey");
        CheckPresent(outputs.PresentKey, "presentKey", outputs, scoresName);
        CheckPresent(outputs.PresentValue, "presentValue", outputs, scoresName);
    }

    private static void CheckPresent<T>(in TensorOutput<T> present, string name, in AttentionOutputs<T> outputs, string scoresName)
        where T : unmanaged
    {
        if (!present.IsPresent)
            return;
        TensorCall.RequireDistinct(present, outputs.Output.AsInput(), name, "output");
        TensorCall.RequireDistinct(present, outputs.Scores.AsInput(), name, scoresName);
        TensorCall.RequireDistinct(present, outputs.LogSumExp.AsInput(), name, "logSumExp");
    }

    private static void Check<TOutput, T>(in TensorOutput<TOutput> output, string name, in AttentionInputs<T> inputs)
        where TOutput : unmanaged
        where T : unmanaged
    {
        if (!output.IsPresent)
            return;
        TensorCall.RequireDistinct(output, inputs.Query, name, "query");
        TensorCall.RequireDistinct(output, inputs.Key, name, "key");
        TensorCall.RequireDistinct(output, inputs.Value, name, "value");
        TensorCall.RequireDistinct(output, inputs.PastKey, name, "pastKey");
        TensorCall.RequireDistinct(output, inputs.PastValue, name, "pastValue");
        TensorCall.RequireDistinct(output, inputs.Mask.Visible, name, "mask");
        TensorCall.RequireDistinct(output, inputs.Mask.Bias, name, "mask");
        TensorCall.RequireDistinct<TOutput, int>(output, inputs.QueryDocuments, name, "queryDocuments");
        TensorCall.RequireDistinct<TOutput, int>(output, inputs.KeyDocuments, name, "keyDocuments");
        TensorCall.RequireDistinct(output, inputs.AlibiSlopes, name, "alibiSlopes");
        TensorCall.RequireDistinct(output, inputs.Sinks, name, "sinks");
        TensorCall.RequireDistinct(output, inputs.QueryNorm, name, "queryNorm");
        TensorCall.RequireDistinct(output, inputs.KeyNorm, name, "keyNorm");
        TensorCall.RequireDistinct(output, inputs.RotaryCosine, name, "rotaryCosine");
        TensorCall.RequireDistinct(output, inputs.RotarySine, name, "rotarySine");
    }
}
