using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.TensorCore.Tiles;

namespace AttentionGpu.Kernels.TensorCore.Products;

/// <summary>
/// Writes the matrix product of the projections for tensor cores, SM_80 and up: <c>result = left * right^T + bias</c> of 16-bit elements.
/// Sums are float32, and rounded once. Stages of the depth go round in shared memory: one is multiplied while others are copied, and all
/// threads meet once for each.
/// </summary>
/// <remarks>
/// A group whose rows and columns all exist goes over the whole stages of the depth without bounds, and over the last ones with them.
/// The others have bounds in all stages.
/// </remarks>
public sealed partial class ProductText
{
    private const int ElementBytes = 2;

    // Four sums of 16 x 8: two neighbours of a row, and of the one 8 below.
    private const int StepSums = 4;
    private const int HalfSums = StepSums / 2;
    private const int HalfRows = ProductTile.StepRows / 2;

    // Groups at once that registers must suffice for. The assembler finds the same code with fewer of them, if it is told.
    private const int ResidentGroups = 3;

    private readonly PtxText _e;
    private readonly ProductForm _form;
    private readonly ProductTile _tile;
    private readonly string _element;
    private readonly PtxParameter<ProductTextArguments> _arguments;

    // Where the group is, and the rows and columns that there are from there on.
    private readonly Word _firstRow;
    private readonly Word _firstColumn;
    private readonly Word _rows;
    private readonly Word _columns;

    // Where the thread is: its place in the warp, and the warp's first row and column in the group.
    private readonly Word _lane;
    private readonly Word _warpRow;
    private readonly Word _warpColumn;

    private readonly Real[] _sums;

    // Bytes from the first stage to the one that is multiplied, and to the one that is copied.
    private readonly Word _read;
    private readonly Word _written;

    private ProductText(ProductForm form)
    {
        _form = form;
        _tile = form.Tile;
        _e = new PtxText("product", _tile.Threads, ResidentGroups);
        _element = form.Element == TensorElement.Float16 ? "f16" : "bf16";
        _arguments = _e.Parameter<ProductTextArguments>();

        _e.Comment("The group's place: tiles across come first.");
        Word rows = _arguments.Load((ref ProductTextArguments a) => ref a.Sizes.Rows);
        Word columns = _arguments.Load((ref ProductTextArguments a) => ref a.Sizes.Columns);
        Word across = _e.Add(_e.Divide(_e.Subtract(columns, 1), _tile.Columns), 1);
        Word group = _e.Group;
        Word down = _e.Divide(group, across);
        _firstRow = _e.Multiply(down, _tile.Rows);
        _firstColumn = _e.Multiply(_e.Subtract(group, _e.Multiply(down, across)), _tile.Columns);
        _rows = _e.Subtract(rows, _firstRow);
        _columns = _e.Subtract(columns, _firstColumn);

        _lane = _e.And(_e.Thread, PtxText.WarpSize - 1);
        Word warp = _e.ShiftRight(_e.Thread, 5);
        Word warpDown = _e.Divide(warp, _tile.WarpsAcross);
        _warpRow = _e.Multiply(warpDown, _tile.WarpRows);
        _warpColumn = _e.Multiply(_e.Subtract(warp, _e.Multiply(warpDown, _tile.WarpsAcross)), _tile.WarpColumns);
        _sums = _e.New<Real>(RowSteps * ColumnSteps * StepSums);
        _read = _e.Move(0, _e.New<Word>());
        _written = _e.Move(0, _e.New<Word>());
    }

    private int RowSteps => _tile.WarpRows / ProductTile.StepRows;

    private int ColumnSteps => _tile.WarpColumns / ProductTile.StepColumns;

    // Elements of the depth that are copied ahead of the products.
    private int Ahead => (_tile.Stages - 1) * _tile.Depth;

    /// <summary>The text.</summary>
    public static PtxKernel Write(ProductForm form)
    {
        var text = new ProductText(form);
        text.WriteBody();
        return text._e.Finish(form.Tile.SharedBytes);
    }

    private void WriteBody()
    {
        var copies = new Copies(this);
        FirstCopies(copies);
        StartSums();
        Stages(copies);
        StoreResult();
        _e.Return();
    }

    // All stages but one.
    private void FirstCopies(Copies copies)
    {
        string next = _e.NewLabel("ahead");
        _e.Mark(next);
        copies.Part(_written);
        _e.Commit();
        _e.Add(_written, _tile.Stage.Bytes, _written);
        _e.BranchIf(_e.Compare("lt", _written, (_tile.Stages - 1) * _tile.Stage.Bytes), next);
    }

