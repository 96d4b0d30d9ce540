using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Tiled.Matmul;
using AttentionGpu.Kernels.Tiled.Tiles;
using AttentionGpu.Memory;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>A batch of matrix products in one specialisation; sizes, operands, layout and epilogue come with the launch.</summary>
internal interface IMatmulLaunch<TLeft, TRight, TOutput, TResult, TEpilogue>
    where TLeft : struct, IMatrixRows
    where TRight : struct, IMatrixRows
    where TOutput : unmanaged, IElement<TOutput>
    where TResult : struct, IMatrixLayout
    where TEpilogue : struct, IEpilogue
{
    /// <summary>Bytes of workspace that a launch takes; loads the kernels for it.</summary>
    /// <exception cref="NotSupportedException">It takes too many groups.</exception>
    long WorkspaceBytes(MatmulArguments shape, int matrices);

    /// <summary>Starts the products; the caller holds the gate, and has asked for the workspace of these sizes.</summary>
    void Launch(
        MatmulArguments shape, int matrices, TLeft left, TRight right, ArrayView<TOutput> result, TResult resultLayout, TEpilogue epilogue,
        DeviceMemory workspace);
}

/// <summary>Picks the kernel for products on a device.</summary>
internal static class MatmulLaunch
{
    /// <param name="loader">The device's kernels.</param>
    /// <param name="batchInvariant">
    /// Whether one tile is taken for all sizes. Tiles add up in the same order, but a driver may fuse multiply-adds in one and not in
    /// another.
    /// </param>
    public static IMatmulLaunch<TLeft, TRight, TOutput, TResult, TEpilogue> Create<TLeft, TRight, TOutput, TResult, TEpilogue>(
        KernelLoader loader, bool batchInvariant)
        where TLeft : struct, IMatrixRows
        where TRight : struct, IMatrixRows
        where TOutput : unmanaged, IElement<TOutput>
        where TResult : struct, IMatrixLayout
        where TEpilogue : struct, IEpilogue
    {
        if (loader.Tiles.Processor)
            return new ProcessorMatmul<TLeft, TRight, TOutput, TResult, TEpilogue>(loader);
        if (loader.Tiles.Emulated)
            return new TiledMatmul<Tile2x2, TLeft, TRight, TOutput, TResult, TEpilogue>(loader);
        return loader.Tiles.AllowsLargeTiles && !batchInvariant
            ? new MatmulBySize<TLeft, TRight, TOutput, TResult, TEpilogue>(loader)
            : new TiledMatmul<Tile8x8, TLeft, TRight, TOutput, TResult, TEpilogue>(loader);
    }
}

/// <summary>Large tiles where they keep the whole device busy, small ones else.</summary>
internal sealed class MatmulBySize<TLeft, TRight, TOutput, TResult, TEpilogue>(KernelLoader loader)
    : IMatmulLaunch<TLeft, TRight, TOutput, TResult, TEpilogue>
    where TLeft : struct, IMatrixRows
    where TRight : struct, IMatrixRows
    where TOutput : unmanaged, IElement<TOutput>
    where TResult : struct, IMatrixLayout
    where TEpilogue : struct, IEpilogue
{
    private readonly TiledMatmul<Tile16x16, TLeft, TRight, TOutput, TResult, TEpilogue> _large = new(loader);
    private readonly TiledMatmul<Tile8x8, TLeft, TRight, TOutput, TResult, TEpilogue> _small = new(loader);

    public long WorkspaceBytes(MatmulArguments shape, int matrices) => Choose(shape, matrices).WorkspaceBytes(shape, matrices);

    public void Launch(
        MatmulArguments shape, int matrices, TLeft left, TRight right, ArrayView<TOutput> result, TResult resultLayout, TEpilogue epilogue,
        DeviceMemory workspace) => Choose(shape, matrices).Launch(shape, matrices, left, right, result, resultLayout, epilogue, workspace);

    private IMatmulLaunch<TLeft, TRight, TOutput, TResult, TEpilogue> Choose(MatmulArguments shape, int matrices) =>
        MatmulKernel.GroupCount<Tile16x16>(shape, matrices) >= loader.Tiles.BusyGroups ? _large : _small;
}

/// <summary>The kernel for GPUs, with one tile. It takes no workspace.</summary>
internal sealed class TiledMatmul<TTile, TLeft, TRight, TOutput, TResult, TEpilogue>(KernelLoader loader)
    : IMatmulLaunch<TLeft, TRight, TOutput, TResult, TEpilogue>
    where TTile : struct, ITile
    where TLeft : struct, IMatrixRows
    where TRight : struct, IMatrixRows
    where TOutput : unmanaged, IElement<TOutput>
    where TResult : struct, IMatrixLayout
    where TEpilogue : struct, IEpilogue
{
    // Loaded when it is first asked for: a program may need only one of several tiles.
    private Action<AcceleratorStream, KernelConfig, MatmulArguments, TLeft, TRight, ArrayView<TOutput>, TResult, TEpilogue>? _kernel;

    public long WorkspaceBytes(MatmulArguments shape, int matrices)
    {
        Groups(shape, matrices);
        Load();
        return 0;
    }

    public void Launch(
        MatmulArguments shape, int matrices, TLeft left, TRight right, ArrayView<TOutput> result, TResult resultLayout, TEpilogue epilogue,
        DeviceMemory workspace) => Load()(loader.Stream, Groups(shape, matrices), shape, left, right, result, resultLayout, epilogue);

    private Action<AcceleratorStream, KernelConfig, MatmulArguments, TLeft, TRight, ArrayView<TOutput>, TResult, TEpilogue> Load() =>
        _kernel ??= loader.Load<
            Action<AcceleratorStream, KernelConfig, MatmulArguments, TLeft, TRight, ArrayView<TOutput>, TResult, TEpilogue>>(
            MatmulKernel.Multiply<TTile, TLeft, TRight, TOutput, TResult, TEpilogue>,
            MatmulKernel.Specialization(ThreadPosition<TTile>.Threads));

    private static KernelConfig Groups(MatmulArguments shape, int matrices) =>
        KernelLoader.Groups(MatmulKernel.GroupCount<TTile>(shape, matrices), ThreadPosition<TTile>.Threads);
}
