using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace AttentionGpu.Backends.Accelerator.Texts;

/// <summary>The parameters of one launch of a text, in the order in which the text declares them.</summary>
internal unsafe ref struct TextArguments
{
    /// <summary>Parameters of a launch at most.</summary>
    public const int MaxCount = 16;

    private const int MaxBytes = 1024;
    private const int Alignment = 16;

    private fixed byte _bytes[MaxBytes];
    private fixed int _starts[MaxCount];
    private int _length;

    /// <summary>The number of parameters.</summary>
    public int Count { get; private set; }

    /// <summary>Adds a parameter.</summary>
    public void Add<T>(in T value)
        where T : unmanaged
    {
        if (Count == MaxCount || _length + Unsafe.SizeOf<T>() > MaxBytes)
            throw new InvalidOperationException("A launch has no room for so many parameters.");
        _starts[Count++] = _length;
        fixed (byte* bytes = _bytes)
        {
            MemoryMarshal.Write(new Span<byte>(bytes + _length, Unsafe.SizeOf<T>()), value);
        }

        _length += (Unsafe.SizeOf<T>() + Alignment - 1) / Alignment * Alignment;
    }

    /// <summary>Where a parameter lies, while the arguments stay where they are.</summary>
    [UnscopedRef]
    public ref byte Parameter(int number) => ref _bytes[_starts[number]];
}
