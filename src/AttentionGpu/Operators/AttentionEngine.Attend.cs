using AttentionGpu.KeyValueCaches;
using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>The one way of a call of attention: lowered, brought to the device, given its memory, started, and brought back.</content>
public sealed partial class AttentionEngine
{
    /// <summary>Runs a call, of the operator or of a layer.</summary>
    /// <param name="call">The call's memory.</param>
    /// <param name="heads">Queries, keys, values and output of attention.</param>
    /// <param name="inputs">The tensors that the call reads.</param>
    /// <param name="outputs">The tensors that it writes.</param>
    /// <param name="options">Its options, validated.</param>
    /// <param name="names">The public names of its arguments.</param>
    /// <param name="steps">What a layer does before and after attention.</param>
    internal unsafe void Attend<T, TSteps>(
        ref CallMemory call, in AttentionHeads heads, scoped in AttentionInputs<T> inputs, scoped in AttentionOutputs<T> outputs,
        AttentionOptions options, AttentionNames names, TSteps steps)
        where T : unmanaged
        where TSteps : IAttentionSteps
    {
        if (heads.Cache is not null && !ReferenceEquals(heads.Cache.Cache.Lifetime, Lifetime))
            throw BadInput.Because("cache", "'cache' must be a batch of a cache of this engine; it is another engine's.");
        using AttentionRequest request = AttentionRequest.Create(heads, inputs, outputs, options, names, IsBatchInvariant);
        AttentionOverlaps.Check(heads, inputs, outputs, names);
        if (heads.PreparesOnly)
        {
            Prepare(ref call, request, heads, steps);
            return;
        }

        bool strided = steps.TakesStridedRows;
        fixed (T* query = inputs.Query.Host, key = inputs.Key.Host, value = inputs.Value.Host)
        fixed (T* pastKey = inputs.PastKey.Host, pastValue = inputs.PastValue.Host)
        fixed (T* extraKey = inputs.ExtraKey.Host, extraValue = inputs.ExtraValue.Host)
        fixed (T* output = outputs.Output.Host, scores = outputs.Scores.Host)
        fixed (T* presentKey = outputs.PresentKey.Host, presentValue = outputs.PresentValue.Host)
        fixed (bool* mask = inputs.Mask.Visible.Host, padding = inputs.KeyPaddingMask.Host)
        fixed (float* bias = inputs.Mask.Bias.Host, keyBias = inputs.KeyPaddingBias.Host)
        fixed (float* slopes = inputs.AlibiSlopes.Host, distanceBias = inputs.DistanceBias.Host, sinks = inputs.Sinks.Host)
        fixed (float* queryNorm = inputs.QueryNorm.Host, keyNorm = inputs.KeyNorm.Host)
        fixed (float* cosine = inputs.RotaryCosine.Host, sine = inputs.RotarySine.Host, logSumExp = outputs.LogSumExp.Host)
        fixed (int* queryDocuments = inputs.QueryDocuments, keyDocuments = inputs.KeyDocuments)
        {
            TensorInput<int> documents = inputs.QueryDocuments;
            TensorInput<int> ofKeys = inputs.KeyDocuments;
            DeviceMemory queryNumbers = call.Input(documents, queryDocuments, "queryDocuments");
            var memory = new AttentionMemory
            {
                PresentKey = call.Output(outputs.PresentKey, presentKey, "presentKey", strided: true),
                PresentValue = call.Output(outputs.PresentValue, presentValue, "presentValue", strided: true),
                PastKey = call.Input(inputs.PastKey, pastKey, "pastKey", strided: true),
                PastValue = call.Input(inputs.PastValue, pastValue, "pastValue", strided: true),
                ExtraKey = call.Input(inputs.ExtraKey, extraKey, "extraKey"),
                ExtraValue = call.Input(inputs.ExtraValue, extraValue, "extraValue"),
                QueryNorm = call.Input(inputs.QueryNorm, queryNorm, "queryNorm"),
                KeyNorm = call.Input(inputs.KeyNorm, keyNorm, "keyNorm"),
                Cosine = call.Input(inputs.RotaryCosine, cosine, "rotaryCosine"),
                Sine = call.Input(inputs.RotarySine, sine, "rotarySine"),
                QueryPositions = call.Input(request.Tables.QueryPositions),
                KeyPositions = call.Input(request.Tables.KeyPositions),
                PrefixSequences = call.Input(request.Tables.Prefixes),
            };
            bool sameKey = inputs.Key.IsPresent && inputs.Query.IsSame(inputs.Key);
            DeviceMemory queryMemory = call.Input(inputs.Query, query, names.Query, strided);
            DeviceMemory keyMemory = sameKey ? queryMemory : call.Input(inputs.Key, key, "key", strided);
            // An additive mask of padding takes the place of an additive mask, or stands beside it.
            DeviceMemory keyBiases = call.Input(inputs.KeyPaddingBias, keyBias, "keyPaddingBias");
            var buffers = new AttentionBuffers
            {
                Output = call.Output(outputs.Output, output, "output", strided),
                Scores = call.Output(outputs.Scores, scores, names.Scores),
                LogSumExp = call.Output(outputs.LogSumExp, logSumExp, "logSumExp"),
                Query = queryMemory,
                Key = keyMemory,
                Value = inputs.Key.IsSame(inputs.Value) ? keyMemory : call.Input(inputs.Value, value, "value", strided),
                Mask = call.Input(inputs.Mask.Visible, mask, "mask"),
                Bias = inputs.Mask.Bias.IsPresent ? call.Input(inputs.Mask.Bias, bias, "mask") : keyBiases,
                KeyBias = inputs.Mask.Bias.IsPresent ? keyBiases : default,
                KeyPadding = call.Input(inputs.KeyPaddingMask, padding, "keyPaddingMask"),
                AlibiSlopes = call.Input(inputs.AlibiSlopes, slopes, "alibiSlopes"),
                DistanceBias = call.Input(inputs.DistanceBias, distanceBias, "distanceBias"),
                Sinks = call.Input(inputs.Sinks, sinks, "sinks"),
                QueryDocuments = queryNumbers,
                KeyDocuments = ofKeys.IsPresent ? call.Input(ofKeys, keyDocuments, "keyDocuments") : queryNumbers,
                Ancestors = call.Input(request.Tables.Ancestors),
                Sequences = call.Input(request.Tables.Sequences),
            };

            if (heads.Cache is { } batch)
                (memory.Cache, buffers) = Use(ref call, batch, heads.CacheLayer, buffers);
            if (request.Signature.BatchInvariant)
                RequireAlignment(inputs, outputs, buffers, memory, names);

            // The last memory of the call: after it nothing fails for want of memory.
            if (!HasPlan<AttentionSignature, AttentionExtent, AttentionBuffers>(request.Signature))
                MakePlans(request, steps);
            long intermediateBytes = steps.IntermediateBytes;
            long workspaceBytes = Math.Max(steps.WorkspaceBytes(this), WorkspaceBytes(request, memory));
            var parts = new Workspace(call.Rent(checked(Workspace.Aligned(intermediateBytes) + workspaceBytes)));
            DeviceMemory intermediate = parts.Take(intermediateBytes);
            DeviceMemory workspace = parts.Rest();

            memory.Buffers = steps.Before(this, buffers, intermediate, workspace);
            Execute(request, memory, workspace);
            steps.After(this, buffers, intermediate, workspace);
            heads.Cache?.SetWritten(heads.CacheLayer);

            call.Finish(outputs.Output, buffers.Output, strided);
            call.Finish(outputs.Scores, buffers.Scores);
            call.Finish(outputs.LogSumExp, buffers.LogSumExp);
            int kept = heads.PastLength;
            call.Finish(outputs.PresentKey, memory.PresentKey, strided: true, heads.PresentKey.ContinuesPast ? kept : 0);
            call.Finish(outputs.PresentValue, memory.PresentValue, strided: true, heads.PresentValue.ContinuesPast ? kept : 0);
        }
    }

    // The memory of a layer of a cache, which stays until the call ends even if the cache is disposed meanwhile.
    private static ((DeviceMemory Key, DeviceMemory Value) Rows, AttentionBuffers Buffers) Use(
        ref CallMemory call, KeyValueBatchState batch, int layer, in AttentionBuffers buffers)
    {
        KeyValueCache cache = batch.Cache;
        KeyValueMemory keys = cache.Store.Keys(layer);
        KeyValueMemory values = cache.Store.Values(layer);
        DeviceMemory key = call.Use(keys.Rows, cache);
        DeviceMemory keyScales = keys.Scales is null ? default : call.Use(keys.Scales, cache);
        bool isShared = ReferenceEquals(keys, values);
        return (
            (key, isShared ? key : call.Use(values.Rows, cache)),
            buffers with
            {
                KeyScales = keyScales,
                ValueScales = isShared || values.Scales is null ? keyScales : call.Use(values.Scales, cache),
                Pages = cache.PageNumbers is null ? default : call.Use(cache.PageNumbers, cache),
            });
    }
}
