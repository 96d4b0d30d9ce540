using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Tests.Support;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Tests.Engine;

/// <summary>Tensors over memory that the caller owns, and engines on an accelerator of the caller's.</summary>
public class OverTests
{
    private static readonly nint[] _lengths = [1, 2, 5, 8];

    [Fact]
    public void Attention_runs_on_buffers_of_the_callers_accelerator_without_a_copy()
    {
        using Context context = AcceleratorDevices.CreateContext(AcceleratorDevices.EmulatorName);
        using Accelerator accelerator = AcceleratorDevices.Find(context, AcceleratorDevices.EmulatorName).CreateAccelerator(context);
        float[][] values = [.. Enumerable.Range(1, 3).Select(seed => Data.Flat(Data.Random(new Random(seed), _lengths)))];
        using AcceleratorStream stream = accelerator.CreateStream();
        MemoryBuffer1D<float, Stride1D.Dense>[] buffers = [.. values.Select(accelerator.Allocate1D)];

        // The output is the second half of a buffer, so its view does not start at the buffer's first byte.
        using MemoryBuffer1D<float, Stride1D.Dense> both = accelerator.Allocate1D<float>(160);
        both.MemSetToZero(stream);
        using (var engine = new AttentionEngine(accelerator))
        {
            Assert.Equal(AcceleratorDevices.EmulatorName, engine.Device.Name);
            DeviceTensor<float>[] tensors = [.. buffers.Select(buffer => engine.Over(buffer.View.BaseView, _lengths))];
            using DeviceTensor<float> output = engine.Over(both.View.BaseView.SubView(80, 80), _lengths, stream);
            Assert.Equal(0, engine.MemoryInUse);
            engine.ScaledDotProductAttention<float>(tensors[0], tensors[1], tensors[2], output);
            engine.Synchronize();
            Array.ForEach(tensors, tensor => tensor.Dispose());

            // The caller's memory stays the caller's.
            using DeviceTensor<float> again = engine.Over(buffers[0].View.BaseView, _lengths);
            Tensor<float> copy = Tensor.CreateFromShape<float>(_lengths);
            again.CopyTo(copy);
            Assert.Equal(values[0], Data.Flat(copy));
        }

        Tensor<float> Host(int i) => Tensor.Create(values[i], _lengths);
        Tensor<float> expected = Engines.Reference.ScaledDotProductAttention(Host(0), Host(1), Host(2));
        float[] actual = both.GetAsArray1D();
        Close.Assert(Data.Flat(expected), actual[80..], "over");
        Assert.All(actual[..80], value => Assert.Equal(0f, value));
        Assert.False(accelerator.IsDisposed);
        Array.ForEach(buffers, buffer => buffer.Dispose());
    }

    [Theory]
    [InlineData("simd")]
    [InlineData("reference")]
    public unsafe void A_host_device_takes_addresses(string device)
    {
        using var engine = new AttentionEngine(device);
        float* memory = (float*)NativeMemory.AllocZeroed(12, sizeof(float));
        try
        {
            for (int i = 0; i < 4; i++)
                memory[i] = i + 1;
            memory[4] = 1f;
            memory[7] = 1f;
            using DeviceTensor<float> input = engine.Over<float>((nint)memory, [2, 2]);
            using DeviceTensor<float> weight = engine.Over<float>((nint)(memory + 4), [2, 2]);
            using DeviceTensor<float> output = engine.Over<float>((nint)(memory + 8), [2, 2]);
            engine.Linear<float>(input, weight, output);
            Assert.Equal([1f, 2f, 3f, 4f], new ReadOnlySpan<float>(memory + 8, 4).ToArray());
            Assert.Equal(0, engine.MemoryInUse);
        }
        finally
        {
            NativeMemory.Free(memory);
        }
    }

    [Fact]
    public void Memory_that_the_engine_cannot_use_is_refused()
    {
        using Context context = AcceleratorDevices.CreateContext(AcceleratorDevices.EmulatorName);
        using Accelerator accelerator = AcceleratorDevices.Find(context, AcceleratorDevices.EmulatorName).CreateAccelerator(context);
        using MemoryBuffer1D<float, Stride1D.Dense> buffer = accelerator.Allocate1D<float>(6);
        using var mine = new AttentionEngine(accelerator);
        using var other = new AttentionEngine(AcceleratorDevices.EmulatorName);
        using var simd = new AttentionEngine("simd");
        Assert.Contains("another accelerator", Refused<ArgumentException>(() => other.Over(buffer.View.BaseView, [6])), StringComparison.Ordinal);
        Assert.Contains("ILGPU", Refused<NotSupportedException>(() => simd.Over(buffer.View.BaseView, [6])), StringComparison.Ordinal);
        Assert.Contains("no addresses", Refused<NotSupportedException>(() => mine.Over<float>(4096, [6])), StringComparison.Ordinal);
        Assert.Contains("[2, 2]", Refused<ArgumentException>(() => mine.Over(buffer.View.BaseView, [2, 2])), StringComparison.Ordinal);
        Assert.Contains("address", Refused<ArgumentException>(() => simd.Over<float>(0, [1])), StringComparison.Ordinal);
        Assert.Contains("4098", Refused<ArgumentException>(() => simd.Over<float>(4098, [1])), StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>(() => new AttentionEngine((Accelerator)null!));
        mine.Dispose();
        Assert.Throws<ObjectDisposedException>(() => mine.Over(buffer.View.BaseView, [6]));

        static string Refused<TException>(Func<DeviceTensor> make)
            where TException : Exception => Assert.Throws<TException>(() => make()).Message;
    }

    [Fact]
    public unsafe void Two_tensors_over_the_same_memory_overlap()
    {
        using Context context = AcceleratorDevices.CreateContext(AcceleratorDevices.EmulatorName);
        using Accelerator accelerator = AcceleratorDevices.Find(context, AcceleratorDevices.EmulatorName).CreateAccelerator(context);
        using MemoryBuffer1D<float, Stride1D.Dense> buffer = accelerator.Allocate1D<float>(8);
        using (var engine = new AttentionEngine(accelerator))
        {
            using DeviceTensor<float> weight = engine.CreateTensor<float>(2, 2);
            using DeviceTensor<float> input = engine.Over(buffer.View.BaseView.SubView(0, 4), [2, 2]);
            using DeviceTensor<float> behind = engine.Over(buffer.View.BaseView.SubView(4, 4), [2, 2]);
            using DeviceTensor<float> across = engine.Over(buffer.View.BaseView.SubView(3, 4), [2, 2]);
            engine.Linear<float>(input, weight, behind);
            Assert.Equal("output", Assert.Throws<ArgumentException>(() => engine.Linear<float>(input, weight, across)).ParamName);
            engine.Synchronize();
        }

        float* memory = stackalloc float[8];
        using var simd = new AttentionEngine("simd");
        using DeviceTensor<float> first = simd.Over<float>((nint)memory, [2, 2]);
        using DeviceTensor<float> second = simd.Over<float>((nint)(memory + 3), [2, 2]);
        Assert.Throws<ArgumentException>(() => simd.Linear<float>(first, Data.Random(new Random(1), 2, 2), second));
    }
}
