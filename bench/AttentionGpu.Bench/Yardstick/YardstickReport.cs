using System.Numerics.Tensors;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Cli.Bench;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Bench.Yardstick;

/// <summary>The engine's kernels against <see cref="TextbookKernels"/> on one device, in turn: the kernels that it chooses there, and those for GPUs.</summary>
internal sealed class YardstickReport : IDisposable
{
    private const int Size = 1024;
    private const int Heads = 12;
    private const int Length = 1024;
    private const int HeadSize = 64;
    private const int AttentionThreads = 64;
    private const double Tolerance = 1e-4;

    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan _duration = TimeSpan.FromSeconds(6);

    private readonly AttentionEngine _chosen;
    private readonly AttentionEngine _tiled;
    private readonly Context _context;
    private readonly Accelerator _accelerator;

    private YardstickReport(string device)
    {
        _context = AcceleratorDevices.CreateContext(device);
        _chosen = new AttentionEngine(device);
        _tiled = new AttentionEngine(new AcceleratorBackend(
            _chosen.Device, AcceleratorDevices.CreateContext(device),
            accelerator => TileChoice.For(accelerator) with { Processor = false }));
        _accelerator = AcceleratorDevices.Find(_context, device).CreateAccelerator(_context);
    }

    /// <summary>Prints the table.</summary>
    public static void Run(string device)
    {
        using var report = new YardstickReport(device);
        Console.WriteLine($"{report._chosen.Device.Name}, {report._chosen.Device.Description}. Medians in turn, GFLOP/s.");
        Console.WriteLine();
        Console.WriteLine("| problem | chosen | for GPUs | textbook | chosen, of the textbook's |");
        Console.WriteLine("|---|---|---|---|---|");
        report.Product();
        report.Attention();
    }

    public void Dispose()
    {
        _accelerator.Dispose();
        _context.Dispose();
        _tiled.Dispose();
        _chosen.Dispose();
    }

    private void Product()
    {
        float[] left = Inputs.Random((long)Size * Size, 1);
        float[] right = Inputs.Random((long)Size * Size, 2);
        nint[] lengths = [Size, Size];
        using MemoryBuffer1D<float, Stride1D.Dense> leftBuffer = _accelerator.Allocate1D(left);
        using MemoryBuffer1D<float, Stride1D.Dense> rightBuffer = _accelerator.Allocate1D(right);
        using MemoryBuffer1D<float, Stride1D.Dense> result = _accelerator.Allocate1D<float>(left.Length);
        var kernel = _accelerator.LoadKernel<ArrayView<float>, ArrayView<float>, ArrayView<float>, int>(TextbookKernels.Multiply);
        var groups = new KernelConfig(
            new Index3D(Size / TextbookKernels.Tile, Size / TextbookKernels.Tile, 1), new Index3D(TextbookKernels.Tile, TextbookKernels.Tile, 1));
        Write(
            $"product, {Size} x {Size} x {Size}", 2.0 * Size * Size * Size, result,
            () => kernel(_accelerator.DefaultStream, groups, leftBuffer.View, rightBuffer.View, result.View, Size),
            lengths,
            engine =>
            {
                DeviceTensor<float> input = Create(engine, left, lengths);
                DeviceTensor<float> weight = Create(engine, right, lengths);
                return output => engine.Linear<float>(input, weight, output);
            });
    }

    private void Attention()
    {
        float[][] inputs = [.. Enumerable.Range(1, 3).Select(seed => Inputs.Random((long)Heads * Length * HeadSize, seed))];
        nint[] lengths = [1, Heads, Length, HeadSize];
        using MemoryBuffer1D<float, Stride1D.Dense> query = _accelerator.Allocate1D(inputs[0]);
        using MemoryBuffer1D<float, Stride1D.Dense> key = _accelerator.Allocate1D(inputs[1]);
        using MemoryBuffer1D<float, Stride1D.Dense> value = _accelerator.Allocate1D(inputs[2]);
        using MemoryBuffer1D<float, Stride1D.Dense> output = _accelerator.Allocate1D<float>(inputs[0].Length);
        using MemoryBuffer1D<float, Stride1D.Dense> scores = _accelerator.Allocate1D<float>(Heads * Length * Length);
        var kernel = _accelerator.LoadKernel<ArrayView<float>, ArrayView<float>, ArrayView<float>, ArrayView<float>, ArrayView<float>, int, int>(
            TextbookKernels.Attend);
        var groups = new KernelConfig(Heads * Length / AttentionThreads, AttentionThreads);
        Write(
            $"attention, 1 x {Heads} x {Length} x {HeadSize}", 4.0 * Heads * Length * Length * HeadSize, output,
            () => kernel(_accelerator.DefaultStream, groups, query.View, key.View, value.View, output.View, scores.View, Length, HeadSize),
            lengths,
            engine =>
            {
                DeviceTensor<float>[] tensors = [.. inputs.Select(input => Create(engine, input, lengths))];
                return result => engine.ScaledDotProductAttention<float>(tensors[0], tensors[1], tensors[2], result);
            });
    }

    private void Write(
        string problem, double operations, MemoryBuffer1D<float, Stride1D.Dense> expected, Action textbook, nint[] lengths,
        Func<AttentionEngine, Action<DeviceTensor<float>>> ours)
    {
        AttentionEngine[] engines = [_chosen, _tiled];
        DeviceTensor<float>[] outputs = [.. engines.Select(engine => engine.CreateTensor<float>(lengths))];
        Action[] actions =
        [
            .. engines.Zip(outputs, (engine, output) =>
            {
                Action<DeviceTensor<float>> run = ours(engine);
                return (Action)(() =>
                {
                    run(output);
                    engine.Synchronize();
                });
            }),
            () =>
            {
                textbook();
                _accelerator.Synchronize();
            },
        ];
        double[] seconds = Timing.Medians(_window, _duration, TimeSpan.Zero, actions);
        float[] wanted = expected.GetAsArray1D();
        foreach (DeviceTensor<float> output in outputs)
            Check(output, wanted);
        string[] speeds = [.. seconds.Select(time => Figures.Text(operations / time / 1e9, "F1"))];
        Console.WriteLine($"| {problem} | {speeds[0]} | {speeds[1]} | {speeds[2]} | {Figures.Text(seconds[2] / seconds[0], "F1")} |");
    }

    private static void Check(DeviceTensor<float> output, float[] expected)
    {
        var actual = new float[expected.Length];
        output.CopyTo(new TensorSpan<float>(actual, output.Lengths));
        float largest = expected.Max(Math.Abs);
        float difference = actual.Zip(expected, (one, other) => Math.Abs(one - other)).Max();
        if (!(difference <= Tolerance * largest))
            throw new InvalidOperationException($"Results differ by {difference}, with values up to {largest}: these times mean nothing.");
    }

    private static DeviceTensor<float> Create(AttentionEngine engine, float[] values, nint[] lengths) =>
        engine.CreateTensor(new ReadOnlyTensorSpan<float>(values, lengths));
}
