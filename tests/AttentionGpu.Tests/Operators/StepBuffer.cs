using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>A buffer in host memory or on the device, whose first rows are seen as past and present.</summary>
internal sealed class StepBuffer<T>(AttentionEngine engine, bool onDevice, nint[] lengths, T poison) : IDisposable
    where T : unmanaged
{
    private readonly Tensor<T> _host = Filled(lengths, poison);
    private readonly DeviceTensor<T>? _device = onDevice ? engine.CreateTensor(Filled(lengths, poison).AsReadOnlyTensorSpan()) : null;
    private readonly List<DeviceTensor<T>> _parts = [];
    private T[] _before = [];
    private int _past;
    private int _present;

    public TensorOutput<T> Whole => _device is not null ? _device : _host;

    public TensorInput<T> Past => _past == 0 ? default : _device is not null ? Part(_past) : HostPart(_past);

    public TensorOutput<T> Present => _device is not null ? Part(_present) : HostPart(_present);

    public void Take(int past, int present)
    {
        (_past, _present) = (past, present);
        _before = Now();
    }

    public void AssertOthersUnchanged()
    {
        T[] after = Now();
        (int rows, int size) = ((int)lengths[2], (int)lengths[3]);
        for (int i = 0; i < after.Length; i++)
        {
            int row = i / size % rows;
            if (row < _past || row >= _present)
            {
                Assert.True(
                    MemoryMarshal.AsBytes(_before.AsSpan(i, 1)).SequenceEqual(MemoryMarshal.AsBytes(after.AsSpan(i, 1))),
                    $"row {row} beside the new rows {_past} to {_present} has changed");
            }
        }
    }

    public T[] Rows(int first, int end) => Data.Flat(Tensor.Create(Now(), lengths)[.., .., first..end, ..].ToDenseTensor());

    public void Dispose()
    {
        _parts.ForEach(part => part.Dispose());
        _device?.Dispose();
    }

    private T[] Now()
    {
        _device?.CopyTo(_host.AsTensorSpan());
        return Data.Flat(_host);
    }

    private DeviceTensor<T> Part(int rows)
    {
        _parts.Add(_device!.Slice(0, rows, axis: 2));
        return _parts[^1];
    }

    private TensorSpan<T> HostPart(int rows) => _host.AsTensorSpan()[.., .., ..rows, ..];

    private static Tensor<T> Filled(nint[] lengths, T value)
    {
        Tensor<T> tensor = Tensor.CreateFromShape<T>(lengths);
        tensor.Fill(value);
        return tensor;
    }
}
