using System.Collections.Concurrent;
using AttentionGpu.Backends.Variants;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.TensorCore.Tiles;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator.Texts;

/// <summary>Attention of 16-bit elements on tensor cores. It takes no workspace.</summary>
/// <remarks>
/// A call's text is made and loaded when the first one needs it: calls of a signature differ in how rows are aligned, in whether they have
/// few queries, in the sign of the scale, and in what a variant asks for.
/// </remarks>
internal sealed class TensorCoreForwardPlan : IPlan<AttentionExtent, AttentionBuffers>
{
    private readonly AttentionSignature _signature;
    private readonly KernelLoader _loader;
    private readonly ScoreVariant[] _variants;
    private readonly ConcurrentDictionary<TextKey, ILoadedText> _texts = new();

    public TensorCoreForwardPlan(AttentionSignature signature, KernelLoader loader)
    {
        _signature = signature;
        _loader = loader;
        _variants = ScoreVariant.Beside(signature, ScoreVariants.None);
    }

    /// <summary>
    /// Whether tensor cores compute the signature: contiguous keys and values of 16 bits, of the queries' type. Scores that are asked for
    /// are computed apart.
    /// </summary>
    public static bool Fits(in AttentionSignature signature) =>
        signature == new AttentionSignature
        {
            Element = signature.Element,
            KeyValue = new KeyValueForm(signature.Element),
            HeadSize = signature.HeadSize,
            ValueHeadSize = signature.ValueHeadSize,
            GroupSize = signature.GroupSize,
            Causal = signature.Causal,
            HasWindow = signature.HasWindow,
            Variants = signature.Variants,
            HasSinks = signature.HasSinks,
            HasSequences = signature.HasSequences,
            HasLogSumExp = signature.HasLogSumExp,
            Scores = signature.Scores,
            BatchInvariant = signature.BatchInvariant,
        }
        && signature.Element is ElementType.Float16 or ElementType.BFloat16
        && Math.Max(signature.HeadSize, signature.ValueHeadSize) <= AttentionTile.MaxHeadSize;

    /// <summary>
    /// 0. The call's text is loaded here, unless its memory starts at addresses that are not multiples of 16: those are known at the launch.
    /// </summary>
    public long WorkspaceBytes(in AttentionExtent extent)
    {
        Groups(extent);
        Text(Key(extent, IsAligned(extent)));
        return 0;
    }

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        ILoadedText text = Text(Key(extent, IsAligned(extent) && IsAligned(buffers)));
        TextArguments arguments = default;
        arguments.Add(new AttentionTextArguments
        {
            Attention = AttentionLayouts.Arguments(_signature, extent),
            Query = Tensor(buffers.Query, extent.Query, extent.Heads),
            Key = Tensor(buffers.Key, extent.Key, extent.KeyValueHeads),
            Value = Tensor(buffers.Value, extent.Value, extent.KeyValueHeads),
            Output = Tensor(buffers.Output, extent.Output, extent.Heads),
            LogSumExp = _signature.HasLogSumExp ? Tensor(buffers.LogSumExp, extent.LogSumExp, extent.Heads) : default,
            Sequences = _signature.HasSequences ? buffers.Sequences.DeviceAddress : 0,
            Sinks = _signature.HasSinks ? buffers.Sinks.DeviceAddress : 0,
            Window = new WindowRange { Left = extent.Window.Left, Right = extent.Window.Right },
        });
        foreach (ScoreVariant variant in _variants)
            variant.AddArguments(ref arguments, extent, buffers);
        int groups = Groups(extent);
        using AcceleratorGate.Scope gate = _loader.Enter();
        text.Launch(groups, ref arguments);
    }

    private static TextTensor Tensor(DeviceMemory memory, TensorLayout layout, int heads) =>
        new() { Address = memory.DeviceAddress, Rows = AttentionLayouts.Rows(layout, heads) };

    private int Groups(in AttentionExtent extent) => KernelLoader.GroupCount(
        AttentionText.GroupCount(
            AttentionTile.For(Form(new TextKey(true, false, IsShort(extent), 0))), extent.Batch, extent.Heads, extent.QueryLength));

    // Blocks of keys under a window begin with the group's first query, so results have the bits of their tile.
    private bool IsShort(in AttentionExtent extent) => !_signature.BatchInvariant && extent.QueryLength <= AttentionTile.ShortQueries;

    private TextKey Key(in AttentionExtent extent, bool isAligned)
    {
        int kinds = 0;
        foreach (ScoreVariant variant in _variants)
            kinds = kinds * ScoreVariant.MaxTextKinds + variant.TextKind(extent);
        return new TextKey(isAligned, _variants.Length > 0 || !(extent.Scale > 0f), IsShort(extent), kinds);
    }

    private bool IsAligned(in AttentionExtent extent)
    {
        const int elements = SharedTile.PieceElements;
        return SharedTile.HasWholePieces(_signature.HeadSize, _signature.ValueHeadSize)
            && extent.Query.IsMultipleOf(elements) && extent.Key.IsMultipleOf(elements) && extent.Value.IsMultipleOf(elements)
            && extent.Output.IsMultipleOf(elements);
    }

    private static bool IsAligned(in AttentionBuffers buffers) =>
        (buffers.Query.DeviceAddress | buffers.Key.DeviceAddress | buffers.Value.DeviceAddress | buffers.Output.DeviceAddress)
        % PtxText.PieceBytes == 0;

    private ILoadedText Text(TextKey key) =>
        _texts.TryGetValue(key, out ILoadedText? text) ? text : _texts.GetOrAdd(key, _loader.Texts.Load(Write(key)));

    private AttentionForm Form(TextKey key) => new()
    {
        Element = _signature.Element == ElementType.Float16 ? TensorElement.Float16 : TensorElement.BFloat16,
        HeadSize = _signature.HeadSize,
        ValueHeadSize = _signature.ValueHeadSize,
        IsCausal = _signature.Causal != CausalKind.None,
        HasPrefix = _signature.Causal == CausalKind.CausalWithPrefix,
        HasWindow = _signature.HasWindow,
        HasSinks = _signature.HasSinks,
        HasSequences = _signature.HasSequences,
        HasLogSumExp = _signature.HasLogSumExp,
        IsAligned = key.IsAligned,
        ScalesScores = key.ScalesScores,
        IsShort = key.IsShort,
    };

    private PtxKernel Write(TextKey key)
    {
        int kinds = key.Kinds;
        var texts = new ScoreText[_variants.Length];
        for (int i = texts.Length - 1; i >= 0; i--)
        {
            texts[i] = _variants[i].CreateText(kinds % ScoreVariant.MaxTextKinds);
            kinds /= ScoreVariant.MaxTextKinds;
        }

        return AttentionText.Write(Form(key), texts);
    }

    /// <summary>What the texts of a signature differ in.</summary>
    private readonly record struct TextKey(bool IsAligned, bool ScalesScores, bool IsShort, int Kinds);
}
