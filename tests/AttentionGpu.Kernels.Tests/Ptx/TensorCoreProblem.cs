using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.Tiled.Attention;
using AttentionGpu.Kernels.Tiled.Tiles;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>
/// A small attention problem of 16-bit elements with every size at random, in memory with gaps between rows that hold not-a-number.
/// </summary>
internal sealed class TensorCoreProblem
{
    private const int AlignedGap = 8;
    private const int OddGap = 3;
    private const ushort NotANumber = 0x7FFF;

    private readonly bool _half;
    private readonly bool _isAligned;
    private readonly int _gap;
    private readonly AttentionArguments _shape;
    private readonly RowLayout _queryRows;
    private readonly RowLayout _keyRows;
    private readonly RowLayout _valueRows;
    private readonly int _batch;
    private readonly int _group;
    private readonly WindowRange _window;
    private readonly ushort[] _query;
    private readonly ushort[] _key;
    private readonly ushort[] _value;
    private readonly ushort[] _output;
    private readonly double[] _queryValues;
    private readonly double[] _keyValues;
    private readonly double[] _values;

    private TensorCoreProblem(Random random, int maxHeadSize, bool half, bool isAligned, (int Head, int Value)? sizes = null)
    {
        _half = half;
        _isAligned = isAligned;
        _gap = isAligned ? AlignedGap : OddGap;
        _batch = random.Next(1, 3);
        _group = random.Next(1, 3);
        int keyHeads = random.Next(1, 3);
        int heads = keyHeads * _group;
        int queries = random.Next(1, 200);
        int keys = random.Next(0, 200);
        (int headSize, int valueSize) = sizes ?? (HeadSize(), HeadSize());
        _window = new WindowRange { Left = random.Next(0, 60), Right = random.Next(0, 60) };
        _shape = new AttentionArguments
        {
            Heads = heads,
            GroupSize = _group,
            QueryLength = queries,
            Sequence = new Sequence
            {
                QueryLength = queries,
                KeyLength = keys,
                CausalOffset = random.Next(-10, keys + 1),
                WindowOffset = random.Next(-10, keys + 1),
            },
            HeadSize = headSize,
            ValueHeadSize = valueSize,
            Scale = 1f / MathF.Sqrt(headSize),
            Output = Layout(heads, 1, queries, valueSize),
        };
        _queryRows = Layout(heads, 1, queries, headSize);
        _keyRows = Layout(heads, _group, keys, headSize);
        _valueRows = Layout(heads, _group, keys, valueSize);
        _query = Fill(heads, queries, headSize, _queryRows, 3f);
        _key = Fill(keyHeads, keys, headSize, _keyRows, 1f);
        _value = Fill(keyHeads, keys, valueSize, _valueRows, 1f);
        _queryValues = Array.ConvertAll(_query, bits => (double)Load(bits));
        _keyValues = Array.ConvertAll(_key, bits => (double)Load(bits));
        _values = Array.ConvertAll(_value, bits => (double)Load(bits));
        _output = new ushort[_batch * heads * queries * (valueSize + _gap)];
        Array.Fill(_output, NotANumber);

        int HeadSize() => !isAligned ? random.Next(maxHeadSize == 64 ? 1 : maxHeadSize / 2 + 1, maxHeadSize + 1)
            : random.Next(3) == 0 ? maxHeadSize : 8 * random.Next(maxHeadSize == 64 ? 1 : maxHeadSize / 16 + 1, maxHeadSize / 8 + 1);

        ushort[] Fill(int matrices, int rows, int columns, RowLayout layout, float bound)
        {
            var elements = new ushort[Math.Max(1, _batch * matrices * rows * (int)layout.RowStride)];
            Array.Fill(elements, NotANumber);
            for (int row = 0; row < _batch * matrices * rows; row++)
            {
                for (int column = 0; column < columns; column++)
                    elements[row * layout.RowStride + column] = Store((random.NextSingle() * 2f - 1f) * bound);
            }

            return elements;
        }
    }

    public static TensorCoreProblem Random(Random random, int maxHeadSize, bool half, bool isAligned = true) =>
        new(random, maxHeadSize, half, isAligned);

