using System.Reflection;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Heads;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Rows;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>
/// The PTX of the kernel that normalises, rotates and stores rows, run on <see cref="PtxMachine"/>, which refuses accesses that are not
/// aligned: rows that are read and written four elements at once, and rows that are not.
/// </summary>
public class HeadRowKernelTests
{
    private const int Batch = 2;
    private const int Heads = 2;
    private const int Length = 3;
    private const int Rows = Batch * Heads * Length;
    private const int Threads = 16;
    private const int FirstPosition = 4;
    private const float Epsilon = 1e-5f;

    private static readonly MethodInfo _kernel = typeof(HeadTransformKernel).GetMethod(nameof(HeadTransformKernel.Transform))!;

    private readonly Random _random;
    private readonly int _seed = new Random().Next();

    public HeadRowKernelTests() => _random = new Random(_seed);

    // Sizes and rotary sizes that four divides and does not; factors of rows whose squares float32 does not hold.
    public static TheoryData<int, int, bool, bool, float> Problems => new()
    {
        { 16, 16, false, true, 1f },
        { 16, 8, false, false, 1f },
        { 20, 10, true, true, 1f },
        { 20, 12, false, true, 1f },
        { 7, 6, false, true, 1f },
        { 18, 14, true, false, 1f },
        { 40, 0, false, true, 1e-20f },
        { 9, 4, false, true, 1e25f },
    };

    [Theory]
    [MemberData(nameof(Problems))]
    public void Rows_agree_with_the_definition(int size, int rotary, bool interleaved, bool norm, float factor)
    {
        var problem = new Problem(_random, size, rotary, interleaved, norm, factor);
        var memory = new PtxGlobalMemory();
        ulong target = memory.Add<float>([.. Enumerable.Repeat(float.NaN, Rows * size)]);
        problem.Run(memory, typeof(ContiguousRows<SingleElement>), new PtxContiguousRows(new PtxView(target), Layout(size)));
        float[] actual = memory.Get<float>(target).ToArray();
        for (int i = 0; i < actual.Length; i++)
            Assert.Equal(problem.Expected[i] / problem.Largest, actual[i] / problem.Largest, 2e-6);
    }

    [Theory]
    [MemberData(nameof(Problems))]
    public void Bytes_are_the_nearest_multiples_of_a_scale_a_row(int size, int rotary, bool interleaved, bool norm, float factor)
    {
        var problem = new Problem(_random, size, rotary, interleaved, norm, factor);
        var memory = new PtxGlobalMemory();
        ulong bytes = memory.Add<byte>(new byte[Rows * size]);
        ulong scales = memory.Add<float>([.. Enumerable.Repeat(float.NaN, Rows)]);
        problem.Run(
            memory, typeof(ByteRows<Int8Element>), new PtxByteRows(new PtxView(bytes), new PtxView(scales), Layout(1), size));
        for (int i = 0; i < Rows * size; i++)
        {
            double scale = memory.Get<float>(scales)[i / size];
            double largest = Enumerable.Range(i / size * size, size).Max(element => Math.Abs(problem.Expected[element]));
            Assert.Equal(1.0, scale * 127 / largest, 1e-5);
            Assert.InRange((memory.Get<sbyte>(bytes)[i] * scale - problem.Expected[i]) / scale, -0.501, 0.501);
        }
    }

    [Theory]
    [InlineData(40, 8, false)]
    [InlineData(64, 0, false)]
    [InlineData(35, 6, true)]
    public void Nibbles_are_the_nearest_multiples_of_a_scale_a_group(int size, int rotary, bool interleaved)
    {
        var problem = new Problem(_random, size, rotary, interleaved, norm: true, 1f);
        (int rowBytes, int groups) = ((size + 1) / 2, (size + 31) / 32);
        var memory = new PtxGlobalMemory();
        ulong bytes = memory.Add<byte>(new byte[Rows * rowBytes]);
        ulong scales = memory.Add<Half>([.. Enumerable.Repeat(Half.NaN, Rows * groups)]);
        problem.Run(memory, typeof(Int4Rows), new PtxInt4Rows(new PtxView(bytes), new PtxView(scales), Layout(1), rowBytes, groups));
        for (int i = 0; i < Rows * size; i++)
        {
            (int row, int column) = (i / size, i % size);
            double scale = (double)memory.Get<Half>(scales)[row * groups + column / 32];
            int bits = memory.Get<byte>(bytes)[row * rowBytes + column / 2] >> (column % 2 * 4) & 15;
            Assert.InRange((((bits ^ 8) - 8) * scale - problem.Expected[i]) / scale, -0.51, 0.51);
        }
    }

