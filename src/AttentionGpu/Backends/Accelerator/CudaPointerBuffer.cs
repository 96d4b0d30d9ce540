using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Memory at a CUDA address that somebody else has allocated and will free, as ILGPU knows buffers.</summary>
internal sealed class CudaPointerBuffer : MemoryBuffer
{
    private CudaPointerBuffer(CudaAccelerator accelerator, nint address, long byteLength)
        : base(accelerator, byteLength, sizeof(byte)) => NativePtr = address;

    /// <exception cref="ArgumentException">The address is none of the accelerator's context.</exception>
    public static CudaPointerBuffer Create(CudaAccelerator accelerator, nint address, long byteLength)
    {
        accelerator.Bind();
        return ContextOf(address) == accelerator.NativePtr
            ? new CudaPointerBuffer(accelerator, address, byteLength)
            : throw new ArgumentException($"'address' must be memory of the engine's CUDA context; 0x{address:X} is not.", nameof(address));
    }

    protected override void MemSet(AcceleratorStream stream, byte value, in ArrayView<byte> targetView) =>
        CudaMemoryBuffer.CudaMemSet((CudaStream)stream, value, targetView);

    protected override void CopyFrom(AcceleratorStream stream, in ArrayView<byte> sourceView, in ArrayView<byte> targetView) =>
        CudaMemoryBuffer.CudaCopy((CudaStream)stream, sourceView, targetView);

    protected override void CopyTo(AcceleratorStream stream, in ArrayView<byte> sourceView, in ArrayView<byte> targetView) =>
        CudaMemoryBuffer.CudaCopy((CudaStream)stream, sourceView, targetView);

    protected override void DisposeAcceleratorObject(bool disposing)
    {
    }

    // The driver knows which context an address is of; 0 for an address of the host that it does not know.
    private static unsafe nint ContextOf(nint address)
    {
        nint context = 0;
        return CudaAPI.CurrentAPI.GetPointerAttribute((nint)(&context), PointerAttribute.CU_POINTER_ATTRIBUTE_CONTEXT, address) == CudaError.CUDA_SUCCESS
            ? context
            : 0;
    }
}