    /// <summary>A problem with heads of these sizes.</summary>
    public static TensorCoreProblem OfSizes(Random random, int headSize, int valueHeadSize) =>
        new(random, Math.Max(headSize, valueHeadSize), half: true, isAligned: true, (headSize, valueHeadSize));

    /// <summary>Values become the largest number of their type.</summary>
    public TensorCoreProblem WithLargestValues()
    {
        for (int row = 0; row < Rows; row++)
            _value.AsSpan((int)(row * _valueRows.RowStride), _shape.ValueHeadSize).Fill(Store(_half ? 65504f : 3.38953139e38f));
        return Update();
    }

    /// <summary>Some rows of values become infinite or NaN.</summary>
    public TensorCoreProblem WithGarbage(Random random)
    {
        ushort infinity = Store(float.PositiveInfinity);
        ushort[] garbage = [infinity, (ushort)(infinity | 0x8000), NotANumber];
        for (int row = 0; row < Rows; row++)
        {
            if (random.Next(3) == 0)
                _value.AsSpan((int)(row * _valueRows.RowStride) + random.Next(_shape.ValueHeadSize), 1).Fill(garbage[random.Next(3)]);
        }

        return Update();
    }

    /// <summary>Values become as large as there are numbers, of either sign a column.</summary>
    public TensorCoreProblem WithLargeValues()
    {
        for (int row = 0; row < Rows; row++)
        {
            for (int column = 0; column < _shape.ValueHeadSize; column++)
                _value[row * _valueRows.RowStride + column] = Store(column % 2 == 0 ? 3e38f : -3e38f);
        }

        return Update();
    }

    private int Rows => (int)(_value.Length / _valueRows.RowStride);

    private TensorCoreProblem Update()
    {
        for (int i = 0; i < _value.Length; i++)
            _values[i] = Load(_value[i]);
        return this;
    }

    /// <summary>Runs the tensor core kernel, compares every element, and that nothing else was written.</summary>
    public void AssertTensorKernelAgrees(PtxKernel kernel, Type range, string what) => AssertAgrees(range, what, (memory, output) =>
    {
        var shape = new AttentionTextArguments
        {
            Attention = _shape,
            Query = new TextTensor { Address = (long)memory.Add<ushort>(_query), Rows = _queryRows },
            Key = new TextTensor { Address = (long)memory.Add<ushort>(_key), Rows = _keyRows },
            Value = new TextTensor { Address = (long)memory.Add<ushort>(_value), Rows = _valueRows },
            Output = new TextTensor { Address = (long)output, Rows = _shape.Output },
            Window = _window,
        };
        AttentionTile tile = AttentionTile.For(Form(range));
        new PtxMachine(new PtxProgram(kernel.Text, kernel.DynamicSharedBytes), memory).With(0, shape)
            .Run((int)AttentionText.GroupCount(tile, _batch, _shape.Heads, _shape.QueryLength), AttentionTile.Threads);
    });

    public AttentionForm Form(Type range) => new()
    {
        Element = _half ? TensorElement.Float16 : TensorElement.BFloat16,
        HeadSize = _shape.HeadSize,
        ValueHeadSize = _shape.ValueHeadSize,
        IsCausal = range == typeof(CausalRange),
        HasWindow = range == typeof(WindowRange),
        IsAligned = _isAligned,
        IsShort = _shape.QueryLength % 3 == 0,
    };

    /// <summary>The same with the kernel for devices without tensor cores.</summary>
    public void AssertGeneralKernelAgrees<TTile, TValues>(PtxProgram program, Type range, string what)
        where TTile : struct, ITile
        where TValues : struct, IBlockFragment => AssertAgrees(range, what, (memory, output) =>
        {
            new PtxMachine(program, memory)
                .With(0, _shape)
                .With(1, new PtxRows(memory.Add<ushort>(_query), _queryRows))
                .With(2, new PtxRows(memory.Add<ushort>(_key), _keyRows))
                .With(3, new PtxRows(memory.Add<ushort>(_value), _valueRows))
                .With(4, (output, long.MaxValue))
                .With(6, _window)
                .Run((int)AttentionKernel.GroupCount<TTile, TValues>(_shape, _batch), ThreadPosition<TTile>.Threads);
        });

