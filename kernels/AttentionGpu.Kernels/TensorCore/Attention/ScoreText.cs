using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention;

/// <summary>
/// A change of scores, or a rule beside position that hides keys, in the text of attention. An instance writes one text: it may keep
/// registers from <see cref="Start"/> for <see cref="Change"/>.
/// </summary>
public abstract class ScoreText
{
    /// <summary>What a group does once. Parameters are declared here, in the order of the variants.</summary>
    public virtual void Start(ScorePlace place)
    {
    }

    /// <summary>What is the same for all scores of a block.</summary>
    public virtual void StartBlock(ScorePlace place)
    {
    }

    /// <summary>What is the same for all scores of a key.</summary>
    /// <param name="place">The thread's scores.</param>
    /// <param name="column">The key, counted from the thread's first key of the block.</param>
    public virtual void StartColumn(ScorePlace place, int column)
    {
    }

    /// <summary>Changes or hides one score of the thread. Scores come key by key.</summary>
    public abstract void Change(ScorePlace place, Score score);
}

/// <summary>One score of a thread.</summary>
public sealed class Score
{
    private readonly PtxText _e;
    private readonly Real _scale;
    private bool _isScaled;

    /// <param name="e">The text.</param>
    /// <param name="value">The register that holds the product of query and key, and then what becomes of it.</param>
    /// <param name="scale">What the product is multiplied by.</param>
    /// <param name="row">Which of the thread's rows it is in.</param>
    /// <param name="column">Its key, counted from the thread's first key of the block.</param>
    public Score(PtxText e, Real value, Real scale, int row, int column)
    {
        _e = e;
        _scale = scale;
        Value = value;
        Row = row;
        Column = column;
    }

    /// <summary>The register.</summary>
    public Real Value { get; }

    /// <summary>Which of the thread's rows it is in.</summary>
    public int Row { get; }

    /// <summary>Its key, counted from the thread's first key of the block.</summary>
    public int Column { get; }

    /// <summary>Multiplies by the scale, unless that is done. One instruction.</summary>
    public void Scale()
    {
        if (!_isScaled)
            _e.Multiply(Value, _scale, Value);
        _isScaled = true;
    }

    /// <summary>Multiplies by the scale and another factor, before anything else.</summary>
    public void ScaleBy(Real scaleAndFactor)
    {
        _e.Multiply(Value, scaleAndFactor, Value);
        _isScaled = true;
    }

    /// <summary>Adds a number, and multiplies by the scale before it where that is not done. One instruction.</summary>
    public void Add(Real number)
    {
        if (_isScaled)
            _e.Add(Value, number, Value);
        else
            _e.MultiplyAdd(Value, _scale, number, Value);
        _isScaled = true;
    }

    /// <summary>Becomes -inf where a condition does not hold. The scale comes first: it may be 0 or less.</summary>
    public void Hide(Predicate isVisible)
    {
        Scale();
        _e.Select(Value, float.NegativeInfinity, isVisible, Value);
    }
}

/// <summary>Where a thread's scores are: its rows, its columns, and what the group works on.</summary>
public sealed class ScorePlace
{
    private readonly Dictionary<int, Predicate> _exists = [];

    /// <summary>The text.</summary>
    public required PtxText E { get; init; }

    /// <summary>The batch entry.</summary>
    public required Word Batch { get; init; }

    /// <summary>The query head.</summary>
    public required Word Head { get; init; }

    /// <summary>The batch entry's lengths and positions.</summary>
    public required SequenceText Sequence { get; init; }

    /// <summary>The thread's rows: queries, counted from the sequence's first. None is behind the last query.</summary>
    public required Word[] Queries { get; init; }

    /// <summary>What a product of query and key is multiplied by.</summary>
    public required Real Scale { get; init; }

    /// <summary>The thread's first key of the block, counted from the sequence's first.</summary>
    public Word FirstKey { get; private set; }

    /// <summary>Whether every query of the group sees every key of the block by position.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>The key of a column.</summary>
    public Word Key(int column) => E.Add(FirstKey, column);

    /// <summary>
    /// Guards what follows where the column's key may not exist. What it writes must have a value before.
    /// </summary>
    public IDisposable? WhereKeyExists(int column)
    {
        if (IsWhole)
            return null;
        if (!_exists.TryGetValue(column, out Predicate exists))
            _exists.Add(column, exists = E.Compare("lt", Key(column), Sequence.KeyLength));
        return E.When(exists);
    }

    internal void StartBlock(Word firstKey, bool isWhole)
    {
        FirstKey = firstKey;
        IsWhole = isWhole;
        _exists.Clear();
    }
}
