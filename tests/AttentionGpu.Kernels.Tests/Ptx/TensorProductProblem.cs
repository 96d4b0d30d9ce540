using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Products;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.TensorCore.Tiles;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>
/// A small product of 16-bit elements: sizes around those of a tile, and matrices that start anywhere. Gaps between rows of the result hold
/// not-a-number, and must afterwards.
/// </summary>
internal sealed class TensorProductProblem
{
    private const int Piece = SharedTile.PieceElements;
    private const ushort NotANumber = 0x7FFF;

    private readonly bool _half;
    private readonly bool _isSplit;
    private readonly bool _isInputAligned;
    private readonly bool _isOutputAligned;
    private readonly MatmulArguments _sizes;
    private readonly HeadLayout _layout;
    private readonly int[] _shifts;
    private readonly ushort[] _left;
    private readonly ushort[] _right;
    private ushort[]? _bias;

    private TensorProductProblem(Random random, MatmulArguments sizes, bool half, bool isSplit, bool isInputAligned, bool isOutputAligned)
    {
        _half = half;
        _isSplit = isSplit;
        _isInputAligned = isInputAligned;
        _isOutputAligned = isOutputAligned;
        _sizes = sizes;
        _layout = isSplit ? Split(random) : new HeadLayout
        {
            InnerRows = sizes.Rows,
            InnerRowStride = sizes.Columns + Gap(random),
            HeadSize = sizes.Columns,

            // Not read.
            OuterRowStride = 1,
            HeadStride = 1,
        };
        _shifts = [Shift(isInputAligned), Shift(isInputAligned), random.Next(Piece), Shift(isOutputAligned)];
        _left = Fill(sizes.Rows * sizes.Depth);
        _right = Fill(sizes.Columns * sizes.Depth);
        _bias = random.Next(2) == 0 ? null : Fill(sizes.Columns);

        int Shift(bool isAligned) => isAligned ? 0 : random.Next(Piece);

        ushort[] Fill(int count) => [.. Enumerable.Range(0, count).Select(_ => Store(random.NextSingle() * 2f - 1f))];
    }

    /// <summary>A problem of one or a few tiles.</summary>
    public static TensorProductProblem Random(
        Random random, ProductTile tile, bool half, bool isSplit, bool isInputAligned, bool isOutputAligned)
    {
        var sizes = new MatmulArguments
        {
            Rows = Around(tile.Rows, 1, random.Next(1, 2 * tile.Rows)),
            Columns = RoundUp(Around(tile.Columns, 1, random.Next(1, 2 * tile.Columns)), isOutputAligned),
            Depth = RoundUp(
                Around(tile.Depth, tile.Stages, random.Next(1, (tile.Stages + 2) * tile.Depth)), isInputAligned),
        };
        return new TensorProductProblem(random, sizes, half, isSplit, isInputAligned, isOutputAligned);

        // 1, small primes, a multiple of the tile and its neighbours, or anything.
        int Around(int unit, int count, int any) => random.Next(4) switch
        {
            0 => new[] { 1, 2, 7, 13 }[random.Next(4)],
            1 => unit * random.Next(1, count + 1) + random.Next(-1, 2),
            2 => unit * (count + random.Next(1, 3)) + random.Next(-1, 2),
            _ => any,
        };

        static int RoundUp(int count, bool isAligned) => isAligned ? (count + Piece - 1) / Piece * Piece : count;
    }

    /// <summary>A problem of these sizes, in plain rows that start at whole pieces where the sizes allow it.</summary>
    public static TensorProductProblem Plain(Random random, int rows, int columns, int depth, bool half) => new(
        random, new MatmulArguments { Rows = rows, Columns = columns, Depth = depth }, half, isSplit: false, depth % Piece == 0,
        columns % Piece == 0);

    /// <summary>The form of the text for a tile.</summary>
    public ProductForm Form(ProductTile tile) => new()
    {
        Element = _half ? TensorElement.Float16 : TensorElement.BFloat16,
        Tile = tile,
        HasBias = _bias is not null,
        IsSplit = _isSplit,
        IsInputAligned = _isInputAligned,
        IsOutputAligned = _isOutputAligned,
    };

    /// <summary>All products and the bias become -0, and so does their sum, as long as nothing else is added.</summary>
    public TensorProductProblem WithNegativeZeros()
    {
        Array.Fill(_left, (ushort)0);
        Array.Fill(_right, Store(-1f));
        _bias = [.. Enumerable.Repeat(Store(-0f), _sizes.Columns)];
        return this;
    }

