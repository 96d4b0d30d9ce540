namespace AttentionGpu.Cli.Output;

/// <summary>
/// The work is done and its results cannot be written, for example because the disk is full. A file that was there is as it was before.
/// Unlike an <see cref="IOException"/> of an input, it is a failure of the work.
/// </summary>
internal sealed class OutputException(string message, Exception inner) : Exception(message, inner);
