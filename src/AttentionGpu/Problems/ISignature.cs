namespace AttentionGpu.Problems;

/// <summary>
/// Which computation an operator does, apart from the sizes that change from call to call: the key of its plan. An extent has those sizes,
/// and
/// buffers have the memory of a call.
/// </summary>
internal interface ISignature<TExtent, TBuffers>
    where TExtent : struct
    where TBuffers : struct;
