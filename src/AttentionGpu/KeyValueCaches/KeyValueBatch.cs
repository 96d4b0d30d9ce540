using AttentionGpu.KeyValueCaches;

namespace AttentionGpu;

/// <summary>
/// A step of sequences of a <see cref="KeyValueCache"/>: the tokens of all sequences, one sequence after another, in every layer. Each
/// layer's call writes the rows of its tokens and attends to the sequences' rows. Dispose of it after the last layer.
/// </summary>
public readonly struct KeyValueBatch : IDisposable, IEquatable<KeyValueBatch>
{
    private readonly KeyValueBatchState? _state;
    private readonly long _version;

    internal KeyValueBatch(KeyValueBatchState state, long version)
    {
        _state = state;
        _version = version;
    }

    /// <summary>Tokens of all sequences: the first axis of queries, new keys and outputs.</summary>
    /// <exception cref="ObjectDisposedException">The batch has ended.</exception>
    public int Tokens => State.Tokens;

    /// <summary>Whether its calls write rows; else they attend only.</summary>
    /// <exception cref="ObjectDisposedException">The batch has ended.</exception>
    public bool Appends => State.Appends;

    /// <summary>[sequences + 1]: where each sequence's tokens start, and where the last ones end.</summary>
    /// <exception cref="ObjectDisposedException">The batch has ended.</exception>
    public ReadOnlySpan<int> CumulativeLengths => State.Starts;

    /// <summary>Whether it is a batch; the default value is none.</summary>
    internal bool IsPresent => _state is not null;

    /// <exception cref="ObjectDisposedException">The batch has ended.</exception>
    internal KeyValueBatchState State
    {
        get
        {
            ObjectDisposedException.ThrowIf(_state is null || _state.Version != _version, typeof(KeyValueBatch));
            return _state;
        }
    }

    /// <summary>Whether both are the same batch.</summary>
    public static bool operator ==(KeyValueBatch left, KeyValueBatch right) => left.Equals(right);

    /// <summary>Whether they are different batches.</summary>
    public static bool operator !=(KeyValueBatch left, KeyValueBatch right) => !left.Equals(right);

    /// <summary>
    /// Ends the batch. Where a layer was not written, the sequences get the lengths back that they had before it.
    /// </summary>
    public void Dispose()
    {
        if (_state is not null && _state.Version == _version)
            _state.Cache.End(_state);
    }

    /// <inheritdoc/>
    public bool Equals(KeyValueBatch other) => ReferenceEquals(_state, other._state) && _version == other._version;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is KeyValueBatch other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(_state, _version);
}
