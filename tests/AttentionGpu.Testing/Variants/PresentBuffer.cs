using System.Buffers;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>
/// Past and present in one memory: the first rows of each matrix of a buffer, which has rows behind them. In host memory or on the device.
/// All rows that are not the past's hold NaN at first.
/// </summary>
internal sealed class PresentBuffer<T> : IDisposable
    where T : unmanaged
{
    private readonly Tensor<T> _memory;
    private readonly T[] _before;
    private readonly nint _past;
    private readonly nint _present;
    private readonly DeviceTensor<T>? _device;
    private readonly DeviceTensor<T>? _devicePast;
    private readonly DeviceTensor<T>? _devicePresent;

    /// <param name="past">[batch, heads, past, size]; null for none.</param>
    /// <param name="lengths">[batch, heads, past and new rows, size].</param>
    /// <param name="room">Rows behind them.</param>
    /// <param name="leftOut">How many of the first axes the call's tensors leave out.</param>
    /// <param name="poison">NaN.</param>
    /// <param name="engine">The engine on whose device the buffer is; null for host memory.</param>
    public PresentBuffer(Tensor<T>? past, nint[] lengths, nint room, int leftOut, T poison, AttentionEngine? engine)
    {
        (_past, _present) = (past is null ? 0 : past.Lengths[2], lengths[2]);
        Tensor<T> whole = Tensor.CreateFromShape<T>([lengths[0], lengths[1], lengths[2] + room, lengths[3]]);
        whole.Fill(poison);
        past?.AsReadOnlyTensorSpan().CopyTo(Rows(whole.AsTensorSpan(), _past));
        _memory = Tensor.Create(Data.Flat(whole), whole.Lengths[leftOut..]);
        _before = Data.Flat(_memory);
        if (engine is null)
            return;
        _device = engine.CreateTensor(_memory.AsReadOnlyTensorSpan());
        _devicePast = _device.Slice(0, _past, _memory.Rank - 2);
        _devicePresent = _device.Slice(0, _present, _memory.Rank - 2);
    }

    public TensorInput<T> Past =>
        _past == 0 ? default
        : _devicePast is not null ? _devicePast
        : new TensorInput<T>(Rows(_memory.AsTensorSpan(), _past).AsReadOnlyTensorSpan());

    public TensorOutput<T> Present =>
        _devicePresent is not null ? _devicePresent : new TensorOutput<T>(Rows(_memory.AsTensorSpan(), _present));

    /// <summary>What a call has written to the present. Fails if a bit of another row has changed.</summary>
    public Tensor<T> Written()
    {
        _device?.CopyTo(_memory.AsTensorSpan());
        AssertSameRows(0, _past);
        AssertSameRows(_present, _memory.Lengths[^2]);
        nint[] lengths = [.. _memory.Lengths];
        lengths[^2] = _present;
        var rows = new T[Rows(_memory.AsTensorSpan(), _present).FlattenedLength];
        Rows(_memory.AsTensorSpan(), _present).FlattenTo(rows);
        return Tensor.Create(rows, lengths);
    }

    /// <summary>Fails if a bit has changed.</summary>
    public void AssertUnchanged()
    {
        _device?.CopyTo(_memory.AsTensorSpan());
        AssertSameRows(0, _memory.Lengths[^2]);
    }

    public void Dispose()
    {
        _devicePast?.Dispose();
        _devicePresent?.Dispose();
        _device?.Dispose();
    }

    private void AssertSameRows(nint first, nint end)
    {
        (int rows, int size) = ((int)_memory.Lengths[^2], (int)_memory.Lengths[^1]);
        T[] after = Data.Flat(_memory);
        for (int matrix = 0; matrix < after.Length / (rows * size); matrix++)
        {
            var part = new Range((matrix * rows + (int)first) * size, (matrix * rows + (int)end) * size);
            Xunit.Assert.True(
                MemoryMarshal.AsBytes(_before.AsSpan(part)).SequenceEqual(MemoryMarshal.AsBytes(after.AsSpan(part))),
                $"rows {first} to {end} of matrix {matrix} of a buffer of {rows} rows have changed");
        }
    }

    private static TensorSpan<T> Rows(TensorSpan<T> tensor, nint count)
    {
        var parts = new NRange[tensor.Rank];
        Array.Fill(parts, NRange.All);
        parts[^2] = new NRange(0, count);
        return tensor.Slice(parts);
    }
}
