using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using CsCheck;

namespace AttentionGpu.Tests.Operators;

public class LinearTests
{
    private const int Problems = 60;
    private const int SixteenBitProblems = 15;

    private static Gen<(int Rows, int Depth, int Columns, bool Bias, int Seed)> Sizes { get; } =
        Gen.Select(Gen.Int[1, 70], Gen.Int[1, 70], Gen.Int[1, 70], Gen.Bool, Gen.Int);

    [Fact]
    public void Reference_agrees_with_ONNX_Runtime() => Sizes.Sample(
        (rows, depth, columns, bias, seed) =>
        {
            (Tensor<float> input, Tensor<float> weight, Tensor<float>? offset) = Create(rows, depth, columns, bias, seed);
            Close.Assert(
                OnnxRuntimeOracle.Linear(input, weight, offset), Run(Engines.Reference, input, weight, offset), $"{rows} {depth} {columns} {bias}");
        },
        iter: Problems,
        threads: 1);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Backend_agrees_with_the_reference(string backend) => Sizes.Sample(
        (rows, depth, columns, bias, seed) =>
        {
            (Tensor<float> input, Tensor<float> weight, Tensor<float>? offset) = Create(rows, depth, columns, bias, seed);
            Close.Assert(
                Run(Engines.Reference, input, weight, offset), Run(Engines.Get(backend), input, weight, offset), $"{rows} {depth} {columns} {bias}");
        },
        iter: Problems,
        threads: 1);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Sixteen_bits_are_rounded_once(string backend) => Sizes.Sample(
        (rows, depth, columns, bias, seed) =>
        {
            (Tensor<float> input, Tensor<float> weight, Tensor<float>? offset) = Create(rows, depth, columns, bias, seed);
            AttentionEngine engine = Engines.Get(backend);
            AssertRounded(input, weight, offset, value => (Half)value, value => (float)value, 1.0 / 1024, engine.Linear);
            AssertRounded(input, weight, offset, value => (BFloat16)value, value => value, 1.0 / 128, engine.Linear);
        },
        iter: SixteenBitProblems,
        threads: 1);

    /// <summary>The same for fixed sizes: one row and several, with a bias and without.</summary>
    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Sixteen_bits_with_and_without_a_bias(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        foreach ((int rows, bool bias) in new[] { (1, true), (3, false) })
        {
            (Tensor<float> input, Tensor<float> weight, Tensor<float>? offset) = Create(rows, depth: 9, columns: 17, bias, seed: rows);
            AssertRounded(input, weight, offset, value => (Half)value, value => (float)value, 1.0 / 1024, engine.Linear);
            AssertRounded(input, weight, offset, value => (BFloat16)value, value => value, 1.0 / 128, engine.Linear);
        }
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Leading_axes_of_any_rank_are_rows(string backend)
    {
        var random = new Random(3);
        Tensor<float> weight = Data.Random(random, 5, 4);
        foreach (nint[] leading in new nint[][] { [], [3], [2, 3], [2, 1, 3, 2], [0, 3] })
        {
            Tensor<float> input = Data.Random(random, [.. leading, 4]);
            Tensor<float> output = Run(Engines.Get(backend), input, weight, null);
            Close.Assert(Run(Engines.Reference, input, weight, null), output, backend);
        }
    }

    private static (Tensor<float> Input, Tensor<float> Weight, Tensor<float>? Bias) Create(int rows, int depth, int columns, bool bias, int seed)
    {
        var random = new Random(seed);
        return (Data.Random(random, rows, depth), Data.Random(random, columns, depth), bias ? Data.Random(random, columns) : null);
    }

    private delegate void LinearOf<T>(
        TensorInput<T> input, TensorInput<T> weight, TensorOutput<T> output, TensorInput<T> bias, bool batchInvariant)
        where T : unmanaged;

    // Against the reference on the same rounded inputs, whose float32 result is rounded here. A sum half way between may go either way.
    private static void AssertRounded<T>(
        Tensor<float> input, Tensor<float> weight, Tensor<float>? bias, Func<float, T> store, Func<T, float> load, double step, LinearOf<T> linear)
        where T : unmanaged
    {
        Tensor<T> output = Tensor.Create(Enumerable.Repeat(store(float.NaN), (int)(input.Lengths[0] * weight.Lengths[0])).ToArray(), [input.Lengths[0], weight.Lengths[0]]);
        linear(
            Convert(input, store), Convert(weight, store), output, bias is null ? default : (TensorInput<T>)Convert(bias, store),
            batchInvariant: false);
        Tensor<float> expected = Run(
            Engines.Reference, Convert(Convert(input, store), load), Convert(Convert(weight, store), load), bias is null ? null : Convert(Convert(bias, store), load));
        float largest = expected.Max(Math.Abs);
        foreach ((T actual, float wanted) in output.Zip(expected))
            Assert.InRange(load(actual), wanted - (step * Math.Abs(wanted)) - (1e-6 * largest), wanted + (step * Math.Abs(wanted)) + (1e-6 * largest));
    }

    private static Tensor<TTarget> Convert<TSource, TTarget>(Tensor<TSource> source, Func<TSource, TTarget> convert) =>
        Tensor.Create(source.Select(convert).ToArray(), source.Lengths);

    private static Tensor<float> Run(AttentionEngine engine, Tensor<float> input, Tensor<float> weight, Tensor<float>? bias)
    {
        Tensor<float> output = Data.Poisoned([.. input.Lengths[..^1], weight.Lengths[0]]);
        engine.Linear<float>(
            input.AsReadOnlyTensorSpan(), weight.AsReadOnlyTensorSpan(), output.AsTensorSpan(),
            bias is null ? default : bias.AsReadOnlyTensorSpan());
        return output;
    }
}
