using System.Collections.Concurrent;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Products;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.TensorCore.Tiles;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator.Texts;

/// <summary>A linear layer of 16-bit elements on tensor cores. It takes no workspace.</summary>
/// <remarks>
/// A call's text is made and loaded when the first one needs it: calls of a signature differ in how many rows there are, in how the output
/// lies, and in how memory is aligned. A row has the same bits in all of them.
/// </remarks>
internal sealed class TensorCoreLinearPlan(LinearSignature signature, KernelLoader loader) : IPlan<LinearExtent, LinearBuffers>
{
    private readonly ConcurrentDictionary<TextKey, ILoadedText> _texts = new();

    /// <summary>Whether tensor cores compute the signature: matrices of 16-bit elements, the weight as it is.</summary>
    public static bool Fits(in LinearSignature signature) =>
        signature == new LinearSignature
        {
            Element = signature.Element,
            Columns = signature.Columns,
            Depth = signature.Depth,
            HasBias = signature.HasBias,
            BatchInvariant = signature.BatchInvariant,
        }
        && signature.Element is ElementType.Float16 or ElementType.BFloat16;

    /// <summary>Loads the text of a call whose memory is aligned.</summary>
    public long WorkspaceBytes(in LinearExtent extent)
    {
        if (extent.Rows == 0)
            return 0;
        TextKey key = Key(extent, inputAddresses: 0, outputAddress: 0);
        Groups(key.Tile, extent);
        Text(key);
        return 0;
    }

    public void Execute(in LinearExtent extent, in LinearBuffers buffers, DeviceMemory workspace)
    {
        if (extent.Rows == 0)
            return;
        TextArguments arguments = default;
        var product = new ProductTextArguments
        {
            Sizes = new MatmulArguments { Rows = extent.Rows, Columns = signature.Columns, Depth = signature.Depth },
            Left = buffers.Input.DeviceAddress,
            Right = buffers.Weight.DeviceAddress,
            Bias = signature.HasBias ? buffers.Bias.DeviceAddress : 0,
            Result = buffers.Output.DeviceAddress,
            ResultLayout = extent.Output,
        };
        arguments.Add(product);
        TextKey key = Key(extent, product.Left | product.Right, product.Result);
        ILoadedText text = Text(key);
        int groups = Groups(key.Tile, extent);
        using AcceleratorGate.Scope gate = loader.Enter();
        text.Launch(groups, ref arguments);
    }

    private int Groups(ProductTile tile, in LinearExtent extent) =>
        KernelLoader.GroupCount(tile.GroupCount(extent.Rows, signature.Columns));

    private TextKey Key(in LinearExtent extent, long inputAddresses, long outputAddress)
    {
        ProductTile tile = ProductTile.For(extent.Rows, signature.Columns, loader.Tiles.BusyGroups);
        bool isSplit = !LinearPlanner.IsPlain(signature, extent);
        bool isInputAligned = SharedTile.HasWholePieces(signature.Depth) && inputAddresses % PtxText.PieceBytes == 0;
        bool isOutputAligned = SharedTile.HasWholePieces(signature.Columns) && outputAddress % PtxText.PieceBytes == 0
            && HasWholePieces(extent.Output, isSplit);
        return new TextKey(tile, isSplit, isInputAligned, isOutputAligned);
    }

    // A plain output has no other stride.
    private static bool HasWholePieces(in HeadLayout output, bool isSplit)
    {
        const int elements = SharedTile.PieceElements;
        return output.InnerRowStride % elements == 0
            && (!isSplit || (output.OuterRowStride % elements == 0 && output.HeadStride % elements == 0 && output.HeadSize % elements == 0));
    }

    private ILoadedText Text(TextKey key) =>
        _texts.TryGetValue(key, out ILoadedText? text) ? text : _texts.GetOrAdd(key, loader.Texts.Load(Write(key)));

    private PtxKernel Write(TextKey key) => ProductText.Write(new ProductForm
    {
        Element = signature.Element == ElementType.Float16 ? TensorElement.Float16 : TensorElement.BFloat16,
        Tile = key.Tile,
        HasBias = signature.HasBias,
        IsSplit = key.IsSplit,
        IsInputAligned = key.IsInputAligned,
        IsOutputAligned = key.IsOutputAligned,
    });

    /// <summary>What the texts of a signature differ in.</summary>
    private readonly record struct TextKey(ProductTile Tile, bool IsSplit, bool IsInputAligned, bool IsOutputAligned);
}
