using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace AttentionGpu.Hosting.Scheduling;

/// <summary>Requests of one layer that run together, and the memory that their inputs and outputs are joined in.</summary>
internal abstract class ForwardBatch : IDisposable
{
    /// <summary>The number of requests.</summary>
    public abstract int Count { get; }

    /// <summary>Bytes of the inputs and outputs.</summary>
    public abstract long Bytes { get; }

    /// <summary>Runs the layer where it is now; throws what the device throws. May be called again.</summary>
    public abstract void Run();

    /// <summary>Hands the outputs over, after a run that ended well.</summary>
    public abstract void Complete();

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>A batch of one element type.</summary>
internal class ForwardBatch<T> : ForwardBatch
    where T : unmanaged
{
    private readonly AttentionLayer<T> _layer;
    private readonly ForwardRequest<T>[] _requests;
    private readonly int[] _starts;
    private readonly int _size;
    private readonly BatchMemory _memory;
    private readonly T[] _input = [];
    private readonly T[] _output = [];
    private readonly T[] _weights;

    /// <param name="layer">The layer of every request.</param>
    /// <param name="requests">One or more; one alone if it asks for weights.</param>
    /// <param name="memory">The memory that they are joined in.</param>
    /// <exception cref="OutOfMemoryException">There is not enough memory; none is kept.</exception>
    public ForwardBatch(AttentionLayer<T> layer, IReadOnlyList<ForwardRequest> requests, BatchMemory memory)
    {
        _layer = layer;
        _memory = memory;
        _requests = [.. requests.Cast<ForwardRequest<T>>()];
        _size = layer.Config.EmbeddingSize;
        _starts = new int[_requests.Length + 1];
        for (int i = 0; i < _requests.Length; i++)
            _starts[i + 1] = _starts[i] + _requests[i].Tokens;
        _weights = _requests[0].HasWeights ? new T[_requests[0].Weights.Length] : [];
        try
        {
            _input = memory.Rent<T>(Elements);
            _output = memory.Rent<T>(Elements);
        }
        catch
        {
            Dispose();
            throw;
        }

        // A caller who cancelled may use the memory for something else: that is then computed, and nobody gets it.
        for (int i = 0; i < _requests.Length; i++)
            _requests[i].CopyInput(_input.AsSpan(_starts[i] * _size));
    }

    /// <inheritdoc/>
    public override int Count => _requests.Length;

    /// <inheritdoc/>
    public override long Bytes => 2L * Unsafe.SizeOf<T>() * Elements;

    private int Elements => _starts[^1] * _size;

    /// <inheritdoc/>
    public override void Run()
    {
        (nint tokens, nint size) = (_starts[^1], _size);
        ReadOnlySpan<T> input = _input.AsSpan(0, Elements);
        Span<T> output = _output.AsSpan(0, Elements);
        if (_weights.Length == 0)
        {
            nint[] rows = [tokens, size];
            Forward(new ReadOnlyTensorSpan<T>(input, rows), new TensorSpan<T>(output, rows));
            return;
        }

        nint[] lengths = _layer.Config.BatchFirst ? [1, tokens, size] : [tokens, 1, size];
        var sequence = new ReadOnlyTensorSpan<T>(input, lengths);
        _layer.Current.ForwardWithWeights(
            sequence, sequence, sequence, new TensorSpan<T>(output, lengths),
            new TensorSpan<T>(_weights, [1, _layer.Config.Heads, tokens, tokens + _layer.ExtraKeys]), causal: _requests[0].Causal);
    }

    /// <summary>Runs the layer on the tokens of all requests, one request after another.</summary>
    /// <param name="input">[tokens, embedding size].</param>
    /// <param name="output">As long as the input.</param>
    protected virtual void Forward(in ReadOnlyTensorSpan<T> input, in TensorSpan<T> output) =>
        _layer.Current.ForwardRagged(input, _starts, output, _requests[0].Causal);

    /// <inheritdoc/>
    public override void Complete()
    {
        for (int i = 0; i < _requests.Length; i++)
            _requests[i].Complete(_output.AsSpan(_starts[i] * _size, _requests[i].Tokens * _size), _weights);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (T[] array in (ReadOnlySpan<T[]>)[_input, _output])
        {
            if (array.Length > 0)
                _memory.Return(array);
        }
    }
}
