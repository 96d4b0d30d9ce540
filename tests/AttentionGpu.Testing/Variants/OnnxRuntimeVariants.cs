using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Tests.Variants;

/// <summary>
/// ONNX Runtime's answers to problems with variants: <c>RMSNormalization</c>, <c>RotaryEmbedding</c> and <c>Attention</c>. Where nothing
/// but causality,
/// aligned top left, and one mask hides keys, they are the operator's own; elsewhere what hides keys or adds to scores by position,
/// documents or
/// length goes in as one additive mask, made from the definitions.
/// </summary>
internal static class OnnxRuntimeVariants
{
    private const int WeightsMode = 3;

    /// <summary>The kind without what ONNX Runtime 1.31 does not have: sinks, log-sum-exp, extra keys, ragged sequences, key lengths with
    /// NaN behind them, other element types and other scores than weights.</summary>
    public static VariantKind Nearest(VariantKind kind)
    {
        int[] choices = [.. kind.Choices];
        choices[VariantKind.Index("element type")] = 0;
        choices[VariantKind.Index("sinks")] = 0;
        choices[VariantKind.Index("log-sum-exp")] = 0;
        choices[VariantKind.Index("extra keys")] = 0;
        if (kind.IsRagged || kind.Sequences == SequenceForm.KeyLengths)
            choices[VariantKind.Index("sequences")] = (int)SequenceForm.Past;
        if (kind.Scores is not null)
            choices[VariantKind.Index("scores")] = 1 + (int)ScoreStage.Weights;
        return new VariantKind(choices);
    }

    /// <summary>Whether causality and the mask are the operator's own.</summary>
    public static bool HasOwnMask(VariantKind kind) =>
        kind.Causal != Causal.BottomRight && kind.Mask is not (VariantMask.Both or VariantMask.ShortBoth)
        && kind.Sequences == SequenceForm.Plain && kind.Window == WindowForm.None && !kind.Prefix && !kind.Alibi && !kind.DistanceBias && !kind.Documents
        && kind.Padding == PaddingForm.None;

    public static VariantResult Run(VariantCase problem)
    {
        var model = new OnnxModel();
        var values = new Dictionary<string, OrtValue>();
        string Input(string name, Tensor<float>? tensor) => tensor is null ? "" : OnnxRuntimeOracle.Add(model, values, name, tensor);
        string Prepared(string name, Tensor<float> rows, Tensor<float>? norm, Tensor<int>? positions)
        {
            string result = Input(name, rows);
            if (norm is not null)
            {
                result = model.AddNode(
                    "RMSNormalization", [result, Input(name + "_norm", norm)], [name + "_normalized"], ("axis", -1), ("epsilon", problem.Options.NormEpsilon));
            }

            if (problem.Cosine is null)
                return result;
            int length = (int)rows.Lengths[2];
            long[] ids = positions is not null
                ? Array.ConvertAll(Data.Flat(positions), position => (long)position)
                : [.. Enumerable.Range(0, problem.Batch * length).Select(i => (long)(problem.PastLength + i % length))];
            if (problem.Cosine.Rank == 3)
            {
                Tensor<float> Of(Tensor<float> table) => TablesOfTokens(table, positions, problem.Batch, length);
                return model.AddNode(
                    "RotaryEmbedding", [result, Input(name + "_cos", Of(problem.Cosine)), Input(name + "_sin", Of(problem.Sine!))],
                    [name + "_rotated"], ("interleaved", 0), ("rotary_embedding_dim", 2 * (int)problem.Cosine.Lengths[^1]));
            }

            string position = OnnxRuntimeOracle.Add(model, values, name + "_positions", Tensor.Create(ids, [problem.Batch, length]));
            return model.AddNode(
                "RotaryEmbedding", [result, Input(name + "_cos", problem.Cosine), Input(name + "_sin", problem.Sine), position], [name + "_rotated"],
                ("interleaved", problem.Options.RotaryInterleaved ? 1 : 0), ("rotary_embedding_dim", 2 * (int)problem.Cosine.Lengths[1]));
        }

        string query = Prepared("q", problem.Query, problem.QueryNorm, problem.QueryPositions);
        bool needsWeights = problem.Kind.Scores is not null;
        Tensor<float> added = NaiveAttention.Added(problem);
        bool own = HasOwnMask(problem.Kind);
        string mask = !own ? Input("mask", added)
            : problem.Mask is not null ? OnnxRuntimeOracle.Add(model, values, "mask", Broadcast(problem.Mask, problem, hidden: false))
            : problem.Bias is not null ? Input("mask", Broadcast(problem.Bias, problem, float.NegativeInfinity))
            : "";

        // A negative scale goes in as negative queries.
        float scale = problem.Options.Scale ?? (float)(1.0 / Math.Sqrt(problem.HeadSize));
        List<(string, object)> attributes =
            [("scale", Math.Abs(scale)), ("is_causal", own && problem.Kind.Causal == Causal.TopLeft ? 1 : 0)];
        if (problem.Options.Softcap is float softcap)
            attributes.Add(("softcap", softcap));
        if (needsWeights)
            attributes.Add(("qk_matmul_output_mode", WeightsMode));
        model.AddNode(
            "Attention",
            [
                scale < 0f ? model.AddNode("Neg", [query], ["q_negative"]) : query,
                Prepared("k", problem.Key, problem.KeyNorm, problem.KeyPositions),
                Input("v", problem.Value),
                mask,
                Input("past_key", problem.PastKey),
                Input("past_value", problem.PastValue),
            ],
            problem.PastKey is not null || problem.Kind.Present
                ? ["Y", "present_key", "present_value", .. needsWeights ? (string[])["W"] : []]
                : ["Y", "", "", .. needsWeights ? (string[])["W"] : []],
            [.. attributes]);
        string[] names =
            ["Y", .. needsWeights ? (string[])["W"] : [], .. problem.Kind.Present ? (string[])["present_key", "present_value"] : []];
        Tensor<float>[] results = OnnxRuntimeOracle.Run(model, values, names);
        ZeroRowsThatSeeNothing(added, results[0]);
        if (needsWeights)
            ZeroRowsThatSeeNothing(added, results[1]);
        return new VariantResult(
            results[0], needsWeights ? results[1] : null, null, problem.Kind.Present ? results[^2] : null, problem.Kind.Present ? results[^1] : null);
    }

