using System.Numerics.Tensors;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Tests.Operators;

/// <summary>
/// Outputs that share memory where device tensors lie over memory of the caller, and outputs that share memory within themselves.
/// </summary>
public class DeviceOverlapTests
{
    public static TheoryData<string, string> Outputs
    {
        get
        {
            var outputs = new TheoryData<string, string>();
            foreach ((string name, FullCalls call) in FullCalls.All)
            {
                foreach (TensorSlot slot in call.Outputs)
                    outputs.Add(name, slot.Name);
            }

            return outputs;
        }
    }

    [Theory]
    [MemberData(nameof(OverlapTests.Pairs), MemberType = typeof(OverlapTests))]
    public void A_shared_element_is_refused_on_the_device_and_between_host_and_device(string call, string output, string other)
    {
        FullCalls full = FullCalls.All[call];
        foreach (AttentionEngine engine in new[] { Engines.Reference, Engines.Get("simd") })
        {
            foreach ((string first, string second) in new[] { (output, other), (other, output) })
            {
                foreach (string[] onDevice in new string[][] { [output, other], [output], [other] })
                {
                    using (var good = new DeviceArena(new TensorArena(full.Slots, first, second, overlap: false), engine, onDevice))
                        full.Run(engine, good);
                    var arena = new TensorArena(full.Slots, first, second, overlap: true);
                    using var bad = new DeviceArena(arena, engine, onDevice);
                    ArgumentException exception = Assert.Throws<ArgumentException>(() => full.Run(engine, bad));
                    Assert.Contains(
                        $"'{output}' must not overlap",
                        exception.Message.Replace($"'{other}' must", $"'{output}' must", StringComparison.Ordinal),
                        StringComparison.Ordinal);
                    Assert.True(arena.IsUnchanged, "A refused call has written.");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Outputs))]
    public void An_output_whose_elements_share_a_place_is_refused(string call, string output)
    {
        FullCalls full = FullCalls.All[call];
        TensorSlot slot = full.Outputs.Single(one => one.Name == output);
        foreach (string backend in Engines.All)
        {
            for (int axis = 0; axis < slot.Lengths.Length; axis++)
            {
                if (slot.Lengths[axis] == 1)
                    continue;
                var source = new RepeatedOutput(new TensorArena(full.Slots, output, output, overlap: false), slot, axis);
                ArgumentException exception = Assert.Throws<ArgumentException>(() => full.Run(Engines.Get(backend), source));
                Assert.Equal(output, exception.ParamName);
                Assert.Contains("a place in memory for each of its elements", exception.Message, StringComparison.Ordinal);
                Assert.True(source.IsUnchanged, "A refused call has written.");
            }
        }
    }

    [Fact]
    public void Whole_numbers_are_read_before_anything_is_written()
    {
        // The key lengths lie in the output's memory.
        float[] memory = new float[12];
        int[] lengths = [1, 3];
        Tensor<float> rows = Data.Random(new Random(1), 2, 1, 3, 2);
        Tensor<float> expected = Data.Poisoned(2, 1, 3, 2);
        foreach (string backend in Engines.All)
        {
            AttentionEngine engine = Engines.Get(backend);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float> { Query = rows, Key = rows, Value = rows, KeyLengths = lengths },
                new AttentionOutputs<float> { Output = expected });
            Span<int> inside = System.Runtime.InteropServices.MemoryMarshal.Cast<float, int>(memory.AsSpan())[4..6];
            lengths.CopyTo(inside);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float> { Query = rows, Key = rows, Value = rows, KeyLengths = inside },
                new AttentionOutputs<float> { Output = new TensorSpan<float>(memory, [2, 1, 3, 2]) });
            Assert.Equal(Data.Flat(expected), memory);
        }
    }

    [Fact]
    public async Task A_copy_within_the_same_memory_is_refused()
    {
        float[] memory = GC.AllocateArray<float>(12, pinned: true);
        foreach (string backend in new[] { "reference", "simd" })
        {
            using DeviceTensor<float> tensor = Over(Engines.Get(backend), memory);
            foreach (int start in new[] { 0, 1, 3 })
            {
                // A tensor over the array from an element on.
                Tensor<float> shared = Tensor.Create(memory, start, [4], [1]);
                Assert.Equal("source", Assert.Throws<ArgumentException>(() => tensor.CopyFrom(shared.AsReadOnlyTensorSpan())).ParamName);
                Assert.Equal("target", Assert.Throws<ArgumentException>(() => tensor.CopyTo(shared.AsTensorSpan())).ParamName);
                await Assert.ThrowsAsync<ArgumentException>(
                    "source", () => tensor.CopyFromAsync(shared, TestContext.Current.CancellationToken));
                await Assert.ThrowsAsync<ArgumentException>(
                    "target", () => tensor.CopyToAsync(shared, TestContext.Current.CancellationToken));
            }

            Tensor<float> behind = Tensor.Create(memory, 4, [4], [1]);
            behind.Fill(2f);
            tensor.CopyFrom(behind.AsReadOnlyTensorSpan());
            Assert.Equal([2f, 2f, 2f, 2f], memory[..4]);
        }
    }

    [Fact]
    public void A_copy_to_elements_that_share_a_place_is_refused()
    {
        foreach (string backend in Engines.All)
        {
            using DeviceTensor<float> tensor = Engines.Get(backend).CreateTensor<float>(2, 3);
            Assert.Equal(
                "target",
                Assert.Throws<ArgumentException>(() => tensor.CopyTo(new TensorSpan<float>(new float[3], [2, 3], [0, 1]))).ParamName);
        }
    }

    [Fact]
    public unsafe void A_buffer_of_the_emulator_overlaps_host_memory()
    {
        using Context context = AcceleratorDevices.CreateContext(AcceleratorDevices.EmulatorName);
        using Accelerator accelerator = AcceleratorDevices.Find(context, AcceleratorDevices.EmulatorName).CreateAccelerator(context);
        using MemoryBuffer1D<float, Stride1D.Dense> buffer = accelerator.Allocate1D<float>(8);
        using var engine = new AttentionEngine(accelerator);
        using DeviceTensor<float> output = engine.Over(buffer.View.BaseView.SubView(0, 4), [2, 2]);
        Tensor<float> weight = Data.Random(new Random(1), 2, 2);
        float* memory = (float*)buffer.NativePtr;
        engine.Linear<float>(new ReadOnlyTensorSpan<float>(new ReadOnlySpan<float>(memory + 4, 4), [2, 2]), weight, output);
        Assert.Equal("output", Assert.Throws<ArgumentException>(() => engine.Linear<float>(
            new ReadOnlyTensorSpan<float>(new ReadOnlySpan<float>(memory + 3, 4), [2, 2]), weight, output)).ParamName);
        engine.Synchronize();
    }

    [Fact]
    public void A_file_that_is_read_keeps_its_content_when_its_path_is_written()
    {
        string path = Path.GetTempFileName();
        try
        {
            SafetensorsFile.Write(path, new Dictionary<string, Tensor<float>> { ["x"] = Tensor.Create([1f, 2f], [2]) });
            using (SafetensorsFile file = SafetensorsFile.Open(path))
            {
                var other = new Dictionary<string, Tensor<float>> { ["y"] = Tensor.Create([3f], [1]) };
                if (OperatingSystem.IsWindows())
                    Assert.ThrowsAny<IOException>(() => SafetensorsFile.Write(path, other));
                else
                    SafetensorsFile.Write(path, other);
                Assert.Equal([1f, 2f], Data.Flat(file.Read("x")));
            }

            using SafetensorsFile now = SafetensorsFile.Open(path);
            Assert.Equal(OperatingSystem.IsWindows() ? "x" : "y", Assert.Single(now.Entries).Key);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static unsafe DeviceTensor<float> Over(AttentionEngine engine, float[] pinned)
    {
        fixed (float* memory = pinned)
            return engine.Over<float>((nint)memory, [4]);
    }

    /// <summary>An arena one of whose outputs repeats an axis.</summary>
    private sealed class RepeatedOutput(TensorArena arena, TensorSlot slot, int axis) : TensorSource
    {
        private readonly float[] _memory = new float[slot.Bytes / sizeof(float)];

        public bool IsUnchanged => arena.IsUnchanged && _memory.All(value => value == 0f);

        public override TensorInput<T> Input<T>(string name) => arena.Input<T>(name);

        public override TensorOutput<T> Output<T>(string name)
        {
            if (name != slot.Name)
                return arena.Output<T>(name);
            nint[] strides = new nint[slot.Lengths.Length];
            nint stride = 1;
            for (int i = strides.Length - 1; i >= 0; i--)
            {
                strides[i] = i == axis || slot.Lengths[i] == 1 ? 0 : stride;
                stride *= i == axis ? 1 : slot.Lengths[i];
            }

            return new TensorSpan<T>((T[])(object)_memory, slot.Lengths, strides);
        }

        public override ReadOnlyTensorSpan<int> Numbers(string name) => arena.Numbers(name);
    }
}
