using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Processor;
using AttentionGpu.Kernels.Tiled.Matmul;
using AttentionGpu.Kernels.Tiled.Tiles;
using AttentionGpu.Memory;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>A matrix product whose sizes, layouts and tile are decided; operands and epilogue come with the launch.</summary>
internal interface IMatmulLaunch<TElement, TOutput, TEpilogue>
    where TElement : unmanaged, IElement<TElement>
    where TOutput : unmanaged, IElement<TOutput>
    where TEpilogue : struct, IEpilogue
{
    void Launch(ArrayView<TElement> left, ArrayView<TElement> right, ArrayView<TOutput> result, TEpilogue epilogue);
}

/// <summary>Picks the tile and makes the launch.</summary>
internal static class MatmulLaunch
{
    public static IMatmulLaunch<TElement, TOutput, TEpilogue> Create<TElement, TLeft, TRight, TOutput, TResult, TEpilogue>(
        IAttentionBackend backend, KernelLoader loader, MatmulArguments shape, int matrices, TLeft left, TRight right, TResult result)
        where TElement : unmanaged, IElement<TElement>
        where TOutput : unmanaged, IElement<TOutput>
        where TLeft : struct, IMatrixLayout
        where TRight : struct, IMatrixLayout
        where TResult : struct, IMatrixLayout
        where TEpilogue : struct, IEpilogue
    {
        if (loader.Tiles.Processor)
            return new ProcessorLauncher<TElement, TLeft, TRight, TOutput, TResult, TEpilogue>(backend, loader, shape, matrices, left, right, result);
        if (loader.Tiles.Emulated)
            return new Launcher<Tile2x2, TElement, TLeft, TRight, TOutput, TResult, TEpilogue>(loader, shape, matrices, left, right, result);
        bool fillsDevice = MatmulKernel.GroupCount<Tile16x16>(shape, matrices) >= loader.Tiles.BusyGroups;
        return loader.Tiles.AllowsLargeTiles && fillsDevice
            ? new Launcher<Tile16x16, TElement, TLeft, TRight, TOutput, TResult, TEpilogue>(loader, shape, matrices, left, right, result)
            : new Launcher<Tile8x8, TElement, TLeft, TRight, TOutput, TResult, TEpilogue>(loader, shape, matrices, left, right, result);
    }

    private sealed class Launcher<TTile, TElement, TLeft, TRight, TOutput, TResult, TEpilogue> : IMatmulLaunch<TElement, TOutput, TEpilogue>
        where TTile : struct, ITile
        where TElement : unmanaged, IElement<TElement>
        where TOutput : unmanaged, IElement<TOutput>
        where TLeft : struct, IMatrixLayout
        where TRight : struct, IMatrixLayout
        where TResult : struct, IMatrixLayout
        where TEpilogue : struct, IEpilogue
    {
        private readonly Action<AcceleratorStream, KernelConfig, MatmulArguments, ArrayView<TElement>, TLeft, ArrayView<TElement>, TRight,
            ArrayView<TOutput>, TResult, TEpilogue> _kernel;

        private readonly KernelLoader _loader;
        private readonly KernelConfig _config;
        private readonly MatmulArguments _shape;
        private readonly TLeft _left;
        private readonly TRight _right;
        private readonly TResult _result;

        public Launcher(KernelLoader loader, MatmulArguments shape, int matrices, TLeft left, TRight right, TResult result)
        {
            _loader = loader;
            _config = KernelLoader.Groups(MatmulKernel.GroupCount<TTile>(shape, matrices), ThreadPosition<TTile>.Threads);
            _shape = shape;
            _left = left;
            _right = right;
            _result = result;
            _kernel = loader.Load<Launcher<TTile, TElement, TLeft, TRight, TOutput, TResult, TEpilogue>, Action<AcceleratorStream, KernelConfig,
                MatmulArguments, ArrayView<TElement>, TLeft, ArrayView<TElement>, TRight, ArrayView<TOutput>, TResult, TEpilogue>>(
                accelerator => accelerator.LoadKernel<MatmulArguments, ArrayView<TElement>, TLeft, ArrayView<TElement>, TRight,
                    ArrayView<TOutput>, TResult, TEpilogue>(MatmulKernel.Multiply<TTile, TElement, TLeft, TRight, TOutput, TResult, TEpilogue>));
        }

        public void Launch(ArrayView<TElement> left, ArrayView<TElement> right, ArrayView<TOutput> result, TEpilogue epilogue) =>
            _kernel(_loader.Stream, _config, _shape, left, _left, right, _right, result, _result, epilogue);
    }

