using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>Tensors on the device: another engine's, disposed ones, and one tensor in two places.</summary>
public class DeviceArgumentTests
{
    private delegate void Change(ref AttentionInputs<float> inputs, ref AttentionOutputs<float> outputs, DeviceTensor<float> shared);

    private static readonly Dictionary<string, Change> _places = new()
    {
        ["query"] = (ref inputs, ref _, shared) => inputs.Query = shared,
        ["key"] = (ref inputs, ref _, shared) => inputs.Key = shared,
        ["value"] = (ref inputs, ref _, shared) => inputs.Value = shared,
        ["mask"] = (ref inputs, ref _, shared) => inputs.Mask = shared,
        ["output"] = (ref _, ref outputs, shared) => outputs.Output = shared,
        ["scores"] = (ref _, ref outputs, shared) => outputs.Scores = shared,
        ["presentKey"] = (ref _, ref outputs, shared) => outputs.PresentKey = shared,
        ["presentValue"] = (ref _, ref outputs, shared) => outputs.PresentValue = shared,
    };

    public static TheoryData<string, string> Arguments
    {
        get
        {
            var arguments = new TheoryData<string, string>();
            foreach ((string name, FullCalls call) in FullCalls.All)
            {
                // Document numbers are never on a device.
                foreach (TensorSlot slot in call.Slots.Where(slot => !slot.Name.EndsWith("Documents", StringComparison.Ordinal)))
                    arguments.Add(name, slot.Name);
            }

            return arguments;
        }
    }

    public static TheoryData<string, string> Pairs
    {
        get
        {
            var pairs = new TheoryData<string, string>();
            string[] outputs = ["output", "scores", "presentKey", "presentValue"];
            foreach (string output in outputs)
            {
                foreach (string other in _places.Keys.Except(outputs.TakeWhile(name => name != output).Append(output)))
                    pairs.Add(output, other);
            }

            return pairs;
        }
    }

    [Theory]
    [InlineData("reference")]
    [InlineData("simd")]
    public void A_call_of_device_tensors_alone_writes_every_output(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        foreach (FullCalls call in FullCalls.All.Values)
        {
            using var tensors = new DeviceTensors(call, engine);
            call.Run(engine, tensors);
            Assert.All(call.Outputs, slot => Assert.Equal(1.0, tensors.Written(slot.Name)));
        }
    }

    [Theory]
    [MemberData(nameof(Arguments))]
    public void A_tensor_of_another_engine_is_named_and_nothing_is_written(string call, string argument)
    {
        FullCalls full = FullCalls.All[call];
        using var other = new AttentionEngine("simd");
        using var tensors = new DeviceTensors(full, Engines.Reference, argument, other);
        ArgumentException exception = Assert.Throws<ArgumentException>(() => full.Run(Engines.Reference, tensors));
        Assert.Contains("belongs to another engine (on simd)", exception.Message, StringComparison.Ordinal);
        Assert.Equal(argument == "bias" && call != "linear" ? "mask" : argument, exception.ParamName);
        Assert.All(full.Outputs, slot => Assert.Equal(0.0, tensors.Written(slot.Name)));
    }

    [Theory]
    [MemberData(nameof(Arguments))]
    public void A_disposed_tensor_is_refused_and_nothing_is_written(string call, string argument)
    {
        FullCalls full = FullCalls.All[call];
        using var tensors = new DeviceTensors(full, Engines.Reference);
        tensors[argument].Dispose();
        Assert.Throws<ObjectDisposedException>(() => full.Run(Engines.Reference, tensors));
        Assert.All(full.Outputs.Where(slot => slot.Name != argument), slot => Assert.Equal(0.0, tensors.Written(slot.Name)));
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void One_tensor_as_an_output_and_something_else_is_refused(string output, string other)
    {
        // All tensors have one shape, so that a tensor may stand in any place.
        AttentionEngine engine = Engines.Reference;
        using DeviceTensor<float> own = engine.CreateTensor(Data.Random(new Random(1), 1, 1, 4, 4).AsReadOnlyTensorSpan());
        using DeviceTensor<float> shared = engine.CreateTensor(Data.Random(new Random(2), 1, 1, 4, 4).AsReadOnlyTensorSpan());
        using DeviceTensor<float> target = engine.CreateTensor<float>(1, 1, 4, 4);
        Run(output);
        Run(other);
        ArgumentException exception = Assert.Throws<ArgumentException>(() => Run(output, other));
        Assert.Contains("must not overlap", exception.Message, StringComparison.Ordinal);
        Assert.Contains($"'{output}'", exception.Message, StringComparison.Ordinal);
        Assert.Contains($"'{other}'", exception.Message, StringComparison.Ordinal);

        void Run(params string[] places)
        {
            var inputs = new AttentionInputs<float> { Query = own, Key = own, Value = own };
            var outputs = new AttentionOutputs<float> { Output = target };
            foreach (string place in places)
                _places[place](ref inputs, ref outputs, shared);
            engine.ScaledDotProductAttention(inputs, outputs);
        }
    }
}