    // The bias of the columns, or 0.
    private void StartSums()
    {
        if (!_form.HasBias)
        {
            foreach (Real sum in _sums)
                _e.Move(0f, sum);
            return;
        }

        Word column = _e.Add(_warpColumn, _e.ShiftLeft(_e.And(_lane, 3), 1));
        Word left = _e.Subtract(_columns, column);
        Wide bias = _e.Add(
            _arguments.Load((ref ProductTextArguments a) => ref a.Bias), _e.MultiplyWide(_e.Add(_firstColumn, column), ElementBytes));
        for (int step = 0; step < ColumnSteps; step++)
        {
            for (int part = 0; part < HalfSums; part++)
            {
                int from = step * ProductTile.StepColumns + part;
                Word bits = _e.Move(0, _e.New<Word>());
                using (_e.When(_e.Compare("gt", left, from)))
                {
                    _e.LoadHalf(bias, from * ElementBytes, bits);
                }

                Real value = _e.ToReal(_element, bits);
                for (int row = 0; row < RowSteps; row++)
                {
                    for (int half = 0; half < 2; half++)
                        _e.Move(value, Sums(row, step)[half * HalfSums + part]);
                }
            }
        }
    }

    private Span<Real> Sums(int rowStep, int columnStep) =>
        _sums.AsSpan((rowStep * ColumnSteps + columnStep) * StepSums, StepSums);

    // Depth is left from the next copy on: the products are behind it.
    private void Stages(Copies copies)
    {
        Word tile = _e.Shared;
        var readers = (
            MatrixReader.OfRows(_e, _tile.Stage, tile, _warpRow),
            MatrixReader.OfColumns(_e, _tile.Stage, tile, _e.Add(_warpColumn, _tile.Rows)));
        string whole = _e.NewLabel("whole");
        string next = _e.NewLabel("next");
        string rest = _e.NewLabel("rest");
        _e.BranchIf(_e.Compare("lt", _rows, _tile.Rows), rest);
        _e.BranchIf(_e.Compare("lt", _columns, _tile.Columns), rest);
        _e.BranchIf(_e.Compare("lt", copies.Left, _tile.Depth), rest);

        _e.Mark(whole);
        Stage(copies, readers, isWhole: true);
        _e.BranchIf(_e.Compare("ge", copies.Left, _tile.Depth), whole);

        _e.Mark(rest);
        using (_e.If(_e.Compare("gt", copies.Left, -Ahead)))
        {
            _e.Mark(next);
            Stage(copies, readers, isWhole: false);
            _e.BranchIf(_e.Compare("gt", copies.Left, -Ahead), next);
        }

        // All copies have been waited for: behind the depth there are none.
        _e.Barrier();
    }

    // After the barrier nobody reads any more what the stage that is copied held, and everybody's copies of the one that is multiplied have
    // arrived. The stage that was multiplied is copied next.
    private void Stage(Copies copies, (MatrixReader Left, MatrixReader Right) readers, bool isWhole)
    {
        _e.Comment(isWhole ? "A stage of a group without borders." : "A stage of a group with borders, or one of the last.");
        _e.Wait(_tile.Stages - 2);
        _e.Barrier();
        Word depth = _e.Add(copies.Left, Ahead);
        if (isWhole)
            copies.Whole(_written);
        else
            copies.Part(_written);
        _e.Commit();
        MatrixReader left = readers.Left.Behind(_read);
        MatrixReader right = readers.Right.Behind(_read);
        for (int step = 0; step < _tile.Stage.Steps; step++)
        {
            // A row's sum is the same whatever a tile's depth is: steps of zeros are left out.
            PtxText.Scope? exists = isWhole || step == 0 ? null : _e.If(_e.Compare("gt", depth, step * ProductTile.StepDepth));
            Products(left, right, step);
            exists?.Dispose();
        }

        _e.Move(_read, _written);
        Word behind = _e.Add(_read, _tile.Stage.Bytes);
        _e.Select(0, behind, _e.Compare("eq", behind, _tile.Stages * _tile.Stage.Bytes), _read);
    }

    // For 16 of the depth: an ldmatrix for 16 rows or columns, and an mma for 16 rows and 8 columns. The large tile: 8 and 32.
    private void Products(MatrixReader left, MatrixReader right, int step)
    {
        Word[][] rows = [.. Enumerable.Range(0, RowSteps).Select(row => left.Read(row * ProductTile.StepRows, step))];
        Word[][] columns =
            [.. Enumerable.Range(0, ColumnSteps / 2).Select(pair => right.Read(pair * 2 * ProductTile.StepColumns, step))];
        for (int row = 0; row < RowSteps; row++)
        {
            for (int column = 0; column < ColumnSteps; column++)
            {
                Word[] pair = columns[column / 2];
                int half = column % 2;
                _e.MatrixMultiply(_element, Sums(row, column), rows[row], pair[2 * half], pair[2 * half + 1], isFirst: false);
            }
        }
    }
}
