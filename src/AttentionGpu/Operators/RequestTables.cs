using System.Buffers;
using System.Numerics.Tensors;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>
/// The small tables of a call in host memory, checked: a sequence for each batch entry, and given positions. They are in pooled arrays, so
/// that
/// a decode step allocates nothing.
/// </summary>
internal struct RequestTables : IDisposable
{
    private Sequence[]? _sequences;
    private Sequence[]? _prefixes;
    private int[]? _queryPositions;
    private int[]? _keyPositions;
    private uint[]? _ancestors;
    private int _sequenceCount;
    private int _prefixCount;
    private int _restCount;
    private int _queryPositionCount;
    private int _keyPositionCount;
    private int _ancestorCount;

    /// <summary>A sequence for each batch entry; empty where all entries are alike.</summary>
    public readonly ReadOnlySpan<Sequence> Sequences => _sequences.AsSpan(0, _sequenceCount);

    /// <summary>
    /// The same without those at the end that stand for query tokens behind the last ragged sequence: they have no keys, and nobody reads
    /// their queries.
    /// </summary>
    public readonly ReadOnlySpan<Sequence> GivenSequences => _sequences.AsSpan(0, _sequenceCount - _restCount);

    /// <summary>The same, to change.</summary>
    public readonly Span<Sequence> MutableSequences => _sequences.AsSpan(0, _sequenceCount);

    /// <summary>The sequences of a pass over rows that sequences of a cache share.</summary>
    public readonly ReadOnlySpan<Sequence> Prefixes => _prefixes.AsSpan(0, _prefixCount);

    /// <summary>Whether batch entries have sequences of their own; there may be no batch entry.</summary>
    public readonly bool HasSequences => _sequences is not null;

    /// <summary>[batch, query length]: rows of the rotary tables; empty for those that follow each other.</summary>
    public readonly ReadOnlySpan<int> QueryPositions => _queryPositions.AsSpan(0, _queryPositionCount);

    /// <summary>Whether there are positions of queries.</summary>
    public readonly bool HasQueryPositions => _queryPositions is not null;

    /// <summary>Whether there are positions of keys.</summary>
    public readonly bool HasKeyPositions => _keyPositions is not null;

    /// <summary>[batch, key length]; empty for those that follow each other.</summary>
    public readonly ReadOnlySpan<int> KeyPositions => _keyPositions.AsSpan(0, _keyPositionCount);

    /// <summary>[tokens, words]: which tokens of a tree each one sees; empty where there is no tree.</summary>
    public readonly ReadOnlySpan<uint> Ancestors => _ancestors.AsSpan(0, _ancestorCount);

    /// <summary>Room for the sequences of a number of batch entries, to fill.</summary>
    /// <param name="count">Batch entries.</param>
    /// <param name="restCount">Sequences behind them, see <see cref="GivenSequences"/>.</param>
    public Span<Sequence> AddSequences(int count, int restCount = 0)
    {
        _sequenceCount = checked(count + restCount);
        _restCount = restCount;
        _sequences = ArrayPool<Sequence>.Shared.Rent(_sequenceCount);
        return _sequences.AsSpan(0, _sequenceCount);
    }

    /// <summary>Room for the sequences of a pass over shared rows, to fill.</summary>
    public Span<Sequence> AddPrefixes(int most)
    {
        _prefixes = ArrayPool<Sequence>.Shared.Rent(most);
        return _prefixes.AsSpan(0, most);
    }

    /// <summary>Says how many of them there are.</summary>
    public void KeepPrefixes(int count) => _prefixCount = count;

    /// <summary>Gives each ragged token its own row of rotary tables of tokens. The tables have as many rows.</summary>
    public void AddTokenPositions(int queries, int keys)
    {
        _queryPositions = CountUp(queries);
        _queryPositionCount = queries;
        _keyPositions = CountUp(keys);
        _keyPositionCount = keys;
    }

    /// <summary>Takes the positions of tokens, of queries and of keys as far as nobody gave them.</summary>
    public void AddTreePositions(ReadOnlySpan<int> positions)
    {
        if (_queryPositions is null)
            Copy(positions, ref _queryPositions, ref _queryPositionCount);
        if (_keyPositions is null)
            Copy(positions, ref _keyPositions, ref _keyPositionCount);
    }

    /// <summary>Takes the ancestors of tokens: the batch that has them may end during the call.</summary>
    public void AddAncestors(ReadOnlySpan<uint> ancestors) => Copy(ancestors, ref _ancestors, ref _ancestorCount);

    /// <summary>Takes the positions of queries.</summary>
    /// <param name="given">The positions.</param>
    /// <param name="rows">The queries.</param>
    /// <param name="tableLength">Rows of the rotary tables.</param>
    /// <param name="leftOut">1 where the positions have no axis of the batch, else 0.</param>
    /// <exception cref="ArgumentException">The shape is wrong, or a position is not in the rotary tables.</exception>
    public void AddQueryPositions(in ReadOnlyTensorSpan<int> given, HeadTensor rows, int tableLength, int leftOut) => AddPositions(
        given, rows, tableLength, leftOut, "[batch, query length]", "queryPositions", ref _queryPositions, ref _queryPositionCount);

    /// <summary>Takes the positions of keys. Errors as for queries.</summary>
    public void AddKeyPositions(in ReadOnlyTensorSpan<int> given, HeadTensor rows, int tableLength, int leftOut) => AddPositions(
        given, rows, tableLength, leftOut, "[batch, key length]", "keyPositions", ref _keyPositions, ref _keyPositionCount);

    /// <summary>Gives the arrays back.</summary>
    public void Dispose()
    {
        if (_sequences is not null)
            ArrayPool<Sequence>.Shared.Return(_sequences);
        if (_prefixes is not null)
            ArrayPool<Sequence>.Shared.Return(_prefixes);
        if (_queryPositions is not null)
            ArrayPool<int>.Shared.Return(_queryPositions);
        if (_keyPositions is not null)
            ArrayPool<int>.Shared.Return(_keyPositions);
        if (_ancestors is not null)
            ArrayPool<uint>.Shared.Return(_ancestors);
        this = default;
    }

    private static int[] CountUp(int count)
    {
        int[] positions = ArrayPool<int>.Shared.Rent(count);
        for (int i = 0; i < count; i++)
            positions[i] = i;
        return positions;
    }

    private static void Copy<T>(ReadOnlySpan<T> numbers, ref T[]? array, ref int count)
    {
        array = ArrayPool<T>.Shared.Rent(numbers.Length);
        count = numbers.Length;
        numbers.CopyTo(array);
    }

    private static void AddPositions(
        in ReadOnlyTensorSpan<int> given, HeadTensor rows, int tableLength, int leftOut, string axes, string name, ref int[]? array,
        ref int count)
    {
        ShapeRules.Require(given.Lengths, [rows.Batch, rows.Length], axes, name, leftOut);
        count = checked((int)given.FlattenedLength);
        array = ArrayPool<int>.Shared.Rent(count);
        Span<int> positions = array.AsSpan(0, count);
        given.FlattenTo(positions);
        foreach (int position in positions)
        {
            if (position < 0 || position >= tableLength)
                throw new ArgumentOutOfRangeException(name, position, $"A position in '{name}' must be a row of the rotary tables, 0 to {tableLength - 1}.");
        }
    }
}
