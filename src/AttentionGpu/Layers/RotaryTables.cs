using System.Numerics;
using System.Numerics.Tensors;

namespace AttentionGpu.Layers;

/// <summary>
/// Cosines and sines of a layer's rotary embedding on its engine's device. They grow by powers of two to the largest position that a call
/// has, so
/// that most calls upload nothing.
/// </summary>
internal sealed class RotaryTables(AttentionEngine engine, RotaryEmbedding rotary, int headSize) : IDisposable
{
    private const int FewestPositions = 256;

    // Positions that are computed at once.
    private const int ChunkPositions = 4096;

    private readonly Lock _gate = new();

    // A smaller table may be in use by a call; all together have twice the size of the largest.
    private readonly List<DeviceTensor<float>> _all = [];
    private volatile Pair? _tables;
    private bool _disposed;

    /// <summary>Tables with at least so many positions. They stay usable until the layer is disposed.</summary>
    /// <exception cref="AttentionMemoryException">There is not enough memory for them.</exception>
    public Pair Get(int positions)
    {
        // Most calls do not wait for one that makes larger tables.
        if (_tables is { } ready && ready.Cosine.Lengths[0] >= positions)
            return ready;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(MultiHeadAttention));
            if (_tables is { } tables && tables.Cosine.Lengths[0] >= positions)
                return tables;
            int rounded = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(positions, FewestPositions));
            int half = rotary.ActualSize(headSize) / 2;
            DeviceTensor<float> cosine = engine.CreateTensor<float>(rounded, half);
            DeviceTensor<float>? sine = null;
            try
            {
                sine = engine.CreateTensor<float>(rounded, half);
                for (int first = 0; first < rounded; first += ChunkPositions)
                    Fill(cosine, sine, first, Math.Min(ChunkPositions, rounded - first), half);
            }
            catch
            {
                cosine.Dispose();
                sine?.Dispose();
                throw;
            }

            _all.AddRange([cosine, sine]);
            return _tables = new Pair(cosine, sine);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            foreach (DeviceTensor<float> table in _all)
                table.Dispose();
            _all.Clear();
        }
    }

    private void Fill(DeviceTensor<float> cosine, DeviceTensor<float> sine, int first, int count, int half)
    {
        (float[] cosines, float[] sines) = rotary.Tables(headSize, first, count);
        using DeviceTensor<float> cosinePart = cosine.Slice(first, count);
        using DeviceTensor<float> sinePart = sine.Slice(first, count);
        cosinePart.CopyFrom(new ReadOnlyTensorSpan<float>(cosines, [count, half]));
        sinePart.CopyFrom(new ReadOnlyTensorSpan<float>(sines, [count, half]));
    }

    /// <summary>[positions, rotary size / 2] each.</summary>
    internal sealed record Pair(DeviceTensor<float> Cosine, DeviceTensor<float> Sine);
}
