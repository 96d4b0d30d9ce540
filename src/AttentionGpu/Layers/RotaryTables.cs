using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Numerics.Tensors;

namespace AttentionGpu.Layers;

/// <summary>
/// Cosines and sines of a layer's rotary embedding on its engine's device. They grow by powers of two to the largest position that a call
/// has, so that most calls upload nothing. Where frequencies depend on the length of a call, the tables of the last two stages are kept.
/// </summary>
internal sealed class RotaryTables(AttentionEngine engine, RotaryEmbedding rotary, int headSize) : IDisposable
{
    private const int FewestPositions = 256;
    private const int MostKept = 2;

    // Positions that are computed at once.
    private const int ChunkPositions = 4096;

    private readonly Lock _gate = new();
    private volatile Pair[] _kept = [];
    private bool _disposed;

    /// <summary>The stage of calls with so many positions.</summary>
    public int Stage(int positions) => rotary.Stage(positions);

    /// <summary>Tables with at least so many positions, for the stage of a call with so many. The caller releases them.</summary>
    /// <exception cref="AttentionMemoryException">There is not enough memory for them.</exception>
    public Pair Acquire(int positions)
    {
        // Most calls do not wait for one that makes other tables, and allocate nothing.
        int stage = rotary.Stage(positions);
        return TryAcquire(stage, positions, out Pair? ready) ? ready : Make(stage, positions);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            foreach (Pair pair in _kept)
                pair.Release();
            _kept = [];
        }
    }

    private Pair Make(int stage, int positions)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(MultiHeadAttention));
            if (TryAcquire(stage, positions, out Pair? made))
                return made;

            // The stage of one length alone is that length: no longer call would use more rows.
            bool isOfOneLength = stage > 0 && stage == positions;
            int rounded = isOfOneLength ? positions : (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(positions, FewestPositions));
            Pair pair = Create(stage, rounded);
            Pair[] old = _kept;
            Pair[] others = [.. old.Where(other => other.Stage != stage).Take(MostKept - 1)];
            _kept = [pair, .. others];
            foreach (Pair replaced in old.Except(others))
                replaced.Release();
            return pair.TryAcquire() ? pair : throw new ObjectDisposedException(nameof(MultiHeadAttention));
        }
    }

    private bool TryAcquire(int stage, int positions, [NotNullWhen(true)] out Pair? found)
    {
        foreach (Pair pair in _kept)
        {
            if (pair.Stage == stage && pair.Cosine.Lengths[0] >= positions && pair.TryAcquire())
            {
                found = pair;
                return true;
            }
        }

        found = null;
        return false;
    }

    private Pair Create(int stage, int positions)
    {
        int half = rotary.ActualSize(headSize) / 2;
        DeviceTensor<float> cosine = engine.CreateTensor<float>(positions, half);
        DeviceTensor<float>? sine = null;
        try
        {
            sine = engine.CreateTensor<float>(positions, half);
            for (int first = 0; first < positions; first += ChunkPositions)
                Fill(cosine, sine, stage, first, Math.Min(ChunkPositions, positions - first), half);
        }
        catch
        {
            cosine.Dispose();
            sine?.Dispose();
            throw;
        }

        return new Pair(stage, cosine, sine);
    }

    private void Fill(DeviceTensor<float> cosine, DeviceTensor<float> sine, int stage, int first, int count, int half)
    {
        (float[] cosines, float[] sines) = rotary.Tables(headSize, stage, first, count);
        using DeviceTensor<float> cosinePart = cosine.Slice(first, count);
        using DeviceTensor<float> sinePart = sine.Slice(first, count);
        cosinePart.CopyFrom(new ReadOnlyTensorSpan<float>(cosines, [count, half]));
        sinePart.CopyFrom(new ReadOnlyTensorSpan<float>(sines, [count, half]));
    }

    /// <summary>[positions, rotary size / 2] each; freed when the layer has others in their place and no call holds them.</summary>
    internal sealed class Pair(int stage, DeviceTensor<float> cosine, DeviceTensor<float> sine)
    {
        // The layer's, and those of calls.
        private int _holders = 1;

        public int Stage => stage;

        public DeviceTensor<float> Cosine => cosine;

        public DeviceTensor<float> Sine => sine;

        /// <summary>Holds the tables; false where they are freed already.</summary>
        public bool TryAcquire()
        {
            for (int holders = Volatile.Read(ref _holders); holders > 0; holders = Volatile.Read(ref _holders))
            {
                if (Interlocked.CompareExchange(ref _holders, holders + 1, holders) == holders)
                    return true;
            }

            return false;
        }

        public void Release()
        {
            if (Interlocked.Decrement(ref _holders) != 0)
                return;
            cosine.Dispose();
            sine.Dispose();
        }
    }
}
