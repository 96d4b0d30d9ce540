namespace AttentionGpu;

/// <summary>
/// A call or tensor needs more memory than the engine may have (<see cref="AttentionEngineOptions.MemoryLimitBytes"/>) or the device has
/// left. Nothing
/// is computed or written; the engine stays usable, and a smaller call, or the same when others have ended, works.
/// </summary>
public sealed class AttentionMemoryException : InvalidOperationException
{
    /// <summary>For what goes beyond a limit.</summary>
    /// <param name="requestedBytes">What was to be allocated.</param>
    /// <param name="bytesInUse">What tensors, parameters and running calls have.</param>
    /// <param name="limitBytes">What they may have.</param>
    public AttentionMemoryException(long requestedBytes, long bytesInUse, long limitBytes)
        : base($"{requestedBytes:N0} bytes are needed besides the {bytesInUse:N0} in use; the engine may have {limitBytes:N0} (MemoryLimitBytes).")
    {
        RequestedBytes = requestedBytes;
        BytesInUse = bytesInUse;
    }

    /// <summary>For what the device refuses.</summary>
    /// <param name="requestedBytes">What was to be allocated.</param>
    /// <param name="bytesInUse">What tensors, parameters and running calls have.</param>
    /// <param name="innerException">What the device's driver says.</param>
    public AttentionMemoryException(long requestedBytes, long bytesInUse, Exception innerException)
        : base($"The device has no room for {requestedBytes:N0} bytes besides the {bytesInUse:N0} in use: {innerException?.Message}", innerException)
    {
        RequestedBytes = requestedBytes;
        BytesInUse = bytesInUse;
    }

    /// <summary>Bytes that were to be allocated.</summary>
    public long RequestedBytes { get; }

    /// <summary>Bytes that tensors, parameters and running calls had.</summary>
    public long BytesInUse { get; }
}
