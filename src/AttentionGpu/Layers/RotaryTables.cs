using System.Numerics;
using System.Numerics.Tensors;

namespace AttentionGpu.Layers;

/// <summary>
/// Cosines and sines of a layer's rotary embedding on its engine's device. They grow by powers of two to the largest position that a call has, so
/// that most calls upload nothing.
/// </summary>
internal sealed class RotaryTables(AttentionEngine engine, RotaryEmbedding rotary, int headSize) : IDisposable
{
    private const int FewestPositions = 256;

    private readonly Lock _gate = new();

    // A smaller table may be in use by a call; all together have twice the size of the largest.
    private readonly List<DeviceTensor<float>> _all = [];
    private (DeviceTensor<float> Cosine, DeviceTensor<float> Sine)? _tables;
    private bool _disposed;

    /// <summary>Tables with at least so many positions. They stay usable until the layer is disposed.</summary>
    /// <exception cref="AttentionMemoryException">There is not enough memory for them.</exception>
    public (DeviceTensor<float> Cosine, DeviceTensor<float> Sine) Get(int positions)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(MultiHeadAttention));
            if (_tables is { } tables && tables.Cosine.Lengths[0] >= positions)
                return tables;
            int rounded = positions <= 1 << 30 ? (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(positions, FewestPositions)) : positions;
            (float[] cosine, float[] sine) = rotary.Tables(headSize, rounded);
            nint[] lengths = [rounded, rotary.ActualSize(headSize) / 2];
            DeviceTensor<float> newCosine = engine.CreateTensor(new ReadOnlyTensorSpan<float>(cosine, lengths));
            try
            {
                DeviceTensor<float> newSine = engine.CreateTensor(new ReadOnlyTensorSpan<float>(sine, lengths));
                _all.Add(newCosine);
                _all.Add(newSine);
                _tables = (newCosine, newSine);
                return (newCosine, newSine);
            }
            catch
            {
                newCosine.Dispose();
                throw;
            }
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
}
