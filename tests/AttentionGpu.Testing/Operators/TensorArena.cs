using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace AttentionGpu.Tests.Operators;

/// <summary>
/// Tensors that lie one after another in one block of host memory: two chosen ones first, without a gap between them or with one element in
/// common. Every byte of the memory is 1 at first: a small float, true, and whole numbers that are all equal.
/// </summary>
internal sealed class TensorArena : TensorSource
{
    private const int Alignment = sizeof(float);

    private readonly Dictionary<string, (int Start, TensorSlot Slot)> _slots = [];
    private readonly byte[] _memory;

    /// <param name="slots">All tensors.</param>
    /// <param name="first">The tensor at the start of the memory.</param>
    /// <param name="second">The tensor behind it.</param>
    /// <param name="overlap">Whether the second starts on the last element of the first, rather than behind it.</param>
    public TensorArena(IEnumerable<TensorSlot> slots, string first, string second, bool overlap)
    {
        int end = 0;
        foreach (TensorSlot slot in slots.OrderBy(slot => slot.Name == first ? 0 : slot.Name == second ? 1 : 2))
        {
            int start = slot.Name == second && overlap ? end - slot.ElementBytes : (end + Alignment - 1) & -Alignment;
            _slots.Add(slot.Name, (start, slot));
            end = start + slot.Bytes;
        }

        // Pinned memory starts at an address that floats may have.
        _memory = GC.AllocateUninitializedArray<byte>(end, pinned: true);
        _memory.AsSpan().Fill(1);
    }

    /// <summary>The lengths of a tensor.</summary>
    public nint[] LengthsOf(string name) => _slots[name].Slot.Lengths;

    /// <summary>The address of a tensor's first element, which does not move.</summary>
    public unsafe nint AddressOf(string name) => (nint)Unsafe.AsPointer(ref _memory[_slots[name].Start]);

    public bool IsUnchanged => !_memory.AsSpan().ContainsAnyExcept((byte)1);

    public override TensorInput<T> Input<T>(string name) => Span<T>(name);

    public override TensorOutput<T> Output<T>(string name) => Span<T>(name);

    public override ReadOnlyTensorSpan<int> Numbers(string name) => Span<int>(name).AsReadOnlyTensorSpan();

    private TensorSpan<T> Span<T>(string name)
        where T : unmanaged
    {
        (int start, TensorSlot slot) = _slots[name];
        Assert.Equal(Unsafe.SizeOf<T>(), slot.ElementBytes);
        return new TensorSpan<T>(MemoryMarshal.Cast<byte, T>(_memory.AsSpan(start, slot.Bytes)), slot.Lengths);
    }
}
