using System.Runtime.InteropServices;
using AttentionGpu.Hosting.Scheduling;

namespace AttentionGpu.Hosting.Sessions;

/// <summary>A step of a session, cut into parts that each run in a batch.</summary>
internal sealed class SessionStep<T>
    where T : unmanaged
{
    private readonly AttentionSession _session;
    private readonly AttentionSessions _sessions;
    private readonly AttentionLayer<T> _layer;
    private readonly ReadOnlyMemory<T> _input;
    private readonly Memory<T> _output;
    private readonly StepOptions _options;
    private readonly long _called;
    private readonly int _size;
    private readonly int _tokens;

    /// <exception cref="ArgumentException">A length does not fit, or the elements are not of the layer's type.</exception>
    public SessionStep(AttentionSession session, AttentionSessions sessions, ReadOnlyMemory<T> input, Memory<T> output, StepOptions options)
    {
        _session = session;
        _sessions = sessions;
        _layer = sessions.Layer.Of<T>();
        _size = sessions.Layer.Config.EmbeddingSize;
        if (input.Length % _size != 0)
        {
            throw new ArgumentException(
                $"'input' must hold rows of {_size}, the embedding size; it has {input.Length} elements.", nameof(input));
        }

        if (!output.IsEmpty && output.Length != input.Length)
        {
            throw new ArgumentException(
                $"'output' must be as long as the input, {input.Length}, or empty; it has {output.Length} elements.", nameof(output));
        }

        AttentionService.Validate(causal: null, options.Deadline);
        if (options.Start is < 0)
            throw new ArgumentOutOfRangeException(nameof(options), options.Start, "Start must be at least 0.");
        _tokens = input.Length / _size;
        if (_tokens > sessions.Capacity)
        {
            throw new ArgumentException(
                $"'input' must have at most {sessions.Capacity} tokens, the capacity of a session; it has {_tokens}.", nameof(input));
        }

        sessions.Service.RequireBytes(ForwardRequest<T>.Size(input.Length, weights: 0));
        (_input, _output, _options, _called) = (input, output, options, sessions.Service.Time.GetTimestamp());
    }

    /// <summary>Runs it, when the session's turn has come.</summary>
    public async Task<bool> RunAsync(CancellationToken cancellationToken)
    {
        int start = _session.Length;
        if (_options.Start is int wanted && wanted != start)
            throw new AttentionSessionLengthException(_session.Id, start, wanted);
        if (_tokens == 0)
            return true;
        if (_tokens > _sessions.Capacity - start)
        {
            throw new AttentionCacheFullException(
                _layer.Name, $"the session has {start} tokens, and {_tokens} more do not fit: Capacity is {_sessions.Capacity}");
        }

        // A session that has tokens already can share no others.
        PrefixHash[] hashes = _sessions.Options.PrefixBytes > 0 && start == 0
            ? PrefixHash.Pages(_input.Span, _sessions.Options.PageRows * _size)
            : [];
        int shared = hashes.Length == 0 ? 0 : await TakePrefixAsync(hashes).ConfigureAwait(false);
        for (int done = shared; done < _tokens;)
        {
            int count = Math.Min(_sessions.Service.LargestPart(_sessions.Options), _tokens - done);
            await RunPartAsync(start, done, count, isFirst: done == shared, cancellationToken).ConfigureAwait(false);
            done += count;
        }

        _session.SetLength(start + _tokens);
        _sessions.Service.Instruments.Stepped(_layer.Name, _tokens, _session.TakeInterval());
        if (hashes.Length * _sessions.Options.PageRows > shared && !_output.IsEmpty)
            await KeepPrefixAsync(hashes).ConfigureAwait(false);
        return true;
    }

    private async Task RunPartAsync(int start, int done, int count, bool isFirst, CancellationToken cancellationToken)
    {
        TimeSpan? left = _options.Deadline is { } deadline ? deadline - _sessions.Service.Time.GetElapsedTime(_called) : null;
        if (left <= TimeSpan.Zero)
            throw new AttentionDeadlineException(_options.Deadline!.Value);
        var request = new StepRequest<T>
        {
            Layer = _layer,
            Client = _session.Client ?? "",
            Memory = _session.Memory,
            Start = start + done,
            Input = _input.Slice(done * _size, count * _size),
            Output = _output.IsEmpty ? default : _output.Slice(done * _size, count * _size),
            Causal = Causal.BottomRight,
            Tokens = count,
            IsContinuation = !isFirst,
            Queue = _sessions.Service.Queue,
            Ended = _sessions.Service.Begin(_layer.Name, count),
        };
        try
        {
            _session.SetRunning(request);
            await _sessions.Service.StartAsync(request, left, _options.Deadline, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _session.SetRunning(null);
        }
    }

    private async Task<int> TakePrefixAsync(PrefixHash[] hashes)
    {
        (byte[] Outputs, int Pages)? taken = await _sessions.TakePrefixAsync(_session, hashes).ConfigureAwait(false);
        int rows = (taken?.Pages ?? 0) * _sessions.Options.PageRows;
        _sessions.Service.Instruments.LookedUp(_layer.Name, rows, _tokens - rows);
        if (taken is { } found && !_output.IsEmpty)
            MemoryMarshal.Cast<byte, T>(found.Outputs)[..(rows * _size)].CopyTo(_output.Span);
        return rows;
    }

    private Task KeepPrefixAsync(PrefixHash[] hashes)
    {
        byte[] outputs = MemoryMarshal.AsBytes(_output.Span[..(hashes.Length * _sessions.Options.PageRows * _size)]).ToArray();
        return _sessions.KeepPrefixAsync(_session, hashes, outputs);
    }
}