    /// <summary>Runs a text, compares every element, and sees that nothing else was written.</summary>
    public void AssertAgrees(PtxKernel kernel, ProductTile tile, string what)
    {
        ushort[] memory = Run(kernel, tile);
        var written = new HashSet<long>();
        for (int i = 0; i < _sizes.Rows * _sizes.Columns; i++)
        {
            (int row, int column) = (i / _sizes.Columns, i % _sizes.Columns);
            long place = _shifts[3] + _layout.Row(row) + _layout.Column(column);
            Assert.True(written.Add(place), "A layout of this test maps two elements to one place.");
            double expected = _bias is null ? 0.0 : Load(_bias[column]);
            double bound = 0.0;
            for (int d = 0; d < _sizes.Depth; d++)
            {
                double product = (double)Load(_left[row * _sizes.Depth + d]) * Load(_right[column * _sizes.Depth + d]);
                expected += product;
                bound += Math.Abs(product);
            }

            // One rounding of the result, and the sum's own in float32.
            double tolerance = Math.Abs(expected) / (_half ? 2048 : 256) + bound * 1e-6 + 1e-7;
            float actual = Load(memory[place]);
            Assert.True(
                Math.Abs(actual - expected) <= tolerance, $"{what}, {this}: row {row}, column {column} is {actual}, expected {expected}.");
        }

        for (int i = 0; i < memory.Length; i++)
            Assert.True(written.Contains(i) || memory[i] == NotANumber, $"{what}, {this}: gap {i} was written.");
    }

    /// <summary>The memory that the result is in.</summary>
    public ushort[] Run(PtxKernel kernel, ProductTile tile)
    {
        var memory = new PtxGlobalMemory();
        long last = Enumerable.Range(0, _sizes.Rows).Max(_layout.Row) + Enumerable.Range(0, _sizes.Columns).Max(_layout.Column);
        ulong result = memory.Add<ushort>([.. Enumerable.Repeat(NotANumber, (int)(_shifts[3] + last + 1))]);
        var arguments = new ProductTextArguments
        {
            Sizes = _sizes,
            Left = Add(_left, _shifts[0]),
            Right = Add(_right, _shifts[1]),
            Bias = _bias is null ? 0 : Add(_bias, _shifts[2]),
            Result = (long)result + _shifts[3] * sizeof(ushort),
            ResultLayout = _layout,
        };
        new PtxMachine(new PtxProgram(kernel.Text, kernel.DynamicSharedBytes), memory).With(0, arguments)
            .Run((int)tile.GroupCount(_sizes.Rows, _sizes.Columns), kernel.Threads);
        return memory.Get<ushort>(result).ToArray();

        long Add(ushort[] elements, int shift) =>
            (long)memory.Add<ushort>([.. Enumerable.Repeat(NotANumber, shift), .. elements]) + shift * sizeof(ushort);
    }

    public override string ToString() =>
        $"{_sizes.Rows} x {_sizes.Columns} x {_sizes.Depth}, {_layout.InnerRows} inner rows, heads of {_layout.HeadSize}, "
        + $"shifts {string.Join(' ', _shifts)}, bias {_bias is not null}";

    // Rows batch by batch or position by position, and gaps anywhere.
    private HeadLayout Split(Random random)
    {
        int unit = _isOutputAligned ? Piece : 1;
        int headSize = Divisor(_sizes.Columns / unit) * unit;
        int inner = Divisor(_sizes.Rows);
        int heads = _sizes.Columns / headSize;
        int outer = _sizes.Rows / inner;
        int row = headSize + Gap(random);
        bool rowsOuter = random.Next(2) == 0;
        return new HeadLayout
        {
            InnerRows = inner,
            OuterRowStride = rowsOuter ? (long)heads * inner * row : row,
            InnerRowStride = rowsOuter ? row : (long)heads * outer * row,
            HeadSize = headSize,
            HeadStride = rowsOuter ? (long)inner * row : (long)outer * row,
        };

        int Divisor(int number)
        {
            int[] all = [.. Enumerable.Range(1, number).Where(divisor => number % divisor == 0)];
            return all[random.Next(all.Length)];
        }
    }

    private int Gap(Random random) => _isOutputAligned ? Piece * random.Next(3) : random.Next(4);

    private ushort Store(float value) => _half ? HalfElement.FromSingle(value).Bits : BFloat16Element.FromSingle(value).Bits;

    private float Load(ushort bits) => _half ? new HalfElement { Bits = bits }.ToSingle() : new BFloat16Element { Bits = bits }.ToSingle();
}
