using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Memory;

namespace AttentionGpu.Tensors;

/// <summary>
/// The memory of one call. Tensors on the device are used where they are; so are tensors in host memory on a device that computes there
/// (the caller pins them), if they are contiguous. Everything else goes through memory from the pool, which <see cref="Dispose"/> returns.
/// A
/// call takes all its memory before it computes anything, so that outputs are untouched where there is not enough.
/// </summary>
internal ref struct CallMemory : IDisposable
{
    private readonly EngineLifetime _lifetime;
    private Rented _rented;
    private Used _used;
    private int _rentedCount;
    private int _usedCount;

    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public CallMemory(EngineLifetime lifetime)
    {
        lifetime.Enter();
        _lifetime = lifetime;
    }

    private readonly IDeviceMemory Memory => _lifetime.Memory;

    /// <summary>An input, on the device; nothing where there is none.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="pinned">The address of its first element, pinned for the call, if it is in host memory.</param>
    /// <param name="name">The public name of the argument.</param>
    /// <param name="strided">
    /// Whether rows that are contiguous stay where they are, whatever the other strides. A device tensor with gaps is refused otherwise.
    /// </param>
    /// <exception cref="ArgumentException">The tensor is another engine's, or has gaps.</exception>
    public unsafe DeviceMemory Input<T>(in TensorInput<T> tensor, void* pinned, string name, bool strided = false)
        where T : unmanaged
    {
        if (!tensor.IsPresent)
            return default;
        if (tensor.Device is not null)
            return Use(tensor.Device, name, strided);
        if (IsUsedInPlace(tensor, strided))
            return DeviceMemory.OnHost(null, (nint)pinned, TensorOverlap.SpannedBytes(tensor));
        ReadOnlyTensorSpan<T> host = tensor.Host;
        DeviceMemory memory = Take((long)host.FlattenedLength * Unsafe.SizeOf<T>());
        HostCopy.Upload(Memory, host, memory);
        return memory;
    }

    /// <summary>Numbers of the host, on the device; nothing where there are none.</summary>
    public DeviceMemory Input<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        if (values.IsEmpty)
            return default;
        DeviceMemory memory = Rent((long)values.Length * Unsafe.SizeOf<T>());
        HostCopy.Upload(Memory, new ReadOnlyTensorSpan<T>(values), memory);
        return memory;
    }

    /// <summary>
    /// Memory for an output; <see cref="Finish"/> brings it to the host. Parameters as for
    /// <see cref="Input{T}(in TensorInput{T}, void*, string, bool)"/>.
    /// </summary>
    public unsafe DeviceMemory Output<T>(in TensorOutput<T> tensor, void* pinned, string name, bool strided = false)
        where T : unmanaged
    {
        if (!tensor.IsPresent)
            return default;
        if (tensor.Device is not null)
            return Use(tensor.Device, name, strided);
        return IsUsedInPlace(tensor.AsInput(), strided)
            ? DeviceMemory.OnHost(null, (nint)pinned, TensorOverlap.SpannedBytes(tensor.AsInput()))
            : Take((long)tensor.Host.FlattenedLength * Unsafe.SizeOf<T>());
    }

    /// <summary>Waits for an output and copies it to its host tensor, where it is not there already.</summary>
    /// <param name="tensor">The output.</param>
    /// <param name="memory">Its memory, from <see cref="Output"/>.</param>
    /// <param name="strided">As for <see cref="Output"/>.</param>
    /// <param name="firstRow">The first row of each matrix that is copied; the host tensor has those before already.</param>
    public readonly void Finish<T>(in TensorOutput<T> tensor, DeviceMemory memory, bool strided = false, int firstRow = 0)
        where T : unmanaged
    {
        if (!tensor.IsPresent || tensor.Device is not null || IsUsedInPlace(tensor.AsInput(), strided))
            return;
        if (firstRow == 0)
            HostCopy.Download(Memory, memory, tensor.Host);
        else
            HostCopy.DownloadRows(Memory, memory, tensor.Host, firstRow);
    }

    /// <summary>Memory that lasts until the call ends; nothing for 0 bytes.</summary>
    /// <exception cref="AttentionMemoryException">There is not enough.</exception>
    public DeviceMemory Rent(long byteLength) => byteLength == 0 ? default : Take(byteLength);

    /// <summary>A tensor's memory, which stays until the call ends even if the tensor is disposed meanwhile.</summary>
    /// <exception cref="ObjectDisposedException">The tensor is disposed.</exception>
    /// <exception cref="ArgumentException">The tensor is another engine's, or has gaps where they are not allowed.</exception>
    public DeviceMemory Use(DeviceTensor tensor, string name = "tensor", bool strided = false)
    {
        if (!ReferenceEquals(tensor.Lifetime, _lifetime))
        {
            throw new ArgumentException(
                $"The tensor '{name}' belongs to another engine (on {tensor.Lifetime.Memory.DeviceName}); it must be made by this one.", name);
        }

        if (!strided && !tensor.Strides.IsEmpty)
        {
            throw BadInput.Because(
                name,
                $"The tensor '{name}' must have no gaps between its rows; it is {ShapeRules.Format(tensor.Lengths)}, a part of another.");
        }

        DeviceMemory memory = tensor.Acquire(out SharedMemory shared);
        _used[_usedCount++] = shared;
        return memory;
    }

    /// <summary>Memory of a layer, which stays until the call ends even if the layer is disposed meanwhile.</summary>
    /// <exception cref="ObjectDisposedException">The layer is disposed.</exception>
    public DeviceMemory Use(SharedMemory shared, object owner)
    {
        if (!shared.TryAcquire(out DeviceMemory memory))
            ObjectDisposedException.ThrowIf(true, owner);
        _used[_usedCount++] = shared;
        return memory;
    }

    public readonly void Dispose()
    {
        for (int i = 0; i < _rentedCount; i++)
            Memory.Return(_rented[i]);
        for (int i = 0; i < _usedCount; i++)
            _used[i].Release();
        _lifetime.Exit();
    }

    // A tensor without elements has memory too: a kernel's argument must be some memory.
    private DeviceMemory Take(long byteLength)
    {
        DeviceMemory memory = Memory.Rent(byteLength);
        _rented[_rentedCount++] = memory;
        return memory;
    }

    private readonly bool IsUsedInPlace<T>(in TensorInput<T> tensor, bool strided)
        where T : unmanaged =>
        Memory.IsHostMemory && (tensor.Strides.IsEmpty || (strided && tensor.HasContiguousRows));

    // Enough for all inputs and outputs of attention and of a layer, and the memory between the steps.
    private const int Most = 40;

    [InlineArray(Most)]
    private struct Rented
    {
        private DeviceMemory _first;
    }

    [InlineArray(Most)]
    private struct Used
    {
        private SharedMemory _first;
    }
}
