using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.TensorCore.Tiles;

namespace AttentionGpu.Kernels.TensorCore.Attention;

/// <summary>
/// Writes attention forward for tensor cores, SM_80 and up: Dao, "FlashAttention-2" (2023). Four warps share a block of keys and values,
/// each has 16 or 32 queries of its own. The values of a block are copied while its scores are computed, the keys of the next block while
/// its outputs are.
/// </summary>
/// <remarks>
/// A group goes over its keys once, and again only where an output is not finite although the row's weights are (see
/// <see cref="ValuePass"/>): with values that are not finite taken for 0, with smaller weights where a sum has overflowed, and then once
/// for each of +inf, -inf and NaN, to mark the outputs of rows that see one.
/// </remarks>
public sealed partial class AttentionText
{
    private const int ElementBytes = 2;

    private readonly PtxText _e = new("attention", AttentionTile.Threads);
    private readonly AttentionForm _form;
    private readonly AttentionTile _tile;
    private readonly IReadOnlyList<ScoreText> _variants;
    private readonly string _element;
    private readonly PtxParameter<AttentionTextArguments> _arguments;

    // Where the group is.
    private readonly Word _batch;
    private readonly Word _head;
    private readonly Word _keyHead;
    private readonly Word _firstQuery;
    private readonly SequenceText _sequence;

    // Where the thread is: its place in the warp, the warp's first row, and the thread's first row and column.
    private readonly Word _lane;
    private readonly Word _warpRow;
    private readonly Word _row;
    private readonly Word _column;

    private readonly Word _pass;

    private AttentionText(AttentionForm form, IReadOnlyList<ScoreText> variants)
    {
        _form = form;
        _variants = variants;
        _tile = AttentionTile.For(form);
        _element = form.Element == TensorElement.Float16 ? "f16" : "bf16";
        _arguments = _e.Parameter<AttentionTextArguments>();

        _e.Comment("The group's place: late queries, which see the most keys under a causal mask, come first.");
        Word queries = _arguments.Load((ref AttentionTextArguments a) => ref a.Attention.QueryLength);
        Word tiles = _e.Divide(_e.Add(queries, _tile.Queries - 1), _tile.Queries);
        Word group = _e.Group;
        Word matrix = _e.Divide(group, tiles);
        Word heads = _arguments.Load((ref AttentionTextArguments a) => ref a.Attention.Heads);
        _batch = _e.Divide(matrix, heads);
        _head = _e.Subtract(matrix, _e.Multiply(_batch, heads));
        _keyHead = _e.Divide(_head, _arguments.Load((ref AttentionTextArguments a) => ref a.Attention.GroupSize));
        Word place = _e.Subtract(group, _e.Multiply(matrix, tiles));
        _firstQuery = _e.Multiply(_e.Subtract(_e.Subtract(tiles, 1), place), _tile.Queries);
        _sequence = new SequenceText(_e, form, _arguments, _batch);
        using (_e.If(_e.Compare("ge", _firstQuery, _sequence.QueryLength)))
        {
            _e.Return();
        }

        _lane = _e.And(_e.Thread, PtxText.WarpSize - 1);
        _warpRow = _e.Multiply(_e.ShiftRight(_e.Thread, 5), _tile.RowTiles * AttentionTile.TileRows);
        _row = _e.Add(_e.Add(_firstQuery, _warpRow), _e.ShiftRight(_lane, 2));
        _column = _e.ShiftLeft(_e.And(_lane, 3), 1);
        _pass = _e.Move(0, _e.New<Word>());
        _hasKeys = new Predicate[Rows];
    }

    /// <summary>Rows of scores that a thread holds a part of.</summary>
    private int Rows => 2 * _tile.RowTiles;

    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount(AttentionTile tile, int batch, int heads, int queryLength) =>
        (long)batch * heads * ((queryLength + tile.Queries - 1) / tile.Queries);

    /// <summary>The text.</summary>
    /// <param name="form">What is computed.</param>
    /// <param name="variants">
    /// The changes of scores in their order. Their parameters come behind <see cref="AttentionTextArguments"/>.
    /// </param>
    public static PtxKernel Write(AttentionForm form, params IReadOnlyList<ScoreText> variants)
    {
        var text = new AttentionText(variants.Count > 0 ? form with { ScalesScores = true } : form, variants);
        text.WriteBody();
        return text._e.Finish(text._tile.SharedBytes);
    }

    private void WriteBody()
    {
        var tiles = new GroupTiles(this);
        StartRows();
        StartScores();
        string start = _e.NewLabel("pass");
        _e.Mark(start);
        StartPass();
        tiles.ClearPadding();
        Blocks(tiles);
        Finish(start);
    }

    // The address of a row of a head of a batch entry.
    private Wide RowAddress(PtxField<AttentionTextArguments, TextTensor> tensor, Word head, Word row, int elementBytes)
    {
        Wide batchStride = _arguments.Load((ref AttentionTextArguments a) => ref tensor(ref a).Rows.Batch.BatchStride);
        Wide headStride = _arguments.Load((ref AttentionTextArguments a) => ref tensor(ref a).Rows.Batch.HeadStride);
        Wide element = _e.Add(
            _e.Add(_e.Multiply(_e.Widen(_batch), batchStride), _e.Multiply(_e.Widen(head), headStride)),
            _e.Multiply(_e.Widen(row), _arguments.Load((ref AttentionTextArguments a) => ref tensor(ref a).Rows.RowStride)));
        Wide first = _arguments.Load((ref AttentionTextArguments a) => ref tensor(ref a).Address);
        return _e.Add(first, _e.Multiply(element, elementBytes));
    }

    // Bytes from one row to the next.
    private Wide RowBytes(PtxField<AttentionTextArguments, TextTensor> tensor) =>
        _e.Multiply(_arguments.Load((ref AttentionTextArguments a) => ref tensor(ref a).Rows.RowStride), ElementBytes);

    /// <summary>The tiles in shared memory: who copies what, and who reads it.</summary>
    private sealed class GroupTiles
    {
        public GroupTiles(AttentionText text)
        {
            PtxText e = text._e;
            AttentionTile tile = text._tile;
            Word shared = e.Shared;
            Word keys = e.Add(shared, tile.KeyStart);
            Word values = e.Add(shared, tile.ValueStart);
            CopyQueries = new TileCopy(e, tile.Query, shared, AttentionTile.Threads, text._form.IsAligned);
            CopyKeys = new TileCopy(e, tile.Key, keys, AttentionTile.Threads, text._form.IsAligned);
            CopyValues = new TileCopy(e, tile.Value, values, AttentionTile.Threads, text._form.IsAligned);
            Queries = MatrixReader.OfRows(e, tile.Query, shared, text._warpRow);
            Keys = MatrixReader.OfColumns(e, tile.Key, keys, 0);
            Values = MatrixReader.OfRows(e, tile.Value, values, 0);
        }

        public TileCopy CopyQueries { get; }

        public TileCopy CopyKeys { get; }

        public TileCopy CopyValues { get; }

        public MatrixReader Queries { get; }

        public MatrixReader Keys { get; }

        public MatrixReader Values { get; }

        /// <summary>For each pass: the outputs of the one before were where the padding is.</summary>
        public void ClearPadding()
        {
            CopyQueries.ClearPadding();
            CopyKeys.ClearPadding();
            CopyValues.ClearPadding();
        }
    }
}
