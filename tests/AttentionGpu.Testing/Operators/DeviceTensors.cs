using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace AttentionGpu.Tests.Operators;

/// <summary>Tensors of a call on a device: inputs of small numbers, outputs of NaN. A chosen one may be another engine's.</summary>
internal sealed class DeviceTensors : TensorSource, IDisposable
{
    private readonly Dictionary<string, DeviceTensor> _tensors = [];
    private readonly Dictionary<string, int[]> _numbers = [];
    private readonly Dictionary<string, TensorSlot> _slots;

    public DeviceTensors(FullCalls call, AttentionEngine engine, string? foreign = null, AttentionEngine? other = null)
    {
        _slots = call.Slots.ToDictionary(slot => slot.Name);
        foreach (TensorSlot slot in _slots.Values)
        {
            AttentionEngine owner = slot.Name == foreign ? other! : engine;
            if (slot.Name.EndsWith("Documents", StringComparison.Ordinal))
                _numbers.Add(slot.Name, new int[slot.Bytes / sizeof(int)]);
            else if (slot.ElementBytes == 1)
                _tensors.Add(slot.Name, owner.CreateTensor(Filled(slot, true)));
            else
                _tensors.Add(slot.Name, owner.CreateTensor(Filled(slot, call.Outputs.Contains(slot) ? float.NaN : 0.01f)));
        }
    }

    public DeviceTensor this[string name] => _tensors[name];

    public override TensorInput<T> Input<T>(string name) => (DeviceTensor<T>)_tensors[name];

    public override TensorOutput<T> Output<T>(string name) => (DeviceTensor<T>)_tensors[name];

    public override ReadOnlyTensorSpan<int> Numbers(string name) => new(_numbers[name], _slots[name].Lengths);

    /// <summary>The share of an output's elements that a call has written.</summary>
    public double Written(string name)
    {
        var tensor = (DeviceTensor<float>)_tensors[name];
        float[] values = new float[tensor.FlattenedLength];
        tensor.CopyTo(new TensorSpan<float>(values, tensor.Lengths));
        return values.Average(value => float.IsNaN(value) ? 0.0 : 1.0);
    }

    public void Dispose()
    {
        foreach (DeviceTensor tensor in _tensors.Values)
            tensor.Dispose();
    }

    private static ReadOnlyTensorSpan<T> Filled<T>(TensorSlot slot, T value)
        where T : unmanaged
    {
        var values = new T[slot.Bytes / Unsafe.SizeOf<T>()];
        values.AsSpan().Fill(value);
        return new ReadOnlyTensorSpan<T>(values, slot.Lengths);
    }
}
