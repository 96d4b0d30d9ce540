using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Which tiles and reductions a device gets. The tiles themselves are compile-time constants of the kernels.</summary>
internal sealed record TileChoice
{
    /// <summary>Groups of four threads, for devices whose threads are emulated.</summary>
    public required bool Emulated { get; init; }

    /// <summary>
    /// Kernels of one thread a group, without barriers, on operands that are panelled first: for a processor, whose driver makes vectors of
    /// a thread's own work.
    /// </summary>
    public required bool Processor { get; init; }

    /// <summary>Whether there are tensor cores with the instructions of SM_80.</summary>
    public required bool HasTensorCores { get; init; }

    /// <summary>Whether half precision is converted by instructions.</summary>
    public required bool HasNativeHalf { get; init; }

    /// <summary>Whether the threads of a row can exchange values by warp shuffles.</summary>
    public required bool UsesWarps { get; init; }

    /// <summary>Threads in a group of the softmax that writes weights; a power of two.</summary>
    public required int SoftmaxThreads { get; init; }

    /// <summary>Groups that keep the whole device busy; smaller tiles are taken below it.</summary>
    public required int BusyGroups { get; init; }

    /// <summary>Whether 256 threads fit in a group.</summary>
    public required bool AllowsLargeTiles { get; init; }

    public static TileChoice For(ILGPU.Runtime.Accelerator accelerator)
    {
        const int mediumTileThreads = 128;
        const int largeTileThreads = 256;
        int threads = accelerator.MaxNumThreadsPerGroup;
        bool emulated = threads < mediumTileThreads;
        return new TileChoice
        {
            Emulated = emulated,
            Processor = accelerator is CLAccelerator { DeviceType: CLDeviceType.CL_DEVICE_TYPE_CPU },
            HasTensorCores = accelerator is CudaAccelerator { Architecture.Major: >= 8 },

            HasNativeHalf = accelerator.AcceleratorType == AcceleratorType.Cuda,

            // OpenCL has shuffles only with sub-groups, whose width ILGPU cannot promise; PoCL reports warps of 4,096. A row has as many
            // threads as its tile has columns of threads.
            UsesWarps = accelerator.AcceleratorType != AcceleratorType.OpenCL
                && accelerator.WarpSize >= (emulated ? Tile2x2.ColumnThreads : Tile16x16.ColumnThreads),
            SoftmaxThreads = emulated ? 4 : mediumTileThreads,
            BusyGroups = accelerator.NumMultiprocessors,
            AllowsLargeTiles = threads >= largeTileThreads,
        };
    }
}
