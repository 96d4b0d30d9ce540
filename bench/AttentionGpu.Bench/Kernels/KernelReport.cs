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
    private const int ManyHeads = 64;
    private const int LongLength = 4096;

    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan _duration = TimeSpan.FromMilliseconds(500);

    private static readonly AttentionOptions _causal = new() { Causal = Causal.TopLeft };

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
        Attention<float>("attention, float32, causal", 64, value => value, _causal);
        foreach (int size in new[] { 64, 128 })
        {
            Attention<Half>("attention, float16", size, value => (Half)value);
            Attention<Half>("attention, float16, causal", size, value => (Half)value, _causal);
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
        {
            Linear<float>("linear, float32", value => value, rows, columns, depth);
            Linear<Half>("linear, float16", value => (Half)value, rows, columns, depth);
        }

        AddVariants();
        if (engine.Device.Kind == DeviceKind.Cuda)
            AddLong();
    }

    // In float16, where a GPU of NVIDIA has tensor cores.
    private void AddVariants()
    {
        DeviceTensor<float> slopes = Create<float>(value => value, Heads);
        DeviceTensor<float> mask = Create<float>(value => value, Length, Length);
        Attention<Half>("attention, float16, head size not a multiple of 8", 60, value => (Half)value);
        Attention<Half>("attention, float16", 256, value => (Half)value);
        foreach (int size in new[] { 64, 128 })
        {
            Attention<Half>("attention, float16, softcap", size, value => (Half)value, new AttentionOptions { Softcap = 50f });
            Attention<Half>(
                "attention, float16, ALiBi", size, value => (Half)value, change: inputs => inputs with { AlibiSlopes = slopes });
            Attention<Half>(
                "attention, float16, additive mask", size, value => (Half)value, change: inputs => inputs with { Mask = mask });
        }
    }

    // As many groups as fill a large GPU many times over.
    private void AddLong()
    {
        foreach (int size in new[] { 64, 128 })
        {
            Attention<Half>("attention, float16", size, value => (Half)value, queries: LongLength, keys: LongLength, heads: ManyHeads);
            Attention<Half>(
                "attention, float16, causal", size, value => (Half)value, _causal, queries: LongLength, keys: LongLength, heads: ManyHeads);
        }

        Linear<Half>("linear, float16", value => (Half)value, LongLength, LongLength, LongLength);
    }

    private void Attention<T>(
        string kernel, int size, Converter<float, T> store, AttentionOptions? options = null, Change<T>? change = null,
        DeviceTensor<float>? weights = null, int queries = Length, int keys = Length, int heads = Heads)
        where T : unmanaged
    {
        options ??= new AttentionOptions();
        DeviceTensor<T> query = Create(store, 1, heads, queries, size);
        DeviceTensor<T> key = Create(store, 1, heads, keys, size);
        DeviceTensor<T> value = Create(store, 1, heads, keys, size);
        DeviceTensor<T> output = engine.CreateTensor<T>(1, heads, queries, size);
        double pairs = options.Causal == Causal.None ? (double)queries * keys : 0.5 * queries * (queries + 1.0);
        long bytes = Unsafe.SizeOf<T>();
        Add(
            kernel, $"1 x {heads} x {queries} x {size}, {keys} keys", 4.0 * heads * size * pairs,
            bytes * 2.0 * heads * size * (queries + keys) + (weights is null ? 0.0 : sizeof(float) * heads * pairs),
            () =>
            {
                var inputs = new AttentionInputs<T> { Query = query, Key = key, Value = value };
                var outputs = new AttentionOutputs<T> { Output = output };
                if (weights is not null)
                    outputs = outputs with { Scores = (DeviceTensor<T>)(object)weights, ScoreStage = ScoreStage.Weights };
                engine.ScaledDotProductAttention(change is null ? inputs : change(inputs), outputs, options);
            });
    }

    private void Linear<T>(string kernel, Converter<float, T> store, int rows, int columns, int depth)
        where T : unmanaged
    {
        DeviceTensor<T> input = Create(store, rows, depth);
        DeviceTensor<T> weight = Create(store, columns, depth);
        DeviceTensor<T> bias = Create(store, columns);
        DeviceTensor<T> output = engine.CreateTensor<T>(rows, columns);
        Add(
            kernel, $"{rows} x {depth} to {columns}", 2.0 * rows * columns * depth,
            Unsafe.SizeOf<T>() * ((double)rows * depth + (double)columns * depth + (double)rows * columns),
            () => engine.Linear<T>(input, weight, output, bias));
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
