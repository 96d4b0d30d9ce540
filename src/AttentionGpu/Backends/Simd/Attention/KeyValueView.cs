using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Elements;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// The keys or the values of a call, as rows of floats: the one place that knows how they are stored and where their rows lie. Kernels ask
/// for rows and take as many as lie a stride apart, so that other forms change no kernel.
/// </summary>
internal readonly unsafe struct KeyValueView
{
    private readonly byte* _memory;
    private readonly ElementType _element;
    private readonly TensorLayout _layout;
    private readonly int _elementSize;
    private readonly int _size;
    private readonly int _longestRun;

    /// <param name="memory">The memory of all rows.</param>
    /// <param name="form">How they are stored.</param>
    /// <param name="layout">Where they lie.</param>
    /// <param name="size">Elements of a row.</param>
    /// <param name="longestRun">Most rows that are given at once.</param>
    public KeyValueView(DeviceMemory memory, KeyValueForm form, in TensorLayout layout, int size, int longestRun)
    {
        _memory = memory.Pointer<byte>();
        _element = form.Element.Plain();
        _elementSize = _element.Size();
        _layout = layout;
        _size = size;
        _longestRun = longestRun;
    }

    /// <summary>Whether this class reads a form.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not.</exception>
    public static void Require(KeyValueForm form)
    {
        _ = form.Element.Plain();
        if (form.Rows != KeyValueRows.Contiguous)
            throw new ArgumentOutOfRangeException(nameof(form), form.Rows, "There is no such kind of rows.");
    }

    /// <summary>Rows as floats: where they lie if they are floats, else converted.</summary>
    /// <param name="batch">The batch entry.</param>
    /// <param name="head">The key/value head.</param>
    /// <param name="row">The first row, counted from the tensor's.</param>
    /// <param name="count">The rows that are wanted; at least 1.</param>
    /// <param name="room">Room for so many rows.</param>
    /// <param name="rows">The first of the rows.</param>
    /// <param name="stride">Floats from one to the next.</param>
    /// <returns>How many there are: those wanted, or those up to the end of a run.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Read(int batch, int head, int row, int count, float* room, out float* rows, out nint stride)
    {
        count = Math.Min(count, _longestRun);
        stride = (nint)_layout.RowStride;
        rows = ElementRows.Read(_memory + _layout.Offset(batch, head, row) * _elementSize, _element, ref stride, count, _size, room);
        return count;
    }
}
