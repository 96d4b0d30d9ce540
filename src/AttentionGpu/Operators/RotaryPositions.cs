using System.Numerics.Tensors;
using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Operators;

/// <summary>The rows of the rotary tables that queries or keys take: [batch, length], in host memory.</summary>
internal static class RotaryPositions
{
    /// <summary>The given positions, checked, or those that follow the past (or start again with each ragged sequence).</summary>
    /// <exception cref="ArgumentException">Their shape is wrong, or one is not in the tables.</exception>
    public static int[] Create(
        in ReadOnlyTensorSpan<int> given, HeadTensor rows, int first, ReadOnlySpan<Sequence> ragged, bool ofKeys, int tableLength)
    {
        string name = ofKeys ? "keyPositions" : "queryPositions";
        var positions = new int[(long)rows.Batch * rows.Length];
        if (given.Rank != 0)
        {
            ShapeRules.Require(given.Lengths, [rows.Batch, rows.Length], ofKeys ? "[batch, key length]" : "[batch, query length]", name);
            given.FlattenTo(positions);
        }
        else if (ragged.IsEmpty)
        {
            for (int i = 0; i < positions.Length; i++)
                positions[i] = first + i % rows.Length;
        }
        else
        {
            foreach (Sequence sequence in ragged)
            {
                (int start, int length) = ofKeys ? (sequence.KeyStart, sequence.KeyLength) : (sequence.QueryStart, sequence.QueryLength);
                for (int i = 0; i < length; i++)
                    positions[start + i] = i;
            }
        }

        foreach (int position in positions)
        {
            if (position < 0 || position >= tableLength)
                throw new ArgumentOutOfRangeException(name, position, $"A position in '{name}' must be a row of the rotary tables, 0 to {tableLength - 1}.");
        }

        return positions;
    }
}
