using System.Numerics.Tensors;
using AttentionGpu.Bench.Peers;
using BenchmarkDotNet.Attributes;

namespace AttentionGpu.Bench;

/// <summary>Scaled dot-product attention on tensors that stay on the device, on every device of the machine.</summary>
public class AttentionBenchmarks
{
    // The emulator and the reference take seconds on shapes that a GPU would notice.
    private static readonly string[] _fullShapes = ["1,12,1024,64", "1,8,4096,64", "1,32,512,128"];
    private static readonly string[] _smallShapes = ["1,2,64,64"];

    private AttentionEngine _engine = null!;
    private DeviceTensor<float> _query = null!;
    private DeviceTensor<float> _key = null!;
    private DeviceTensor<float> _value = null!;
    private DeviceTensor<float> _output = null!;

    public static IEnumerable<object[]> Problems =>
        from device in AttentionEngine.ListDevices().Where(device => device.Problem is null)
        from shape in device.IsGpu || device.Kind == DeviceKind.Simd ? _fullShapes : _smallShapes
        select new object[] { device.Name, shape };

    [ParamsSource(nameof(Problems))]
    public object[] Problem { get; set; } = [];

    [Params(Causal.None, Causal.TopLeft)]
    public Causal Causal { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        nint[] lengths = [.. ((string)Problem[1]).Split(',').Select(nint.Parse)];
        _engine = new AttentionEngine((string)Problem[0]);
        _query = Random(lengths, 1);
        _key = Random(lengths, 2);
        _value = Random(lengths, 3);
        _output = _engine.CreateTensor<float>(lengths);
    }

    [GlobalCleanup]
    public void Cleanup() => _engine.Dispose();

    [Benchmark]
    public void Forward()
    {
        _engine.ScaledDotProductAttention<float>(_query, _key, _value, _output, new AttentionOptions { Causal = Causal });
        _engine.Synchronize();
    }

    private DeviceTensor<float> Random(nint[] lengths, int seed) =>
        _engine.CreateTensor(
            new ReadOnlyTensorSpan<float>(Inputs.Random(lengths.Aggregate((left, right) => left * right), seed, bound: 0.5f), lengths));
}
