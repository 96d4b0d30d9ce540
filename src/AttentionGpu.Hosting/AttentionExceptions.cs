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
