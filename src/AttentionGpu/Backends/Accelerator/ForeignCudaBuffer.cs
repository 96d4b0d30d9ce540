using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Memory at a CUDA address that the caller owns, as a buffer of the accelerator. It is never freed here.</summary>
internal sealed partial class ForeignCudaBuffer : MemoryBuffer
{
    // CU_POINTER_ATTRIBUTE_CONTEXT: the context that the memory was allocated in.
    private const int ContextAttribute = 1;

    /// <exception cref="ArgumentException">The address is not memory of the accelerator's context.</exception>
    public ForeignCudaBuffer(CudaAccelerator accelerator, nint address, long byteLength)
        : base(accelerator, byteLength, 1)
    {
        accelerator.Bind();
        int error = OperatingSystem.IsWindows()
            ? PointerAttributeOnWindows(out nint context, ContextAttribute, address)
            : PointerAttribute(out context, ContextAttribute, address);
        if (error != 0 || context != accelerator.NativePtr)
        {
            throw new ArgumentException(
                $"The address 0x{address:X} is not memory of the engine's CUDA context. Make the engine over the accelerator that allocated it.",
                nameof(address));
        }

        NativePtr = address;
    }

    protected override void MemSet(AcceleratorStream stream, byte value, in ArrayView<byte> targetView) =>
        CudaMemoryBuffer.CudaMemSet((CudaStream)stream, value, targetView);

    protected override void CopyFrom(AcceleratorStream stream, in ArrayView<byte> sourceView, in ArrayView<byte> targetView) =>
        CudaMemoryBuffer.CudaCopy((CudaStream)stream, sourceView, targetView);

    protected override void CopyTo(AcceleratorStream stream, in ArrayView<byte> sourceView, in ArrayView<byte> targetView) =>
        CudaMemoryBuffer.CudaCopy((CudaStream)stream, sourceView, targetView);

    protected override void DisposeAcceleratorObject(bool disposing) => NativePtr = nint.Zero;

    [LibraryImport("cuda", EntryPoint = "cuPointerGetAttribute")]
    private static partial int PointerAttribute(out nint value, int attribute, nint address);

    [LibraryImport("nvcuda", EntryPoint = "cuPointerGetAttribute")]
    private static partial int PointerAttributeOnWindows(out nint value, int attribute, nint address);
}
