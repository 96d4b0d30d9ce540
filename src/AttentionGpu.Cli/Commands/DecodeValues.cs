using AttentionGpu.Cli.Bench;

namespace AttentionGpu.Cli.Commands;

/// <summary>The values of <see cref="DecodeOptions"/>.</summary>
/// <param name="First">The name of the first option that was given; null where none was.</param>
/// <param name="Element">How the cache stores keys and values.</param>
/// <param name="Kind">How it keeps rows.</param>
/// <param name="PageSize">Rows of a page.</param>
/// <param name="Window">Keys that a query of a window cache sees.</param>
/// <param name="Steps">Steps that are timed at once.</param>
internal sealed record DecodeValues(
    string? First, KeyValueElement Element, KeyValueCacheKind Kind, int? PageSize, int? Window, int Steps)
{
    public const int DefaultSteps = 16;

    /// <summary>The step, checked.</summary>
    /// <param name="shape">Batch, heads, length, head size.</param>
    /// <param name="keyValueHeads">Heads of keys and values.</param>
    /// <exception cref="ArgumentException">The options contradict each other, or one is out of range.</exception>
    public DecodeSettings Step(int[] shape, int keyValueHeads)
    {
        if (Steps < 1)
            throw new ArgumentException($"--steps is {Steps}; it must be at least 1.");
        if (PageSize is not null && Kind != KeyValueCacheKind.Paged)
            throw new ArgumentException("--page-size is for --cache paged.");
        if (PageSize is int size && (size is < 16 or > 256 || !int.IsPow2(size)))
            throw new ArgumentException($"--page-size is {size}; it must be 16, 32, 64, 128 or 256.");
        if (Window is not null != (Kind == KeyValueCacheKind.Window))
            throw new ArgumentException("--window is for --cache window, which needs it.");
        if (Window < 1)
            throw new ArgumentException($"--window is {Window}; it must be at least 1.");
        return new DecodeSettings
        {
            Heads = shape[1],
            KeyValueHeads = keyValueHeads,
            HeadSize = shape[3],
            Lengths = [.. Enumerable.Repeat(shape[2], shape[0])],
            Element = Element,
            Kind = Kind,
            PageSize = PageSize,
            Window = Window,
        };
    }
}
