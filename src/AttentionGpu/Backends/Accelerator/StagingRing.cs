using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Page-locked memory that small uploads pass through, one behind the other: the source may change at once, and the device reads the copy
/// when its stream gets there. When the ring is full, it waits for the stream once and starts over.
/// </summary>
internal sealed class StagingRing : IDisposable
{
    /// <summary>The largest copy that passes through.</summary>
    public const int MaxCopyBytes = 64 << 10;

    /// <summary>Bytes of the ring.</summary>
    public const int Bytes = 1 << 20;

    // A copy starts where the device reads it well.
    private const int Alignment = 256;

    private readonly Lock _lock = new();
    private readonly PageLockedArray1D<byte> _memory;
    private readonly AcceleratorStream _stream;
    private readonly Action _synchronize;
    private int _next;

    /// <param name="accelerator">The device.</param>
    /// <param name="synchronize">Waits for its stream.</param>
    public StagingRing(ILGPU.Runtime.Accelerator accelerator, Action synchronize)
    {
        _memory = accelerator.AllocatePageLocked1D<byte>(Bytes, uninitialized: true);
        _stream = accelerator.DefaultStream;
        _synchronize = synchronize;
    }

    /// <summary>Takes a copy of the source, and starts copying it to the target.</summary>
    public void Upload(ReadOnlySpan<byte> source, ArrayView<byte> target)
    {
        lock (_lock)
        {
            if (_next + source.Length > Bytes)
            {
                _synchronize();
                _next = 0;
            }

            Span<byte> staged = _memory.Span.Slice(_next, source.Length);
            source.CopyTo(staged);
            target.CopyFromCPUUnsafeAsync(_stream, ref staged[0], source.Length);
            _next = (_next + source.Length + Alignment - 1) / Alignment * Alignment;
        }
    }

    /// <summary>Frees the memory, when the stream has finished.</summary>
    public void Dispose() => _memory.Dispose();
}
