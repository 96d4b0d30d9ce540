using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Memory;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>
/// A tensor in the memory of an engine's device: dense and row-major, or a part of such a tensor. It belongs to the engine that made it.
/// Dispose of it to give the memory back to the engine's pool; memory that views or calls in progress still use is given back when the
/// last of them ends.
/// </summary>
public abstract class DeviceTensor : IDisposable
{
    private readonly nint[] _lengths;
    private readonly nint[]? _strides;
    private readonly SharedMemory _shared;
    private readonly long _firstByte;
    private readonly long _byteLength;
    private int _disposed;

    private protected DeviceTensor(SharedMemory shared, ReadOnlySpan<nint> lengths, nint[]? strides, int elementSize, long firstByte)
    {
        _lengths = lengths.ToArray();
        _shared = shared;
        _firstByte = firstByte;
        FlattenedLength = (nint)ShapeRules.Count(lengths);
        _strides = FlattenedLength == 0 || strides is null || ShapeRules.IsContiguous(lengths, strides) ? null : strides;
        _byteLength = (_strides is null ? FlattenedLength : ShapeRules.Span(lengths, _strides)) * (long)elementSize;
    }

    /// <summary>The length of each axis.</summary>
    public ReadOnlySpan<nint> Lengths => _lengths;

    /// <summary>The number of axes.</summary>
    public int Rank => _lengths.Length;

    /// <summary>The number of elements.</summary>
    public nint FlattenedLength { get; }

    /// <summary>The type of an element.</summary>
    public abstract Type ElementType { get; }

    internal EngineLifetime Lifetime => _shared.Lifetime;

    /// <summary>The strides where they are not those of a contiguous tensor; else empty.</summary>
    internal ReadOnlySpan<nint> Strides => _strides;

    /// <summary>Gives the memory back. Calls that use it already still finish on it; so do views of it, until they are disposed.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
            _shared.Release();
        GC.SuppressFinalize(this);
    }

    /// <summary>The memory for a call, which must release it.</summary>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    internal DeviceMemory Acquire(out SharedMemory shared)
    {
        shared = _shared;
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if (!_shared.TryAcquire(out DeviceMemory memory))
            ObjectDisposedException.ThrowIf(true, this);
        return memory.Slice<byte>(_firstByte, _byteLength);
    }

    /// <summary>Whether both have bytes in common; two tensors over the same memory of the caller have.</summary>
    internal bool Overlaps(DeviceTensor other) => Range.Overlaps(other.Range);

    /// <summary>Whether it is the same memory, seen in the same way.</summary>
    internal bool IsSame(DeviceTensor other) =>
        ReferenceEquals(_shared, other._shared) && _firstByte == other._firstByte && Lengths.SequenceEqual(other.Lengths)
            && Strides.SequenceEqual(other.Strides);

    /// <summary>Whether both have their first element at the same place; never where one has none.</summary>
    internal bool StartsWith(DeviceTensor other) => Range.StartsWith(other.Range);

    /// <summary>Its bytes in host memory; false where they are elsewhere, and where there are none.</summary>
    internal bool TryGetHostRange(out nint address, out long byteLength)
    {
        byteLength = _byteLength;
        return Range.TryGetHostAddress(out address) && byteLength > 0;
    }

    private DeviceMemory Range => _shared.Peek().Slice<byte>(_firstByte, _byteLength);

    /// <summary>The memory for a view of it, which keeps it alive until it is disposed.</summary>
    private protected SharedMemory Share(out long firstByte)
    {
        Acquire(out SharedMemory shared);
        firstByte = _firstByte;
        return shared;
    }
}