    // ONNX Runtime 1.31 takes masks of rank 2 to 4 only, does not broadcast their query axis, and refuses those with fewer keys.
    private static Tensor<T> Broadcast<T>(Tensor<T> mask, VariantCase problem, T hidden)
    {
        nint[] all = [problem.Batch, problem.Heads, problem.QueryLength, problem.TotalKeys];
        nint keys = mask.Lengths[^1];
        if (keys == 1)
            return Tensor.Broadcast(mask.AsReadOnlyTensorSpan(), all);
        Tensor<T> padded = Tensor.CreateFromShape<T>(all);
        padded.AsTensorSpan().Fill(hidden);
        if (keys > 0)
            Tensor.Broadcast(mask.AsReadOnlyTensorSpan(), [.. all[..3], keys]).CopyTo(padded.AsTensorSpan()[.., .., .., ..(int)keys]);
        return padded;
    }

    // A row of a batch entry's table for each of its tokens: the operator takes no positions then, and no other number of rows.
    private static Tensor<float> TablesOfTokens(Tensor<float> table, Tensor<int>? positions, int batch, int length)
    {
        Tensor<float> result = Tensor.CreateFromShape<float>([batch, length, table.Lengths[2]]);
        for (int entry = 0; entry < batch; entry++)
        {
            for (int token = 0; token < length; token++)
            {
                for (nint pair = 0; pair < table.Lengths[2]; pair++)
                    result[entry, token, pair] = table[table.Lengths[0] == 1 ? 0 : entry, positions?[entry, token] ?? token, pair];
            }
        }

        return result;
    }

    // ONNX Runtime 1.31 gives the mean of the values where every key is hidden; the operator's definition says zeros.
    private static void ZeroRowsThatSeeNothing(Tensor<float> added, Tensor<float> result)
    {
        for (nint batch = 0; batch < result.Lengths[0]; batch++)
        {
            for (nint head = 0; head < result.Lengths[1]; head++)
            {
                for (nint query = 0; query < result.Lengths[2]; query++)
                {
                    bool seesNothing = true;
                    for (nint key = 0; key < added.Lengths[3]; key++)
                        seesNothing &= float.IsNegativeInfinity(added[batch, head, query, key]);
                    for (nint i = 0; seesNothing && i < result.Lengths[3]; i++)
                        result[batch, head, query, i] = 0f;
                }
            }
        }
    }
}
