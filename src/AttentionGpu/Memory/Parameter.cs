using AttentionGpu.Elements;

namespace AttentionGpu.Memory;

/// <summary>
/// A parameter of a layer on the device: a matrix [rows, columns] of an element type, plain or in the panels that the device reads best.
/// </summary>
internal sealed class Parameter(SharedMemory memory, ElementType element, int rows, int columns, bool isPanelled) : IDisposable
{
    private int _disposed;

    public SharedMemory Memory => memory;

    public ElementType Element => element;

    public int Rows => rows;

    public int Columns => columns;

    /// <summary>Whether rows are rearranged in panels; a slice of whole panels is panelled too.</summary>
    public bool IsPanelled => isPanelled;

    /// <summary>The part of some rows, in memory that a call has acquired.</summary>
    public DeviceMemory Slice(DeviceMemory acquired, int firstRow, int count)
    {
        long rowBytes = (long)columns * element.Size();
        return acquired.Slice<byte>(firstRow * rowBytes, count * rowBytes);
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
            memory.Release();
    }
}
