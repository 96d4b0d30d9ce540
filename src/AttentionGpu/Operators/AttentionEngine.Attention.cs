using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;

namespace AttentionGpu;

/// <content>Scaled dot-product attention.</content>
public sealed partial class AttentionEngine
{
    /// <summary>
    /// <c>output = softmax(scale * query * key^T + mask) * value</c> in every head: PyTorch's <c>scaled_dot_product_attention</c>, the ONNX
    /// operator <c>Attention</c>. One pass over the keys with a running softmax (FlashAttention-2); memory does not grow with length squared.
    /// </summary>
    /// <remarks>
    /// Grouped-query attention: with fewer key/value heads than query heads, query head h uses key/value head h / (heads / key/value heads).
    /// A query that sees no key gives a row of zeros (ONNX's rule; PyTorch gives NaN). A NaN in a query, key or visible mask value makes
    /// its row NaN. Tensors are in host memory, where they may be strided, or on the device; the output must not overlap an input. The call returns
    /// when outputs in host memory are written; work on outputs that are on the device may still be running.
    /// </remarks>
    /// <param name="query">[batch, heads, query length, head size].</param>
    /// <param name="key">[batch, key/value heads, key length, head size].</param>
    /// <param name="value">[batch, key/value heads, key length, value head size].</param>
    /// <param name="output">[batch, heads, query length, value head size]; all of it is written.</param>
    /// <param name="options">Scale, causal alignment and other settings; null for the defaults.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length].</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or the output overlaps an input. Nothing is written.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    public void ScaledDotProductAttention(
        TensorInput<float> query, TensorInput<float> key, TensorInput<float> value, TensorOutput<float> output,
        AttentionOptions? options = null, AttentionMask mask = default) =>
        ScaledDotProductAttention(
            new AttentionInputs<float> { Query = query, Key = key, Value = value, Mask = mask },
            new AttentionOutputs<float> { Output = output },
            options);

    /// <summary>
    /// As <see cref="ScaledDotProductAttention(TensorInput{float}, TensorInput{float}, TensorInput{float}, TensorOutput{float}, AttentionOptions, AttentionMask)"/>,
    /// and returns the attention weights too: what <c>nn.MultiheadAttention(need_weights=True)</c> returns. Holds a length x length matrix
    /// per head, so it costs memory and time that the plain call does not.
    /// </summary>
    /// <param name="query">[batch, heads, query length, head size].</param>
    /// <param name="key">[batch, key/value heads, key length, head size].</param>
    /// <param name="value">[batch, key/value heads, key length, value head size].</param>
    /// <param name="output">[batch, heads, query length, value head size]; all of it is written.</param>
    /// <param name="weights">
    /// [batch, heads, query length, key length], or [batch, query length, key length] if averaged; all of it is written. Rows add up to 1, or
    /// to 0 for a query that sees no key.
    /// </param>
    /// <param name="averageHeads">Whether the weights are the mean over heads.</param>
    /// <param name="options">Scale, causal alignment and other settings; null for the defaults.</param>
    /// <param name="mask">Rank 1 to 4, broadcast to [batch, heads, query length, key length].</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or an output overlaps another tensor. Nothing is written.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    public void ScaledDotProductAttentionWithWeights(
        TensorInput<float> query, TensorInput<float> key, TensorInput<float> value, TensorOutput<float> output, TensorOutput<float> weights,
        bool averageHeads = false, AttentionOptions? options = null, AttentionMask mask = default)
    {
        if (!weights.IsPresent)
            throw ShapeRules.Error(weights.Lengths, "must be given", nameof(weights));
        Attend(
            new AttentionInputs<float> { Query = query, Key = key, Value = value, Mask = mask },
            new AttentionOutputs<float>
            {
                Output = output,
                Scores = weights,
                ScoreStage = averageHeads ? ScoreStage.AverageWeights : ScoreStage.Weights,
            },
            options,
            nameof(weights));
    }

    /// <summary>
    /// Scaled dot-product attention with all that it can have: other element types, past and present, key lengths, ragged sequences, documents,
    /// prefixes, ALiBi, sinks, normalisation and rotary embedding of queries and keys, scores and log-sum-exp. What a call does not use costs
    /// nothing.
    /// </summary>
    /// <remarks>
    /// A score is <c>scale * query . key</c>, both normalised and then rotated where that is asked for; then soft capping; then ALiBi; then the additive mask.
    /// Hidden keys take no part. Semantics as for the other overload where both can say a call.
    /// </remarks>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; arithmetic is in float32.</typeparam>
    /// <param name="inputs">What it reads.</param>
    /// <param name="outputs">What it writes.</param>
    /// <param name="options">Settings that are not tensors; null for the defaults.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, two inputs exclude each other, a tensor is another engine's, or an output overlaps another tensor. Nothing is written.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">An option, a length or a position is out of range.</exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    public void ScaledDotProductAttention<T>(
        in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions? options = null)
        where T : unmanaged =>
        Attend(inputs, outputs, options, "scores");

    private unsafe void Attend<T>(in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, AttentionOptions? options, string scoresName)
        where T : unmanaged
    {
        ThrowIfDisposed();
        var attention = AttentionRequest.Create(inputs, outputs, options ?? AttentionOptions.Default, Backend.UsesHostMemory, scoresName);
        AttentionOverlaps.Check(inputs, outputs, scoresName);
        fixed (T* query = inputs.Query.Host, key = inputs.Key.Host, value = inputs.Value.Host)
        fixed (T* pastKey = inputs.PastKey.Host, pastValue = inputs.PastValue.Host)
        fixed (T* output = outputs.Output.Host, scores = outputs.Scores.Host)
        fixed (T* presentKey = outputs.PresentKey.Host, presentValue = outputs.PresentValue.Host)
        fixed (bool* mask = inputs.Mask.Visible.Host)
        fixed (float* bias = inputs.Mask.Bias.Host, slopes = inputs.AlibiSlopes.Host, sinks = inputs.Sinks.Host)
        fixed (float* queryNorm = inputs.QueryNorm.Host, keyNorm = inputs.KeyNorm.Host)
        fixed (float* cosine = inputs.RotaryCosine.Host, sine = inputs.RotarySine.Host, logSumExp = outputs.LogSumExp.Host)
        fixed (int* queryDocuments = inputs.QueryDocuments, keyDocuments = inputs.KeyDocuments)
        {
            var call = new CallMemory(this);
            try
            {
                DeviceMemory outputMemory = call.Output(outputs.Output, output, "output", strided: true);
                DeviceMemory scoresMemory = call.Output(outputs.Scores, scores, scoresName);
                DeviceMemory logSumExpMemory = call.Output(outputs.LogSumExp, logSumExp, "logSumExp");
                DeviceMemory presentKeyMemory = call.Output(outputs.PresentKey, presentKey, "presentKey");
                DeviceMemory presentValueMemory = call.Output(outputs.PresentValue, presentValue, "presentValue");
                TensorInput<int> documents = inputs.QueryDocuments;
                TensorInput<int> ofKeys = inputs.KeyDocuments;
                DeviceMemory queryNumbers = call.Input(documents, queryDocuments, "queryDocuments");
                var buffers = new AttentionBuffers
                {
                    Query = call.Input(inputs.Query, query, "query", strided: true),
                    Key = call.Input(inputs.Key, key, "key", strided: true),
                    Value = call.Input(inputs.Value, value, "value", strided: true),
                    Output = outputMemory,
                    Scores = scoresMemory,
                    LogSumExp = logSumExpMemory,
                    Mask = call.Input(inputs.Mask.Visible, mask, "mask"),
                    Bias = call.Input(inputs.Mask.Bias, bias, "mask"),
                    AlibiSlopes = call.Input(inputs.AlibiSlopes, slopes, "alibiSlopes"),
                    Sinks = call.Input(inputs.Sinks, sinks, "sinks"),
                    QueryDocuments = queryNumbers,
                    KeyDocuments = ofKeys.IsPresent ? call.Input(ofKeys, keyDocuments, "keyDocuments") : queryNumbers,
                    Sequences = call.Input(attention.Sequences),
                };
                if (attention.MovesRows)
                {
                    var rows = new HeadTransformBuffers
                    {
                        Cosine = call.Input(inputs.RotaryCosine, cosine, "rotaryCosine"),
                        Sine = call.Input(inputs.RotarySine, sine, "rotarySine"),
                    };
                    DeviceMemory past = call.Input(inputs.PastKey, pastKey, "pastKey", strided: true);
                    DeviceMemory pastOfValues = call.Input(inputs.PastValue, pastValue, "pastValue", strided: true);
                    buffers = buffers with
                    {
                        Query = Move(ref call, attention.QueryRows, null, default, buffers.Query, default, rows with
                        {
                            Norm = call.Input(inputs.QueryNorm, queryNorm, "queryNorm"),
                            Positions = call.Input(attention.QueryPositions),
                        }),
                        Key = Move(ref call, attention.KeyRows, attention.PastKeyRows, past, buffers.Key, presentKeyMemory, rows with
                        {
                            Norm = call.Input(inputs.KeyNorm, keyNorm, "keyNorm"),
                            Positions = call.Input(attention.KeyPositions),
                        }),
                        Value = Move(ref call, attention.ValueRows, attention.PastValueRows, pastOfValues, buffers.Value, presentValueMemory, default),
                    };
                }

                Execute(attention.Problem, buffers);
                call.Finish(outputs.Output, outputMemory, strided: true);
                call.Finish(outputs.Scores, scoresMemory);
                call.Finish(outputs.LogSumExp, logSumExpMemory);
                call.Finish(outputs.PresentKey, presentKeyMemory);
                call.Finish(outputs.PresentValue, presentValueMemory);
            }
            finally
            {
                call.Dispose();
            }
        }
    }

    /// <summary>
    /// Brings rows, behind those of the past, to the present if that is asked for, else to memory of the call. Returns where attention reads them.
    /// </summary>
    private DeviceMemory Move(
        ref CallMemory call, HeadTransform? rows, HeadTransform? pastRows, DeviceMemory past, DeviceMemory source, DeviceMemory present,
        HeadTransformBuffers buffers)
    {
        if (rows is null)
            return source;
        int pastLength = pastRows?.Length ?? 0;
        long count = (long)rows.Batch * rows.Heads * (pastLength + rows.Length) * rows.Size;
        long bytes = count * rows.Element.Size();
        DeviceMemory target = present.Exists ? present : call.Rent(bytes);
        if (pastRows is not null)
            Execute(pastRows, new HeadTransformBuffers { Source = past, Target = target });
        long start = Math.Min((long)pastLength * rows.Size * rows.Element.Size(), bytes);
        Execute(rows, buffers with { Source = source, Target = target.Slice<byte>(start, bytes - start) });
        return target;
    }
}
