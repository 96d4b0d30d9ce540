using System.Numerics.Tensors;
using AttentionGpu.Backends.Host;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Heads;

/// <summary>The heads of a call that joins extra keys; then the rows of the scores, where they are asked for.</summary>
internal sealed unsafe class ExtraKeysWork(ExtraKeysSignature signature) : WorkspaceWork
{
    // Of each row for its scores: the factor, the column of the caller's key, and that of zeros.
    private const int RowNumbers = 3;

    // Exponentials, a logarithm and conversions.
    private const double OperationsPerRow = 200.0;

    private ExtraKeysExtent _extent;
    private ExtraKeysBuffers _buffers;
    private bool _storesScores;

    private int ScoreColumns => _extent.KeyLength + signature.Count;

    /// <summary>How the memory of a call is cut.</summary>
    public static ThreadWorkspace Workspace(in ExtraKeysSignature signature, in ExtraKeysExtent extent, int threads) => new(
        signature.Scores is null ? 0 : RowNumbers * extent.Rows,
        ParallelWork.Workers((long)extent.Batch * extent.Heads, threads, Operations(signature, extent)),
        Math.Max(2L * (signature.HeadSize + signature.ValueHeadSize), 2L * extent.KeyLength + signature.Count));

    public void Execute(in ThreadWorkspace workspace, in ExtraKeysExtent extent, in ExtraKeysBuffers buffers, DeviceMemory memory)
    {
        _extent = extent;
        _buffers = buffers;
        _storesScores = false;
        Take(workspace, workspace.In(memory));
        double operations = Operations(signature, extent);
        Run((long)extent.Batch * extent.Heads, operations);
        _storesScores = signature.Scores is not null;
        if (_storesScores)
            Run(extent.ScoreCount(signature) / ScoreColumns, operations);
        _buffers = default;
    }

    protected override void Do(long item, float* memory)
    {
        if (_storesScores)
            StoreScores(item, memory);
        else
            JoinHead((int)(item / _extent.Heads), (int)(item % _extent.Heads), memory);
    }

    private static double Operations(in ExtraKeysSignature signature, in ExtraKeysExtent extent) =>
        extent.Rows * (OperationsPerRow + signature.HeadSize + signature.ValueHeadSize + (signature.Scores is null ? 0 : extent.KeyLength));

    private void JoinHead(int batch, int head, float* memory)
    {
        (int size, int valueSize, ElementType element) = (signature.HeadSize, signature.ValueHeadSize, signature.Element);
        float* query = memory;
        float* key = query + size;
        float* output = key + size;
        float* value = output + valueSize;
        if (signature.HasKey)
        {
            int keyHead = head / signature.GroupSize;
            ElementRows.Load(ElementRows.Address(_buffers.Key, element, (long)keyHead * size), element, key, size);
            ElementRows.Load(ElementRows.Address(_buffers.Value, element, (long)keyHead * valueSize), element, value, valueSize);
        }

        for (int i = 0; i < _extent.Length; i++)
        {
            double product = 0.0;
            if (signature.HasKey)
            {
                ElementRows.Load(ElementRows.Address(_buffers.Query, element, _extent.Query.Offset(batch, head, i)), element, query, size);
                product = _extent.Scale * DoubleRows.Dot(query, key, size);
            }

            float* logSumExp = _buffers.LogSumExp.Pointer<float>() + _extent.LogSumExp.Offset(batch, head, i);
            ExtraKeysRow row = ExtraKeysRow.Join(signature, _extent, *logSumExp, product);
            *logSumExp = (float)row.LogSumExp;
            byte* target = ElementRows.Address(_buffers.Output, element, _extent.Output.Offset(batch, head, i));
            ElementRows.Load(target, element, output, valueSize);
            var attended = new Span<float>(output, valueSize);
            TensorPrimitives.Multiply(attended, (float)row.Factor, attended);
            if (signature.HasKey)
                TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(value, valueSize), (float)row.KeyWeight, attended, attended);
            ElementRows.Store(output, target, element, valueSize);
            if (signature.Scores is null)
                continue;
            float* numbers = Shared + RowNumbers * (((long)batch * _extent.Heads + head) * _extent.Length + i);
            (numbers[0], numbers[1], numbers[2]) = ((float)row.ColumnFactor, (float)row.KeyColumn, (float)row.ZeroColumn);
        }
    }

    // A row of scores of one head, or the mean of as many rows as there are heads.
    private void StoreScores(long item, float* memory)
    {
        bool averages = signature.Scores == ScoreStage.AverageWeights;
        long first = averages ? item / _extent.Length * _extent.Heads * _extent.Length + item % _extent.Length : item;
        int heads = averages ? _extent.Heads : 1;
        var stored = new Span<float>(memory, _extent.KeyLength);
        var scores = new Span<float>(memory + _extent.KeyLength, ScoreColumns);
        scores.Clear();
        for (int head = 0; head < heads; head++)
        {
            long row = first + (long)head * _extent.Length;
            float* numbers = Shared + RowNumbers * row;
            ElementRows.Load(
                ElementRows.Address(_buffers.StoredScores, signature.Element, row * stored.Length), signature.Element, memory,
                stored.Length);
            Span<float> columns = scores[..stored.Length];
            if (signature.HasWeights)
                TensorPrimitives.MultiplyAdd(stored, numbers[0], columns, columns);
            else
                stored.CopyTo(columns);
            if (signature.HasKey)
                scores[stored.Length] += numbers[1];
            if (signature.HasZeroKey)
                scores[^1] += numbers[2];
        }

        if (averages)
            TensorPrimitives.Divide(scores, heads, scores);
        ElementRows.Store(
            memory + stored.Length, ElementRows.Address(_buffers.Scores, signature.Element, item * ScoreColumns), signature.Element,
            ScoreColumns);
    }
}