    private sealed class ProcessorLauncher<TElement, TLeft, TRight, TOutput, TResult, TEpilogue> : IMatmulLaunch<TElement, TOutput, TEpilogue>
        where TElement : unmanaged, IElement<TElement>
        where TOutput : unmanaged, IElement<TOutput>
        where TLeft : struct, IMatrixLayout
        where TRight : struct, IMatrixLayout
        where TResult : struct, IMatrixLayout
        where TEpilogue : struct, IEpilogue
    {
        private readonly Action<AcceleratorStream, KernelConfig, MatmulArguments, ArrayView<Float4>, ArrayView<Float4>,
            ArrayView<TOutput>, TResult, TEpilogue> _kernel;

        private readonly IAttentionBackend _backend;
        private readonly KernelLoader _loader;
        private readonly PanelLaunch<TElement, TLeft> _packLeft;
        private readonly PanelLaunch<TElement, TRight> _packRight;
        private readonly KernelConfig _config;
        private readonly MatmulArguments _shape;
        private readonly TResult _result;

        public ProcessorLauncher(
            IAttentionBackend backend, KernelLoader loader, MatmulArguments shape, int matrices, TLeft left, TRight right, TResult result)
        {
            _backend = backend;
            _loader = loader;
            _packLeft = new PanelLaunch<TElement, TLeft>(
                loader, PanelArguments.Operand(PanelArguments.LeftLanes, shape.Rows, shape.Depth), matrices, left);
            _packRight = new PanelLaunch<TElement, TRight>(
                loader, PanelArguments.Operand(PanelArguments.RightLanes, shape.Columns, shape.Depth), matrices, right);
            _config = KernelLoader.Groups(ProcessorMatmulKernel.GroupCount(shape, matrices), 1);
            _shape = shape;
            _result = result;
            _kernel = loader.Load<ProcessorLauncher<TElement, TLeft, TRight, TOutput, TResult, TEpilogue>, Action<AcceleratorStream, KernelConfig,
                MatmulArguments, ArrayView<Float4>, ArrayView<Float4>, ArrayView<TOutput>, TResult, TEpilogue>>(
                accelerator => accelerator.LoadKernel<MatmulArguments, ArrayView<Float4>, ArrayView<Float4>, ArrayView<TOutput>,
                    TResult, TEpilogue>(ProcessorMatmulKernel.Multiply));
        }

        public void Launch(ArrayView<TElement> left, ArrayView<TElement> right, ArrayView<TOutput> result, TEpilogue epilogue)
        {
            DeviceMemory memory = _backend.Rent(_packLeft.ByteLength + _packRight.ByteLength);
            try
            {
                DeviceMemory rows = memory.Slice<byte>(0, _packLeft.ByteLength);
                DeviceMemory columns = memory.Slice<byte>(_packLeft.ByteLength, _packRight.ByteLength);
                _packLeft.Launch(left, memory.View<Sequence>(), rows);
                _packRight.Launch(right, memory.View<Sequence>(), columns);
                _kernel(_loader.Stream, _config, _shape, rows.View<Float4>(), columns.View<Float4>(), result, _result, epilogue);
            }
            finally
            {
                _backend.Return(memory);
            }
        }
    }
}
