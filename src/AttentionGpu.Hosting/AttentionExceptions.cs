namespace AttentionGpu.Hosting;

/// <summary>As much waits as may: try again later, or elsewhere. Nothing was computed.</summary>
/// <param name="option">
/// The limit that is reached: <see cref="AttentionServiceOptions.QueueLimit"/>, <see cref="AttentionServiceOptions.QueueLimitTokens"/> or
/// <see cref="AttentionServiceOptions.QueueLimitBytes"/>.
/// </param>
/// <param name="limit">Its value.</param>
public sealed class AttentionOverloadedException(string option, long limit)
    : InvalidOperationException($"As many requests are waiting as may: {option} is {limit}. Try again later.")
{
    /// <summary>The option whose limit is reached.</summary>
    public string Option { get; } = option;

    /// <summary>The option's value.</summary>
    public long Limit { get; } = limit;
}

/// <summary>A request was not answered by its deadline. Its output is not written.</summary>
/// <param name="deadline">How long the request was wanted for.</param>
public sealed class AttentionDeadlineException(TimeSpan deadline)
    : TimeoutException($"The request was not answered within {deadline}, its deadline.")
{
    /// <summary>How long the request was wanted for.</summary>
    public TimeSpan Deadline { get; } = deadline;
}

/// <summary>The device failed while it computed a request.</summary>
/// <param name="device">The device's name.</param>
/// <param name="innerException">What it failed with.</param>
public sealed class AttentionDeviceException(string device, Exception innerException)
    : InvalidOperationException($"The device '{device}' failed: {innerException?.Message}", innerException)
{
    /// <summary>The device's name.</summary>
    public string Device { get; } = device;
}

/// <summary>There is no room for more sessions or tokens of a layer. Nothing was changed: try again when sessions have been closed.</summary>
/// <param name="layer">The layer's name.</param>
/// <param name="missing">What is missing.</param>
public sealed class AttentionCacheFullException(string layer, string missing)
    : InvalidOperationException($"The cache of the layer '{layer}' is full: {missing}.")
{
    /// <summary>The layer's name.</summary>
    public string Layer { get; } = layer;

    /// <summary>What is missing.</summary>
    public string Missing { get; } = missing;
}

/// <summary>A session has ended: it was closed, nobody used it, or its device failed.</summary>
public sealed class AttentionSessionEndedException : InvalidOperationException
{
    /// <param name="session">The session's id.</param>
    /// <param name="reason">Why it has ended.</param>
    public AttentionSessionEndedException(string session, string reason)
        : base($"The session '{session}' has ended: {reason}.")
    {
    }

    /// <param name="reason">What the session ended with.</param>
    internal AttentionSessionEndedException(Exception reason)
        : base(reason.Message, reason)
    {
    }
}

/// <summary>A session has not as many tokens as a step takes for granted. Nothing was computed.</summary>
/// <param name="session">The session's id.</param>
/// <param name="length">Tokens that it has.</param>
/// <param name="wanted">Tokens that it should have.</param>
public sealed class AttentionSessionLengthException(string session, int length, int wanted)
    : InvalidOperationException($"The session '{session}' has {length} tokens; the step is for one that has {wanted}.")
{
    /// <summary>Tokens that the session has.</summary>
    public int Length { get; } = length;

    /// <summary>Tokens that it should have.</summary>
    public int Wanted { get; } = wanted;
}
