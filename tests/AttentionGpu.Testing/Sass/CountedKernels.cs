using System.Reflection;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Heads;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Attention.Variants;
using AttentionGpu.Kernels.TensorCore.Products;
using AttentionGpu.Kernels.Tests.Ptx;
using AttentionGpu.Kernels.Tiled.Decoding;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Softmax;
using AttentionGpu.Kernels.Tiled.Tiles;

namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>The kernels whose instructions are counted, each with the passes of its loops in its problem.</summary>
/// <remarks>
/// A change of a kernel's loops shows as an exception that names the kernel and describes its loops: its line of passes is then written
/// anew. Problems: attention of 2,048 queries and keys, the group of the last queries; products of depth 2,048; rows of 2,048 scores; 32
/// heads; heads of 128 elements.
/// </remarks>
internal static class CountedKernels
{
    /// <summary>Keys, or the depth of a product.</summary>
    public const int Length = 2048;

    private const int MultiplyAddsOfMma = 2048;
    private const int Heads = 32;
    private const int RowThreads = 128;

    private static readonly (Type Element, string Name, int Bytes)[] _elements =
    [
        (typeof(SingleElement), "float32", 4), (typeof(NativeHalfElement), "float16", 2), (typeof(BFloat16Element), "bfloat16", 2),
    ];

    /// <summary>Products: attention and projections.</summary>
    public static IReadOnlyList<CountedKernel> Products { get; } = [.. TensorAttention(), .. TensorMatmul(), .. Attention(), .. Matmul()];

    /// <summary>Kernels that should be bound by memory.</summary>
    public static IReadOnlyList<CountedKernel> Rows { get; } = [.. Decoding(), .. Softmax(), .. HeadRows()];

    private static IEnumerable<CountedKernel> TensorAttention()
    {
        foreach (TensorElement element in Enum.GetValues<TensorElement>())
        {
            foreach (int size in new[] { 64, 128, 256 })
            {
                foreach (bool isCausal in new[] { false, true })
                {
                    AttentionForm form = AttentionOf(element, size) with { IsCausal = isCausal };
                    yield return TensorAttention(form, isCausal ? "causal" : "all keys");
                }
            }
        }

        (string Name, Func<ScoreText> Create)[] variants =
        [
            ("softcap", () => new SoftcapText(isExact: false)), ("ALiBi", () => new AlibiText()),
            ("bias", () => new BiasText(isSameForKeys: false)), ("mask", () => new MaskText(isSameForKeys: false)),
            ("documents", () => new DocumentText()), ("bias by distance", () => new DistanceBiasText()),
        ];
        foreach (int size in new[] { 64, 128 })
        {
            foreach ((string name, Func<ScoreText> create) in variants)
                yield return TensorAttention(AttentionOf(TensorElement.Float16, size), name, create);
        }
    }

    private static AttentionForm AttentionOf(TensorElement element, int size) =>
        new() { Element = element, HeadSize = size, ValueHeadSize = size, IsAligned = true };

    private static CountedKernel TensorAttention(AttentionForm form, string variant, params Func<ScoreText>[] changes)
    {
        var tile = AttentionTile.For(form);
        int blocks = Length / tile.Keys;
        int masked = form.IsCausal ? tile.Queries / tile.Keys : 0;
        return new CountedKernel(
            $"attention, tensor cores, head size {form.HeadSize}, {form.Element.ToString().ToLowerInvariant()}, {variant}",
            () => AttentionText.Write(form, [.. changes.Select(change => change())]), AttentionTile.Threads)
        {
            Trips = $"1({blocks - masked}(0) {masked}(0) 0(0))",
            Products = 2L * tile.RowTiles * AttentionTile.TileRows * Length * form.HeadSize / MultiplyAddsOfMma,
            HasTensorCores = true,
            DynamicSharedBytes = AttentionText.Write(form).DynamicSharedBytes,
        };
    }

    // A group has 64 queries. The last of them see all keys, and those that they do not all see are the last 64.
    private static (Type Range, string Variant, int MaskedBlocks)[] Ranges(int blocks) =>
        [(typeof(AllKeys), "all keys", 0), (typeof(CausalRange), "causal", blocks * 64 / Length)];

    // The first copies, the stages without bounds, and the last ones.
    private static IEnumerable<CountedKernel> TensorMatmul()
    {
        foreach (ProductTile tile in ProductTile.All)
        {
            foreach (TensorElement element in Enum.GetValues<TensorElement>())
            {
                var form = new ProductForm
                {
                    Element = element,
                    Tile = tile,
                    HasBias = true,
                    IsInputAligned = true,
                    IsOutputAligned = true,
                };
                int ahead = tile.Stages - 1;
                yield return new CountedKernel(
                    $"product, tensor cores, {tile.Rows} x {tile.Columns}, {element.ToString().ToLowerInvariant()}",
                    () => ProductText.Write(form), tile.Threads)
                {
                    Trips = $"{ahead} {Length / tile.Depth - ahead} {ahead}",
                    Products = (long)tile.WarpRows * tile.WarpColumns * Length / MultiplyAddsOfMma,
                    HasTensorCores = true,
                };
            }
        }
    }

