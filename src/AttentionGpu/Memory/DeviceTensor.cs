using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Memory;
using AttentionGpu.Operators;

namespace AttentionGpu;

/// <summary>
/// A tensor in the memory of an engine's device, dense and row-major. It belongs to the engine that made it. Dispose of it to give the
/// memory back to the engine's pool.
/// </summary>
public abstract class DeviceTensor : IDisposable
{
    private readonly nint[] _lengths;
    private DeviceMemory _memory;
    private int _disposed;

    private protected DeviceTensor(AttentionEngine engine, ReadOnlySpan<nint> lengths, int elementSize)
    {
        ShapeRules.RequireCounts(lengths, nameof(lengths));
        Engine = engine;
        _lengths = lengths.ToArray();
        Count = ShapeRules.Count(lengths);
        _memory = engine.Backend.Rent(checked(Count * elementSize));
    }

    /// <summary>The length of each axis.</summary>
    public ReadOnlySpan<nint> Lengths => _lengths;

    /// <summary>The number of elements.</summary>
    public long Count { get; }

    /// <summary>The type of an element.</summary>
    public abstract Type ElementType { get; }

    internal AttentionEngine Engine { get; }

    internal DeviceMemory Storage
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed != 0, this);
            return _memory;
        }
    }

    /// <summary>Gives the memory back. Work that the engine has already started still finishes on it.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            Engine.Backend.Return(_memory);
            _memory = default;
        }

        GC.SuppressFinalize(this);
    }
}

/// <summary>A <see cref="DeviceTensor"/> of <see cref="float"/>, <see cref="Half"/>, <see cref="BFloat16"/> or <see cref="bool"/> elements.</summary>
public sealed class DeviceTensor<T> : DeviceTensor
    where T : unmanaged
{
    internal DeviceTensor(AttentionEngine engine, ReadOnlySpan<nint> lengths)
        : base(engine, lengths, Unsafe.SizeOf<T>())
    {
    }

    /// <inheritdoc/>
    public override Type ElementType => typeof(T);

    /// <summary>Copies a host tensor of the same shape to the device.</summary>
    /// <exception cref="ArgumentException">The shape differs.</exception>
    /// <exception cref="ObjectDisposedException">The tensor or its engine is disposed.</exception>
    public void CopyFrom(in ReadOnlyTensorSpan<T> source)
    {
        Engine.ThrowIfDisposed();
        ShapeRules.Require(source.Lengths, Lengths, "the shape of the device tensor", nameof(source));
        HostCopy.Upload(Engine.Backend, source, Storage);
    }

    /// <summary>Copies to a host tensor of the same shape, after all work that the engine has started.</summary>
    /// <exception cref="ArgumentException">The shape differs.</exception>
    /// <exception cref="ObjectDisposedException">The tensor or its engine is disposed.</exception>
    public void CopyTo(in TensorSpan<T> target)
    {
        Engine.ThrowIfDisposed();
        ShapeRules.Require(target.Lengths, Lengths, "the shape of the device tensor", nameof(target));
        HostCopy.Download(Engine.Backend, Storage, target);
    }
}
