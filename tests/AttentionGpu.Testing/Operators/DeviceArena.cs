using System.Numerics.Tensors;

namespace AttentionGpu.Tests.Operators;

/// <summary>An arena some of whose tensors are device tensors over its memory, of an engine that computes in host memory.</summary>
internal sealed class DeviceArena(TensorArena arena, AttentionEngine engine, params string[] onDevice) : TensorSource, IDisposable
{
    private readonly List<DeviceTensor> _tensors = [];

    public override TensorInput<T> Input<T>(string name) => onDevice.Contains(name) ? Over<T>(name) : arena.Input<T>(name);

    public override TensorOutput<T> Output<T>(string name) => onDevice.Contains(name) ? Over<T>(name) : arena.Output<T>(name);

    public override ReadOnlyTensorSpan<int> Numbers(string name) => arena.Numbers(name);

    public void Dispose() => _tensors.ForEach(tensor => tensor.Dispose());

    private DeviceTensor<T> Over<T>(string name)
        where T : unmanaged
    {
        DeviceTensor<T> tensor = engine.Over<T>(arena.AddressOf(name), arena.LengthsOf(name));
        _tensors.Add(tensor);
        return tensor;
    }
}
