using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Cli.Bench;

namespace AttentionGpu.Bench.Kernels;

/// <summary>Every kernel of the engine on one device, on tensors that stay there: time, GFLOP/s and GB/s of inputs and outputs.</summary>
internal sealed class KernelReport(AttentionEngine engine)
{
    private const int Heads = 12;
    private const int Length = 1024;

    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan _duration = TimeSpan.FromMilliseconds(500);

    private readonly List<Kernel> _kernels = [];

    private delegate AttentionInputs<T> Change<T>(AttentionInputs<T> inputs)
        where T : unmanaged;

    /// <summary>Prints the table.</summary>
    public static void Run(string device)
    {
        using var engine = new AttentionEngine(device);
        var report = new KernelReport(engine);
        report.AddAll();
        report.Compile();
        Console.WriteLine("| kernel | problem | microseconds | GFLOP/s | GB/s |");
        Console.WriteLine("|---|---|---|---|---|");
        report._kernels.ForEach(report.Time);
    }

    // On a GPU this is most of the report's time.
    private void Compile()
    {
        try
        {
            Parallel.ForEach(_kernels, kernel => kernel.Run());
        }
        catch (AggregateException)
        {
            // The kernel fails again when it is timed, behind the figures of those before it.
        }
    }

    private void AddAll()
    {
        foreach (int size in new[] { 32, 64, 128, 256 })
            Attention<float>("attention, float32", size, value => value);
        Attention<float>("attention, float32, causal", 64, value => value, Causal.TopLeft);
        foreach (int size in new[] { 64, 128 })
        {
            Attention<Half>("attention, float16", size, value => (Half)value);
            Attention<Half>("attention, float16, causal", size, value => (Half)value, Causal.TopLeft);
            Attention<BFloat16>("attention, bfloat16", size, value => (BFloat16)value);
        }

        DeviceTensor<float> table = Create<float>(value => value, Length, 32);
        DeviceTensor<float> norm = Create<float>(value => value, 64);
        DeviceTensor<float> mask = Create<float>(value => value, Length, Length);
        Attention<float>("attention, additive mask", 64, value => value, change: inputs => inputs with { Mask = mask });
        Attention<float>(
            "norm, rotary embedding, attention", 64, value => value,
            change: inputs => inputs with { QueryNorm = norm, KeyNorm = norm, RotaryCosine = table, RotarySine = table });
        DeviceTensor<float> weights = engine.CreateTensor<float>(1, Heads, Length, Length);
        Attention<float>("attention, products, softmax of weights", 64, value => value, weights: weights);
        Attention<float>("one query", 128, value => value, queries: 1, keys: 4096);
        foreach ((int rows, int columns, int depth) in new[] { (64, 768, 768), (1024, 1024, 1024), (2048, 3072, 768) })
            Linear(rows, columns, depth);
    }

    private void Attention<T>(
        string kernel, int size, Converter<float, T> store, Causal causal = Causal.None, Change<T>? change = null, DeviceTensor<float>? weights = null,
        int queries = Length, int keys = Length)
        where T : unmanaged
    {
        DeviceTensor<T> query = Create(store, 1, Heads, queries, size);
        DeviceTensor<T> key = Create(store, 1, Heads, keys, size);
        DeviceTensor<T> value = Create(store, 1, Heads, keys, size);
        DeviceTensor<T> output = engine.CreateTensor<T>(1, Heads, queries, size);
        var options = new AttentionOptions { Causal = causal };
        double pairs = causal == Causal.None ? (double)queries * keys : 0.5 * queries * (queries + 1.0);
        long bytes = Unsafe.SizeOf<T>();
        Add(
            kernel, $"1 x {Heads} x {queries} x {size}, {keys} keys", 4.0 * Heads * size * pairs,
            bytes * 2.0 * Heads * size * (queries + keys) + (weights is null ? 0.0 : sizeof(float) * Heads * pairs),
            () =>
            {
                var inputs = new AttentionInputs<T> { Query = query, Key = key, Value = value };
                var outputs = new AttentionOutputs<T> { Output = output };
                if (weights is not null)
                    outputs = outputs with { Scores = (DeviceTensor<T>)(object)weights, ScoreStage = ScoreStage.Weights };
                engine.ScaledDotProductAttention(change is null ? inputs : change(inputs), outputs, options);
            });
    }

    private void Linear(int rows, int columns, int depth)
    {
        DeviceTensor<float> input = Create<float>(value => value, rows, depth);
        DeviceTensor<float> weight = Create<float>(value => value, columns, depth);
        DeviceTensor<float> bias = Create<float>(value => value, columns);
        DeviceTensor<float> output = engine.CreateTensor<float>(rows, columns);
        Add(
            "linear, float32", $"{rows} x {depth} to {columns}", 2.0 * rows * columns * depth,
            sizeof(float) * ((double)rows * depth + (double)columns * depth + (double)rows * columns),
            () => engine.Linear<float>(input, weight, output, bias));
    }

    // Tensors stay until the engine goes.
    private void Add(string name, string problem, double operations, double bytes, Action run) =>
        _kernels.Add(new Kernel(name, problem, operations, bytes, run));

    private void Time(Kernel kernel)
    {
        double seconds = Timing.Medians(_window, _duration, TimeSpan.Zero, () =>
        {
            kernel.Run();
            engine.Synchronize();
        })[0];
        Console.WriteLine(
            $"| {kernel.Name} | {kernel.Problem} | {Figures.Text(seconds * 1e6, "F0")} "
            + $"| {Figures.Text(kernel.Operations / seconds / 1e9, "F1")} | {Figures.Text(kernel.Bytes / seconds / 1e9, "F1")} |");
    }

    private DeviceTensor<T> Create<T>(Converter<float, T> store, params nint[] lengths)
        where T : unmanaged
    {
        float[] values = Inputs.Random(lengths.Aggregate((left, right) => left * right), lengths.Length, bound: 0.5f);
        return engine.CreateTensor(new ReadOnlyTensorSpan<T>(Array.ConvertAll(values, store), lengths));
    }

    private sealed record Kernel(string Name, string Problem, double Operations, double Bytes, Action Run);
}
