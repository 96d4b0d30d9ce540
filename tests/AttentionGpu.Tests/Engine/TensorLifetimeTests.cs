using System.Numerics.Tensors;
using AttentionGpu.Backends;
using AttentionGpu.Devices;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>Tensors, layers and engines that are disposed of while another thread's call uses them.</summary>
public class TensorLifetimeTests
{
    private static readonly nint[] _lengths = [2, 4, 13, 8];
    private static readonly MultiHeadAttentionConfig _config = new() { EmbeddingSize = 24, Heads = 4, Rotary = new() };

    [Theory]
    [EveryDevice]
    public async Task A_tensor_that_is_disposed_during_a_call_keeps_its_memory_until_the_call_ends(string backend)
    {
        var gate = new GatedBackend(Create(backend));
        using var engine = new AttentionEngine(gate);
        Tensor<float> input = Data.Random(new Random(1), _lengths);
        Tensor<float> expected = engine.ScaledDotProductAttention(input, input, input);
        long before = engine.MemoryInUse;

        DeviceTensor<float> read = engine.CreateTensor(input.AsReadOnlyTensorSpan());
        using DeviceTensor<float> written = engine.CreateTensor(Data.Poisoned(_lengths).AsReadOnlyTensorSpan());
        long bytes = (engine.MemoryInUse - before) / 2;
        gate.Close();
        Task call = Task.Run(
            () => engine.ScaledDotProductAttention<float>(read, read, read, written), TestContext.Current.CancellationToken);
        gate.WaitForWork();
        read.Dispose();
        using DeviceTensor<float> zeros = engine.CreateTensor(Tensor.CreateFromShape<float>(_lengths).AsReadOnlyTensorSpan());
        gate.Open();
        await call;

        Tensor<float> actual = Data.Poisoned(_lengths);
        written.CopyTo(actual.AsTensorSpan());
        Close.Assert(expected, actual, backend);
        Assert.Equal(before + 2 * bytes, engine.MemoryInUse);
        Assert.Throws<ObjectDisposedException>(() => engine.ScaledDotProductAttention<float>(read, read, read, written));
    }

    [Theory]
    [EveryDevice]
    public async Task A_layer_that_is_disposed_during_a_call_keeps_its_parameters_until_the_call_ends(string backend)
    {
        var gate = new GatedBackend(Create(backend));
        using var engine = new AttentionEngine(gate);
        Tensor<float> input = Data.Random(new Random(1), 2, 9, 24);
        long before = engine.MemoryInUse;
        MultiHeadAttentionWeights weights = MultiHeadAttentionWeights.Random(_config, 1);
        Tensor<float> expected;
        using (var same = new MultiHeadAttention<float>(engine, _config, weights))
            expected = same.Forward(input);
        Assert.Equal(before, engine.MemoryInUse);

        var layer = new MultiHeadAttention<float>(engine, _config, weights);
        long bytes = engine.MemoryInUse - before;
        gate.Close();
        Task<Tensor<float>> call = Task.Run(() => layer.Forward(input), TestContext.Current.CancellationToken);
        gate.WaitForWork();
        layer.Dispose();
        using var zeros = new MultiHeadAttention<float>(engine, _config, new MultiHeadAttentionWeights
        {
            Query = Tensor.CreateFromShape<float>([24, 24]),
            Key = Tensor.CreateFromShape<float>([24, 24]),
            Value = Tensor.CreateFromShape<float>([24, 24]),
            Output = Tensor.CreateFromShape<float>([24, 24]),
            QueryBias = Tensor.CreateFromShape<float>([24]),
            OutputBias = Tensor.CreateFromShape<float>([24]),
        });
        gate.Open();
        Close.Assert(expected, await call, backend);
        Assert.Equal(before + bytes, engine.MemoryInUse);
        Assert.Throws<ObjectDisposedException>(() => layer.Forward(input));
    }

    [Theory]
    [EveryDevice]
    public void A_view_keeps_the_memory_of_a_tensor_that_is_disposed(string backend)
    {
        using var engine = new AttentionEngine(Create(backend));
        Tensor<float> source = Data.Random(new Random(1), 6, 5);
        DeviceTensor<float> tensor = engine.CreateTensor(source.AsReadOnlyTensorSpan());
        long bytes = engine.MemoryInUse;
        DeviceTensor<float> slice = tensor.Slice(2, 3);
        DeviceTensor<float> view = slice.Reshape(15);
        tensor.Dispose();
        tensor.Dispose();
        slice.Dispose();
        slice.Dispose();
        Assert.Equal(bytes, engine.MemoryInUse);
        using DeviceTensor<float> other = engine.CreateTensor(Data.Poisoned(6, 5).AsReadOnlyTensorSpan());
        Tensor<float> actual = Data.Poisoned(15);
        view.CopyTo(actual.AsTensorSpan());
        Assert.Equal(Data.Flat(source)[10..25], Data.Flat(actual));
        view.Dispose();
        view.Dispose();
        Assert.Equal(bytes, engine.MemoryInUse);
        Assert.Throws<ObjectDisposedException>(() => view.CopyTo(actual.AsTensorSpan()));
        other.Dispose();
        Assert.Equal(0, engine.MemoryInUse);
    }

    [Theory]
    [EveryDevice]
    public async Task An_engine_that_is_disposed_waits_for_the_call_in_progress(string backend)
    {
        var end = new EndedBackend(Create(backend));
        var gate = new GatedBackend(end);
        var engine = new AttentionEngine(gate);
        Tensor<float> input = Data.Random(new Random(1), _lengths);
        Tensor<float> expected = engine.ScaledDotProductAttention(input, input, input);
        bool hasEnded = false;
        gate.Passed = () => hasEnded = end.IsDisposed;
        gate.Close();
        Task<Tensor<float>> call = Task.Run(
            () => engine.ScaledDotProductAttention(input, input, input), TestContext.Current.CancellationToken);
        gate.WaitForWork();

        var disposal = new Thread(engine.Dispose);
        disposal.Start();
        await Wait.UntilAsync(() => end.IsDisposed || disposal.ThreadState.HasFlag(ThreadState.WaitSleepJoin));
        Assert.False(end.IsDisposed, "The device was freed under a call.");
        Assert.Throws<ObjectDisposedException>(() => engine.CreateTensor<float>(1));
        gate.Open();
        Close.Assert(expected, await call, backend);
        Assert.False(hasEnded);
        Assert.True(disposal.Join(Wait.Patience));
        Assert.True(end.IsDisposed);
    }

    private static IBackend Create(string backend) =>
        DeviceCatalog.CreateBackend(Engines.Get(backend).Device, new AttentionEngineOptions());

    /// <summary>A device that says when it is disposed.</summary>
    private sealed class EndedBackend(IBackend inner) : IBackend
    {
        private volatile bool _isDisposed;

        public bool IsDisposed => _isDisposed;

        public DeviceInfo Device => inner.Device;

        public Memory.IDeviceMemory Memory => inner.Memory;

        public IOperators Operators => inner.Operators;

        public void Dispose()
        {
            _isDisposed = true;
            inner.Dispose();
        }
    }
}