/// <summary>
/// A <see cref="DeviceTensor"/> of <see cref="float"/>, <see cref="Half"/>, <see cref="BFloat16"/> or <see cref="bool"/> elements.
/// </summary>
public sealed class DeviceTensor<T> : DeviceTensor
    where T : unmanaged
{
    internal DeviceTensor(SharedMemory shared, ReadOnlySpan<nint> lengths, long firstByte = 0, nint[]? strides = null)
        : base(shared, lengths, strides, Unsafe.SizeOf<T>(), firstByte)
    {
    }

    /// <inheritdoc/>
    public override Type ElementType => typeof(T);

    /// <summary>The same elements under other axes. The view shares the memory; dispose of it too.</summary>
    /// <param name="lengths">The length of each axis; as many elements as this tensor has.</param>
    /// <exception cref="ArgumentException">The number of elements differs.</exception>
    /// <exception cref="InvalidOperationException">The tensor has gaps.</exception>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    public DeviceTensor<T> Reshape(params ReadOnlySpan<nint> lengths)
    {
        RequireNoGaps();
        ShapeRules.RequireCounts(lengths, nameof(lengths));
        if (ShapeRules.Count(lengths) != FlattenedLength)
        {
            throw new ArgumentException(
                $"'lengths' must have the {FlattenedLength} elements of {ShapeRules.Format(Lengths)}; it is {ShapeRules.Format(lengths)}.",
                nameof(lengths));
        }

        return new DeviceTensor<T>(Share(out long firstByte), lengths, firstByte);
    }

    /// <summary>A part of an axis. The view shares the memory; dispose of it too.</summary>
    /// <remarks>
    /// A part of an axis behind the first has gaps between its rows. Attention takes such queries, keys, values, past, present and outputs,
    /// and <see cref="AttentionEngine.TensorScatter{T}"/> such caches, and such updates of caches on the device; other arguments are
    /// refused. It has no copies and no other axes: copy the tensor that it is a part of.
    /// </remarks>
    /// <param name="start">Where the part starts on the axis.</param>
    /// <param name="length">How long it is on the axis.</param>
    /// <param name="axis">The axis; the first by default.</param>
    /// <exception cref="InvalidOperationException">The tensor has no axis.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no such axis, or the part is not inside it.</exception>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    public DeviceTensor<T> Slice(nint start, nint length, int axis = 0)
    {
        if (Rank == 0)
            throw new InvalidOperationException("A tensor without axes has no slices.");
        if (axis < 0 || axis >= Rank)
            throw new ArgumentOutOfRangeException(nameof(axis), axis, $"'axis' must be 0 to {Rank - 1}, an axis of the tensor.");
        nint whole = Lengths[axis];
        if (start < 0 || start > whole)
            throw new ArgumentOutOfRangeException(nameof(start), start, $"'start' must be 0 to {whole}, the length of axis {axis}.");
        if (length < 0 || length > whole - start)
        {
            throw new ArgumentOutOfRangeException(
                nameof(length), length, $"'length' must be 0 to {whole - start}, what is left of axis {axis}.");
        }

        nint[] lengths = Lengths.ToArray();
        var strides = new nint[Rank];
        ShapeRules.StridesOf(Lengths, Strides, strides);
        lengths[axis] = length;
        SharedMemory shared = Share(out long firstByte);

        // A part without elements starts anywhere; behind the last element there may be no memory.
        long skipped = length == 0 ? 0 : (long)start * strides[axis] * Unsafe.SizeOf<T>();
        return new DeviceTensor<T>(shared, lengths, firstByte + skipped, strides);
    }

    /// <summary>Copies a host tensor of the same shape to the device.</summary>
    /// <exception cref="ArgumentException">The shape differs, or both share memory.</exception>
    /// <exception cref="InvalidOperationException">The tensor has gaps.</exception>
    /// <exception cref="ObjectDisposedException">The tensor or its engine is disposed.</exception>
    public void CopyFrom(in ReadOnlyTensorSpan<T> source)
    {
        using var call = new CallMemory(Lifetime);
        RequireSource(source);
        HostCopy.Upload(Lifetime.Memory, source, call.Use(this));
    }

    /// <summary>Copies to a host tensor of the same shape, after all work that the engine has started.</summary>
    /// <exception cref="ArgumentException">The shape differs, or the target shares memory with this tensor or within itself.</exception>
    /// <exception cref="InvalidOperationException">The tensor has gaps.</exception>
    /// <exception cref="ObjectDisposedException">The tensor or its engine is disposed.</exception>
    public void CopyTo(in TensorSpan<T> target)
    {
        using var call = new CallMemory(Lifetime);
        RequireTarget(target);
        HostCopy.Download(Lifetime.Memory, call.Use(this), target);
    }

    /// <summary>
    /// As <see cref="CopyFrom"/>, on a thread of the pool. Neither tensor may be used otherwise until the task ends: the copy has no order
    /// with later calls.
    /// </summary>
    /// <param name="source">A host tensor of the same shape.</param>
    /// <param name="cancellationToken">Cancels a copy that has not started.</param>
    /// <exception cref="ArgumentException">The shape differs, or both share memory.</exception>
    /// <exception cref="InvalidOperationException">The tensor has gaps.</exception>
    public Task CopyFromAsync(Tensor<T> source, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        RequireSource(source.AsReadOnlyTensorSpan());
        return CopyAsync(memory => HostCopy.Upload(Lifetime.Memory, source.AsReadOnlyTensorSpan(), memory), cancellationToken);
    }

    /// <summary>
    /// As <see cref="CopyTo"/>, on a thread of the pool. Neither tensor may be used otherwise until the task ends: the copy has no order
    /// with later calls.
    /// </summary>
    /// <param name="target">A host tensor of the same shape.</param>
    /// <param name="cancellationToken">Cancels a copy that has not started.</param>
    /// <exception cref="ArgumentException">The shape differs, or the target shares memory with this tensor or within itself.</exception>
    /// <exception cref="InvalidOperationException">The tensor has gaps.</exception>
    public Task CopyToAsync(Tensor<T> target, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(target);
        RequireTarget(target.AsTensorSpan());
        return CopyAsync(memory => HostCopy.Download(Lifetime.Memory, memory, target.AsTensorSpan()), cancellationToken);
    }

    private void RequireNoGaps()
    {
        if (!Strides.IsEmpty)
            throw new InvalidOperationException("A part of a tensor with gaps has no other axes and no copies; take the whole tensor.");
    }

    private void RequireSource(in ReadOnlyTensorSpan<T> source)
    {
        RequireNoGaps();
        ShapeRules.Require(source.Lengths, Lengths, "the shape of the device tensor", nameof(source));
        if (TensorOverlap.Overlap<T>(source, this))
            throw SharedMemoryError(nameof(source));
    }

    private void RequireTarget(in TensorSpan<T> target)
    {
        RequireNoGaps();
        ShapeRules.Require(target.Lengths, Lengths, "the shape of the device tensor", nameof(target));
        if (TensorOverlap.Overlap<T>(target, this))
            throw SharedMemoryError(nameof(target));
        TensorOverlap.RequireOwnElements<T>(target, nameof(target));
    }

    private static ArgumentException SharedMemoryError(string name) =>
        BadInput.Because(name, $"'{name}' must not share memory with the device tensor.");

    // The memory is held from the call on, so that a tensor may be disposed of before its copy starts.
    private async Task CopyAsync(Action<DeviceMemory> copy, CancellationToken cancellationToken)
    {
        Lifetime.Enter();
        try
        {
            DeviceMemory memory = Acquire(out SharedMemory shared);
            try
            {
                await Task.Run(() => copy(memory), cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                shared.Release();
            }
        }
        finally
        {
            Lifetime.Exit();
        }
    }
}