    private void AssertAgrees(Type range, string what, Action<PtxGlobalMemory, ulong> run)
    {
        var memory = new PtxGlobalMemory();
        ulong output = memory.Add<ushort>(_output);
        run(memory, output);
        Span<ushort> actual = memory.Get<ushort>(output);
        for (int matrix = 0; matrix < _batch * _shape.Heads; matrix++)
        {
            for (int query = 0; query < _shape.QueryLength; query++)
            {
                double[] expected = Expected(matrix, query, range);
                for (int column = 0; column < _shape.Output.RowStride; column++)
                {
                    ushort bits = actual[(int)(_shape.Output.Base(matrix) + _shape.Output.Row(query)) + column];
                    string Where() => $"{what}: matrix {matrix}, query {query}, column {column}, {_shape.QueryLength} x {_shape.Sequence.KeyLength}, sizes {_shape.HeadSize} and {_shape.ValueHeadSize}";
                    if (column >= _shape.ValueHeadSize)
                        Assert.True(bits == NotANumber, $"{Where()} was written.");
                    else
                        Assert.True(
                            expected[column].Equals(Load(bits))
                            || Math.Abs(Load(bits) - expected[column]) <= Tolerance * Math.Max(1.0, Math.Abs(expected[column])),
                            $"{Where()}: {Load(bits)}, expected {expected[column]}.");
                }
            }
        }
    }

    // Weights and outputs of up to 1 are rounded once each: to 11 bits, or 8.
    private double Tolerance => _half ? 1.0 / 1024 : 1.0 / 128;

    private double[] Expected(int matrix, int query, Type range)
    {
        Sequence sequence = _shape.Sequence;
        (int first, int end) = range == typeof(AllKeys) ? (0, sequence.KeyLength)
            : range == typeof(CausalRange) ? (0, default(CausalRange).EndKey(sequence, query))
            : (_window.FirstKey(sequence, query), _window.EndKey(sequence, query));
        var scores = new double[Math.Max(0, end - first)];
        for (int i = 0; i < scores.Length; i++)
        {
            ReadOnlySpan<double> left = Row(_queryValues, _queryRows, matrix, query, _shape.HeadSize);
            scores[i] = _shape.Scale * TensorPrimitives.Dot(left, Row(_keyValues, _keyRows, matrix, first + i, _shape.HeadSize));
        }

        var expected = new double[_shape.ValueHeadSize];
        double sum = 0.0;
        foreach ((int i, double score) in scores.Index())
        {
            double weight = Math.Exp(score - scores.Max());
            sum += weight;
            TensorPrimitives.MultiplyAdd(Row(_values, _valueRows, matrix, first + i, _shape.ValueHeadSize), weight, expected, expected);
        }

        return sum == 0.0 ? expected : Array.ConvertAll(expected, value => value / sum);
    }

    private static ReadOnlySpan<double> Row(double[] values, RowLayout layout, int matrix, int row, int columns) =>
        values.AsSpan((int)(layout.Base(matrix) + layout.Row(row)), columns);

    // Contiguous rows as the device sees them: a view is an address and a length.
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct PtxRows(ulong address, RowLayout layout)
    {
        private readonly ulong _address = address;
        private readonly long _length = long.MaxValue;
        private readonly RowLayout _layout = layout;
    }

    private RowLayout Layout(int heads, int group, int rows, int columns) => new()
    {
        Batch = new MatrixBatch
        {
            Heads = heads,
            HeadsPerMatrix = group,
            BatchStride = (long)heads / group * rows * (columns + _gap),
            HeadStride = (long)rows * (columns + _gap),
        },
        RowStride = columns + _gap,
    };

    private ushort Store(float value) => _half ? HalfElement.FromSingle(value).Bits : BFloat16Element.FromSingle(value).Bits;

    private float Load(ushort bits) => _half ? new HalfElement { Bits = bits }.ToSingle() : new BFloat16Element { Bits = bits }.ToSingle();
}
