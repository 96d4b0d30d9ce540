using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Linear;

/// <summary>
/// A call of a linear layer: output columns in the lanes, elements of the input broadcast where they lie. The weight is read in panels of
/// columns, block by block of depth; a block of a panel and a block of rows stay in L2. The last block of depth adds the bias and writes
/// through the output's layout. Of 16-bit elements inputs and biases are converted first, blocks of the weight when they are read, and sums
/// are rounded once.
/// </summary>
internal sealed unsafe class LinearWork<TVector, TOperations>(LinearSignature signature) : WorkspaceWork
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private readonly ElementType _element = signature.Element;
    private readonly int _columns = signature.Columns;
    private readonly int _depth = signature.Depth;
    private LinearSchedule<TVector, TOperations> _schedule;
    private WeightPanels _weight;
    private HeadLayout _layout;
    private byte* _output;
    private float* _input;
    private float* _bias;
    private byte* _inputElements;
    private int _rows;
    private bool _preparing;

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;

    public void Execute(
        in LinearSchedule<TVector, TOperations> schedule, in LinearExtent extent, in LinearBuffers buffers, DeviceMemory memory)
    {
        _schedule = schedule;
        _layout = extent.Output;
        _rows = extent.Rows;
        Take(schedule.Workspace, schedule.Workspace.In(memory));
        _output = buffers.Output.Pointer<byte>();
        _weight = Weight(buffers.Weight.Pointer<byte>(), _element, signature.IsWeightPanelled);
        _inputElements = buffers.Input.Pointer<byte>();
        _input = (float*)_inputElements;
        _bias = signature.HasBias ? buffers.Bias.Pointer<float>() : null;
        Prepare(buffers);
        if (schedule.PacksFirst)
            _weight = Weight((byte*)Shared, ElementType.Float32, isPanelled: true);
        _preparing = false;
        Run(schedule.Items, schedule.Operations);
    }

    protected override void Do(long item, float* memory)
    {
        // A row block's panels one after the other: its rows stay in L2.
        if (!_preparing)
            Multiply(memory, (int)(item / _schedule.Panels) * _schedule.BlockRows, (int)(item % _schedule.Panels));
        else if (_schedule.PacksFirst && item < _schedule.Panels)
            Pack((int)item, memory);
        else
            LoadRows((int)(item - (_schedule.PacksFirst ? _schedule.Panels : 0)));
    }

    private WeightPanels Weight(byte* weight, ElementType element, bool isPanelled) =>
        new(weight, element, isPanelled, _columns, _depth, Lanes);

    // Panels of the weight, and blocks of rows of 16-bit inputs.
    private void Prepare(in LinearBuffers buffers)
    {
        bool converts = _element != ElementType.Float32;
        if (converts)
        {
            _input = Shared + _schedule.InputStart;
            if (signature.HasBias)
            {
                _bias = Shared + _schedule.BiasStart;
                ElementRows.Load(buffers.Bias.Pointer<byte>(), _element, _bias, _columns);
            }
        }

        long items = (_schedule.PacksFirst ? _schedule.Panels : 0) + (converts ? _schedule.RowBlocks : 0);
        double elements = (_schedule.PacksFirst ? (double)_columns * _depth : 0.0) + (converts ? (double)_rows * _depth : 0.0);
        _preparing = true;
        if (items > 0)
            Run(items, elements);
    }

    private void Pack(int panel, float* memory)
    {
        float* target = Shared + (long)panel * Lanes * _depth;
        for (int part = 0; part < _schedule.DepthParts; part++)
        {
            (int first, int count) = Part(part);
            _weight.Pack(panel, first, count, target + (nint)first * Lanes, memory + _schedule.RowsStart);
        }
    }

    private void LoadRows(int block)
    {
        int first = block * _schedule.BlockRows;
        int end = Math.Min(_rows, first + _schedule.BlockRows);
        for (int row = first; row < end; row++)
        {
            long element = (long)row * _depth;
            ElementRows.Load(_inputElements + element * _element.Size(), _element, _input + element, _depth);
        }
    }

    private (int First, int Count) Part(int part)
    {
        int first = (int)((long)_depth * part / _schedule.DepthParts);
        return (first, (int)((long)_depth * (part + 1) / _schedule.DepthParts) - first);
    }

    private void Multiply(float* memory, int firstRow, int panel)
    {
        int rows = Math.Min(_schedule.BlockRows, _rows - firstRow);
        int parts = _schedule.DepthParts;
        float* sums = memory + _schedule.SumsStart;
        bool isWhole = _element == ElementType.Float32 && HasWholePanel(panel * Lanes);
        for (int part = 0; part < parts; part++)
        {
            (int depth, int count) = Part(part);
            float* right = _weight.Read(panel, depth, count, memory, memory + _schedule.RowsStart);
            float* left = _input + (long)firstRow * _depth + depth;
            if (part == parts - 1 && isWhole)
                RegisterTile<TVector, TOperations>.Multiply(
                    rows, Lanes, count, left, _depth, 1, right, Lanes, new MappedSums(
                        _layout, firstRow, (float*)_output + _layout.Column(panel * Lanes),
                        _bias == null ? null : _bias + panel * Lanes, part == 0 ? null : sums, Lanes));
            else if (part == 0)
                RegisterTile<TVector, TOperations>.Multiply(rows, Lanes, count, left, _depth, 1, right, Lanes, new StoredSums(sums, Lanes));
            else
                RegisterTile<TVector, TOperations>.Multiply(rows, Lanes, count, left, _depth, 1, right, Lanes, new AddedSums(sums, Lanes));
        }

        if (!isWhole)
            Write(sums, firstRow, rows, panel * Lanes);
    }

    // Whether a panel's columns are all there, and neighbours in the output.
    private bool HasWholePanel(int firstColumn) =>
        firstColumn + Lanes <= _columns && firstColumn % _layout.HeadSize + Lanes <= _layout.HeadSize;

    private void Write(float* sums, int firstRow, int rows, int firstColumn)
    {
        int columns = Math.Min(Lanes, _columns - firstColumn);
        if (_bias != null)
            AddBias(_bias + firstColumn, sums, rows, columns);
        for (int row = 0; row < rows; row++)
        {
            long target = _layout.Row(firstRow + row);

            // Columns of one head are neighbours.
            for (int column = 0; column < columns;)
            {
                int together = Math.Min(columns - column, _layout.HeadSize - (firstColumn + column) % _layout.HeadSize);
                byte* elements = _output + (target + _layout.Column(firstColumn + column)) * _element.Size();
                ElementRows.Store(sums + (nint)row * Lanes + column, elements, _element, together);
                column += together;
            }
        }
    }

    private static void AddBias(float* bias, float* sums, int rows, int columns)
    {
        float* padded = stackalloc float[Lanes];
        new ReadOnlySpan<float>(bias, columns).CopyTo(new Span<float>(padded, Lanes));
        for (int lane = 0; lane < columns; lane += TOperations.Width)
        {
            TVector vector = TOperations.Load(padded + lane);
            for (int row = 0; row < rows; row++)
            {
                float* sum = sums + (nint)row * Lanes + lane;
                TOperations.Store(TOperations.Add(TOperations.Load(sum), vector), sum);
            }
        }
    }
}
