namespace AttentionGpu.Hosting;

/// <summary>As many requests wait as may: try again later, or elsewhere. Nothing was computed.</summary>
/// <param name="queueLimit">Requests that may wait.</param>
public sealed class AttentionOverloadedException(int queueLimit)
    : InvalidOperationException($"{queueLimit} requests are waiting, as many as may (QueueLimit). Try again later.")
{
    /// <summary>Requests that may wait.</summary>
    public int QueueLimit { get; } = queueLimit;
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
