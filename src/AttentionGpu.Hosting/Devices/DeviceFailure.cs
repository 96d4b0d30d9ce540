namespace AttentionGpu.Hosting.Devices;

/// <summary>Tells a broken device from a call that no device would serve.</summary>
internal static class DeviceFailure
{
    /// <summary>
    /// Whether what a call threw means that the device is broken. A wrong argument, a size beyond what the engine supports, too little
    /// memory, and a fault in code are the call's: another device would not be better. All else comes from a driver, or is not known;
    /// then another device is worth a try.
    /// </summary>
    public static bool Is(Exception exception) => exception switch
    {
        AggregateException many => many.InnerExceptions.Any(Is),
        AttentionMemoryException or OutOfMemoryException or KeyValueCacheFullException => false,
        AttentionCacheFullException or AttentionSessionEndedException or AttentionSessionLengthException => false,
        ArgumentException or NotSupportedException or ObjectDisposedException or OperationCanceledException => false,
        ArithmeticException or ArrayTypeMismatchException or IndexOutOfRangeException or InvalidCastException => false,
        NullReferenceException or NotImplementedException or KeyNotFoundException => false,
        _ => true,
    };
}
