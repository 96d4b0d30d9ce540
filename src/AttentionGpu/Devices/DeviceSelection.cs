namespace AttentionGpu;

/// <summary>A chosen device, and why it was chosen.</summary>
/// <param name="Device">The device.</param>
/// <param name="Reason">Why, in words.</param>
public sealed record DeviceSelection(DeviceInfo Device, string Reason);
