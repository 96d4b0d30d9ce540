using AttentionGpu.Kernels.Elements;
using AttentionGpu.Kernels.Layouts;
using AttentionGpu.Kernels.Matmul;
using AttentionGpu.Kernels.Tiles;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>A matrix product whose sizes, layouts and tile are decided; operands and epilogue come with the launch.</summary>
internal interface IMatmulLaunch<TElement, TEpilogue>
    where TElement : unmanaged, IElement<TElement>
    where TEpilogue : struct, IEpilogue
{
    void Launch(ArrayView<TElement> left, ArrayView<TElement> right, ArrayView<SingleElement> result, TEpilogue epilogue);
}

/// <summary>Picks the tile and makes the launch.</summary>
internal static class MatmulLaunch
{
    public static IMatmulLaunch<TElement, TEpilogue> Create<TElement, TLeft, TRight, TResult, TEpilogue>(
        KernelLoader loader, MatmulShape shape, int matrices, TLeft left, TRight right, TResult result)
        where TElement : unmanaged, IElement<TElement>
        where TLeft : struct, IMatrixLayout
        where TRight : struct, IMatrixLayout
        where TResult : struct, IMatrixLayout
        where TEpilogue : struct, IEpilogue
    {
        if (loader.Tiles.Emulated)
            return new Launcher<Tile2x2, TElement, TLeft, TRight, TResult, TEpilogue>(loader, shape, matrices, left, right, result);
        bool fillsDevice = MatmulKernel.GroupCount<Tile16x16>(shape, matrices) >= loader.Tiles.BusyGroups;
        return loader.Tiles.AllowsLargeTiles && fillsDevice
            ? new Launcher<Tile16x16, TElement, TLeft, TRight, TResult, TEpilogue>(loader, shape, matrices, left, right, result)
            : new Launcher<Tile8x8, TElement, TLeft, TRight, TResult, TEpilogue>(loader, shape, matrices, left, right, result);
    }

    private sealed class Launcher<TTile, TElement, TLeft, TRight, TResult, TEpilogue> : IMatmulLaunch<TElement, TEpilogue>
        where TTile : struct, ITile
        where TElement : unmanaged, IElement<TElement>
        where TLeft : struct, IMatrixLayout
        where TRight : struct, IMatrixLayout
        where TResult : struct, IMatrixLayout
        where TEpilogue : struct, IEpilogue
    {
        private readonly Action<AcceleratorStream, KernelConfig, MatmulShape, ArrayView<TElement>, TLeft, ArrayView<TElement>, TRight,
            ArrayView<SingleElement>, TResult, TEpilogue> _kernel;

        private readonly KernelLoader _loader;
        private readonly KernelConfig _config;
        private readonly MatmulShape _shape;
        private readonly TLeft _left;
        private readonly TRight _right;
        private readonly TResult _result;

        public Launcher(KernelLoader loader, MatmulShape shape, int matrices, TLeft left, TRight right, TResult result)
        {
            _loader = loader;
            _config = KernelLoader.Groups(MatmulKernel.GroupCount<TTile>(shape, matrices), ThreadPosition<TTile>.Threads);
            _shape = shape;
            _left = left;
            _right = right;
            _result = result;
            _kernel = loader.Load<Launcher<TTile, TElement, TLeft, TRight, TResult, TEpilogue>, Action<AcceleratorStream, KernelConfig,
                MatmulShape, ArrayView<TElement>, TLeft, ArrayView<TElement>, TRight, ArrayView<SingleElement>, TResult, TEpilogue>>(
                accelerator => accelerator.LoadKernel<MatmulShape, ArrayView<TElement>, TLeft, ArrayView<TElement>, TRight,
                    ArrayView<SingleElement>, TResult, TEpilogue>(MatmulKernel.Multiply<TTile, TElement, TLeft, TRight, TResult, TEpilogue>));
        }

        public void Launch(ArrayView<TElement> left, ArrayView<TElement> right, ArrayView<SingleElement> result, TEpilogue epilogue) =>
            _kernel(_loader.Stream, _config, _shape, left, _left, right, _right, result, _result, epilogue);
    }
}
