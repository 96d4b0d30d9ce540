using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using AttentionGpu.Kernels.TensorCore.Ptx;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Backends.Accelerator.Texts;

/// <summary>
/// Loads texts through the driver: ILGPU loads only what its own compiler has made. The driver keeps the machine code on disk, by the text.
/// </summary>
internal sealed class CudaTextDevice(CudaAccelerator accelerator) : ITextDevice
{
    // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES of the CUDA driver's interface, which ILGPU has no call for.
    private const int MaxDynamicSharedBytes = 8;

    private static readonly Lazy<nint> _setAttribute = new(FindSetAttribute);

    private readonly ConcurrentBag<nint> _modules = [];

    public ILoadedText Load(PtxKernel kernel)
    {
        accelerator.Bind();
        CudaAPI driver = CudaAPI.CurrentAPI;
        CudaError error = driver.LoadModule(out nint module, kernel.Text, out string? log);
        if (error != CudaError.CUDA_SUCCESS)
            throw new InvalidOperationException($"The driver does not take the text of the kernel '{kernel.Name}' ({error}): {log}");
        _modules.Add(module);
        CudaException.ThrowIfFailed(driver.GetModuleFunction(out nint function, module, kernel.Name));
        if (kernel.DynamicSharedBytes > 0)
            SetDynamicSharedBytes(function, kernel.DynamicSharedBytes);
        return new CudaText(accelerator, kernel, function);
    }

    /// <summary>When nothing runs any more, and before the accelerator goes.</summary>
    public void Dispose()
    {
        accelerator.Bind();
        while (_modules.TryTake(out nint module))
            CudaAPI.CurrentAPI.DestroyModule(module);
    }

    private static unsafe void SetDynamicSharedBytes(nint function, int bytes)
    {
        var set = (delegate* unmanaged<nint, int, int, CudaError>)_setAttribute.Value;
        CudaException.ThrowIfFailed(set(function, MaxDynamicSharedBytes, bytes));
    }

    private static nint FindSetAttribute()
    {
        string[] names = OperatingSystem.IsWindows() ? ["nvcuda"] : ["libcuda.so.1", "cuda"];
        foreach (string name in names)
        {
            if (NativeLibrary.TryLoad(name, out nint library))
                return NativeLibrary.GetExport(library, "cuFuncSetAttribute");
        }

        throw new DllNotFoundException($"The CUDA driver's library was not found: {string.Join(", ", names)}.");
    }

    private sealed class CudaText(CudaAccelerator accelerator, PtxKernel kernel, nint function) : ILoadedText
    {
        public unsafe void Launch(int groups, ref TextArguments arguments)
        {
            void** parameters = stackalloc void*[TextArguments.MaxCount];

            // The arguments are on the caller's stack.
            for (int i = 0; i < arguments.Count; i++)
                parameters[i] = Unsafe.AsPointer(ref arguments.Parameter(i));
            accelerator.Bind();
            var stream = (CudaStream)accelerator.DefaultStream;
            CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.LaunchKernel(
                function, groups, 1, 1, kernel.Threads, 1, 1, kernel.DynamicSharedBytes, stream.StreamPtr, (nint)parameters, 0));
        }
    }
}
