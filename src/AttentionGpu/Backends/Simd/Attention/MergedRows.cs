using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>The outputs of rows whose keys were split.</summary>
internal sealed unsafe class MergedRows<TVector, TOperations>(AttentionContext context, PreciseRow<TVector, TOperations> precise)
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // Float64 sums, and the output.
    private const int RoomRows = 3;

    /// <summary>Floats of room.</summary>
    public static long RoomSize(int valueSize) => RoomRows * (long)valueSize;

    /// <summary>Merges the parts of a row, and writes its output, and its log-sum-exp where that is asked for.</summary>
    /// <param name="states">The parts.</param>
    /// <param name="row">The row's number among the states.</param>
    /// <param name="batch">The batch entry.</param>
    /// <param name="head">The query head.</param>
    /// <param name="query">The query, counted from the sequence's first.</param>
    /// <param name="room">Memory of <see cref="RoomSize"/>.</param>
    /// <param name="preciseRoom">Memory for the row if it is computed again.</param>
    public void Write(in SplitStates states, long row, int batch, int head, int query, float* room, float* preciseRoom)
    {
        if (!states.Merge(row, context.SinkOf(head), room, out float* output, out double logSumExp))
        {
            precise.Attend(preciseRoom, batch, head, query);
            return;
        }

        query += context.SequenceOf(batch).QueryStart;
        ElementType element = context.Signature.Element;
        byte* target = ElementRows.Address(context.Buffers.Output, element, context.Extent.Output.Offset(batch, head, query));
        ElementRows.Store(output, target, element, context.Signature.ValueHeadSize);
        if (context.Signature.HasLogSumExp)
            context.Buffers.LogSumExp.Pointer<float>()[context.Extent.LogSumExp.Offset(batch, head, query)] = (float)logSumExp;
    }
}