    private static RowLayout Layout(int row) => new()
    {
        Batch = new MatrixBatch { Heads = Heads, HeadsPerMatrix = 1, BatchStride = Heads * Length * row, HeadStride = Length * row },
        RowStride = row,
    };

    /// <summary>Rows of half precision, and what becomes of them in float64.</summary>
    private sealed class Problem
    {
        private readonly Half[] _source;
        private readonly float[] _norm;
        private readonly float[] _cosine;
        private readonly float[] _sine;
        private readonly float[] _singles;
        private readonly HeadTransformArguments _shape;

        public Problem(Random random, int size, int rotary, bool interleaved, bool norm, float factor)
        {
            _singles = [.. Enumerable.Range(0, Rows * size).Select(_ => (2f * random.NextSingle() - 1f) * factor)];
            _source = [.. _singles.Select(value => (Half)value)];
            IsHalf = factor == 1f;
            if (IsHalf)
                _singles = [.. _source.Select(value => (float)value)];
            _norm = [.. Enumerable.Range(0, size).Select(_ => 0.5f + random.NextSingle())];
            int angles = (FirstPosition + Length) * (rotary / 2);
            _cosine = [.. Enumerable.Range(0, angles + 1).Select(_ => random.NextSingle())];
            _sine = [.. Enumerable.Range(0, angles + 1).Select(_ => random.NextSingle())];
            bool isAligned = size % 4 == 0 && (interleaved || rotary % 8 == 0);
            _shape = new HeadTransformArguments
            {
                Length = Length,
                Heads = Heads,
                Size = size,
                RotarySize = rotary,
                IsInterleaved = interleaved ? 1 : 0,
                HasNorm = norm ? 1 : 0,
                Epsilon = factor < 1f ? 0f : Epsilon,
                FirstPosition = FirstPosition,
                Rows = Rows,
                LaneShift = 2,
                IsAligned = isAligned ? 1 : 0,
                Source = Layout(size),
            };
            Expected = [.. Enumerable.Range(0, Rows).SelectMany(Row)];
            Largest = Expected.Max(Math.Abs);
        }

        public double[] Expected { get; }

        public double Largest { get; }

        private bool IsHalf { get; }

        public void Run<TTarget>(PtxGlobalMemory memory, Type rows, TTarget target)
            where TTarget : unmanaged
        {
            Type element = IsHalf ? typeof(NativeHalfElement) : typeof(SingleElement);
            ulong source = IsHalf ? memory.Add<Half>(_source) : memory.Add<float>(_singles);
            new PtxMachine(new PtxProgram(PtxCompiler.Compile(CudaArchitecture.SM_75, _kernel, element, rows)), memory)
                .With(0, _shape).With(1, new PtxView(source)).With(2, target).With(3, new PtxView(memory.Add<float>(_norm)))
                .With(4, new PtxView(memory.Add<float>(_cosine))).With(5, new PtxView(memory.Add<float>(_sine)))
                .With(6, new PtxView(source)).With(7, new PtxView(source))
                .Run(Rows / (Threads / 4) + 1, Threads);
        }

        private double[] Row(int row)
        {
            double[] values = [.. _singles.Skip(row * _shape.Size).Take(_shape.Size).Select(value => (double)value)];
            if (_shape.HasNorm != 0)
            {
                double root = Math.Sqrt(values.Average(value => value * value) + _shape.Epsilon);
                values = [.. values.Select((value, i) => value / root * _norm[i])];
            }

            double[] result = [.. values];
            for (int pair = 0; pair < _shape.RotarySize / 2; pair++)
            {
                (int first, int second) = _shape.IsInterleaved != 0 ? (2 * pair, 2 * pair + 1) : (pair, pair + _shape.RotarySize / 2);
                int angle = (FirstPosition + row % Length) * (_shape.RotarySize / 2) + pair;
                result[first] = values[first] * _cosine[angle] - values[second] * _sine[angle];
                result[second] = values[second] * _cosine[angle] + values[first] * _sine[angle];
            }

            return result;
        }
    }
}