    // In float32 the keys are gone through in stretches of 1,024.
    private static IEnumerable<CountedKernel> Attention()
    {
        (int Tile, string Name, int Threads, int Blocks, string Block, int Reduction, int Columns)[] tiles =
        [
            (0, "8x8", 64, 64, "2(16 8 16) 3 2(8 0 16)", 3, 32),
            (1, "8x16", 128, 32, "4(8 8 16) 4 4(8 0 16)", 4, 64),
            (2, "8x16, two groups of values", 128, 32, "8(8 8 16) 4 4(16 0 16)", 4, 128),
        ];
        foreach ((int tile, string name, int threads, int blocks, string block, int reduction, int columns) in tiles)
        {
            (Type Tile, Type Values) types = PtxKernels.AttentionTiles[tile];
            foreach ((Type element, string type, _) in _elements)
            {
                foreach ((Type range, string variant, int masks) in Ranges(blocks))
                {
                    yield return new CountedKernel(
                        $"attention, tile {name}, head size {columns}, {type}, {variant}", PtxKernels.Attention,
                        [types.Tile, types.Values, typeof(WarpRowReduction), element, PtxKernels.Rows(element), range, typeof(NoVariant)],
                        threads)
                    {
                        Trips = element == typeof(SingleElement)
                            ? $"1(2({blocks / 2}({block}) {reduction})) 0(0)" : $"1({blocks}({block}) {reduction}) 0(0)",
                        MaskPasses = masks,
                        Products = 2L * 64 * Length * columns / threads,
                    };
                }
            }
        }
    }

    private static IEnumerable<CountedKernel> Matmul()
    {
        (Type Tile, string Name, int Threads, string Trips)[] tiles =
            [(typeof(Tile16x16), "16x16", 256, "128(8 8 16)"), (typeof(Tile8x8), "8x8", 64, "128(16 16 16)")];
        return tiles.SelectMany(_ => _elements, (tile, element) => new CountedKernel(
            $"product, tile {tile.Name}, {element.Name}", PtxKernels.Matmul,
            [
                tile.Tile, PtxKernels.Rows(element.Element), PtxKernels.Rows(element.Element), element.Element, typeof(HeadLayout),
                typeof(BiasEpilogue<>).MakeGenericType(element.Element),
            ],
            tile.Threads)
        {
            Trips = tile.Trips,
            Products = 64L * Length,
        });
    }

    private static IEnumerable<CountedKernel> Decoding()
    {
        MethodInfo part = typeof(DecodeKernel).GetMethod(nameof(DecodeKernel.Part))!;
        MethodInfo merge = typeof(MergeKernel).GetMethod(nameof(MergeKernel.Merge))!;
        foreach ((Type element, string name, int bytes) in _elements)
        {
            yield return new CountedKernel(
                $"decoding, a part of the keys, {name}", part,
                [typeof(Tile1x128), element, PtxKernels.Rows(element), typeof(AllKeys), typeof(NoVariant)], 128)
            {
                Trips = "1(0) 4(8(16 1 16)) 7 4 7 4 1 1(512 8)",
                Elements = 2.0 * DecodeArguments.PartKeys * 128 / 128,
                ElementBytes = bytes,
            };
            yield return new CountedKernel($"decoding, parts joined, {name}", merge, [element, typeof(AllKeys)], 128)
            {
                Trips = $"{Length / DecodeArguments.PartKeys} 1({Length / DecodeArguments.PartKeys})",
                Elements = Length / DecodeArguments.PartKeys,
                ElementBytes = 4 + (double)bytes * DecodeArguments.PartKeys / Length,
            };
        }
    }

    private static IEnumerable<CountedKernel> Softmax()
    {
        Type scores = typeof(MaskedSoftmaxKernel);
        yield return new CountedKernel(
            "softmax of scores", scores.GetMethod(nameof(MaskedSoftmaxKernel.Normalize))!, [typeof(CausalRange), typeof(NoVariant)],
            RowThreads)
        {
            // A thread keeps four of its 16 scores, and reads the others twice.
            Trips = "3 7 3",
            Elements = Length / RowThreads,
            ElementBytes = 11,
        };
        yield return new CountedKernel(
            "scores into their tensor, float16", scores.GetMethod(nameof(MaskedSoftmaxKernel.Store))!,
            [typeof(NativeHalfElement), typeof(CausalRange), typeof(NoVariant)], RowThreads)
        {
            Trips = "4",
            Elements = Length / RowThreads,
            ElementBytes = 6,
        };
        yield return new CountedKernel(
            "mean of the heads' weights, float16", typeof(AverageHeadsKernel).GetMethod(nameof(AverageHeadsKernel.Average))!,
            [typeof(NativeHalfElement)], RowThreads)
        {
            Trips = $"4({Heads})",
            Elements = Length / RowThreads * Heads,
            ElementBytes = 4 + 2.0 / Heads,
        };
    }

    private static IEnumerable<CountedKernel> HeadRows()
    {
        MethodInfo transform = typeof(HeadTransformKernel).GetMethod(nameof(HeadTransformKernel.Transform))!;
        foreach ((Type element, string name, int bytes) in _elements)
        {
            yield return new CountedKernel($"norm and rotary embedding, {name}", transform, [element, PtxKernels.Rows(element)], 128)
            {
                Trips = "8 2 4",
                Elements = HeadTransformKernel.ThreadElements,
                ElementBytes = 2.0 * bytes,
            };
        }

        yield return new CountedKernel(
            "parts of the keys joined, float16", typeof(MergeStatesKernel).GetMethod(nameof(MergeStatesKernel.Merge))!,
            [typeof(NativeHalfElement)], 128)
        {
            Trips = "2 1(2)",
            Elements = 2,
            ElementBytes = 3,
        };
    }
}
