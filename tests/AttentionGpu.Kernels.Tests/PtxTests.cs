using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using AttentionGpu.Kernels.Attention;
using AttentionGpu.Kernels.Fragments;
using AttentionGpu.Kernels.Layouts;
using AttentionGpu.Kernels.Masks;
using AttentionGpu.Kernels.Matmul;
using AttentionGpu.Kernels.Reductions;
using AttentionGpu.Kernels.Softmax;
using AttentionGpu.Kernels.Tiles;

using AllMasks = AttentionGpu.Kernels.Masks.MaskPair<
    AttentionGpu.Kernels.Masks.CausalMask,
    AttentionGpu.Kernels.Masks.MaskPair<AttentionGpu.Kernels.Masks.AdditiveMask, AttentionGpu.Kernels.Masks.KeyPaddingMask>>;
using PlainMasks = AttentionGpu.Kernels.Masks.MaskPair<
    AttentionGpu.Kernels.Masks.NoMask,
    AttentionGpu.Kernels.Masks.MaskPair<AttentionGpu.Kernels.Masks.NoMask, AttentionGpu.Kernels.Masks.NoMask>>;

namespace AttentionGpu.Kernels.Tests;

/// <summary>What ILGPU makes of the kernels for SM_80: registers stay registers, and the inner loops are made of multiply-adds.</summary>
public partial class PtxTests
{
    private const int MultiplyAddsPerLoad = 8;
    private const int MaxStaticSharedBytes = 48 * 1024;

    // An inner loop of a product has 32 multiply-adds or more; the loops that load panels have fewer.
    private const int HotLoop = 32;

    private static readonly MethodInfo _attention = typeof(AttentionKernel).GetMethod(nameof(AttentionKernel.Forward))!;
    private static readonly MethodInfo _matmul = typeof(MatmulKernel).GetMethod(nameof(MatmulKernel.Multiply))!;
    private static readonly MethodInfo _softmax = typeof(MaskedSoftmaxKernel).GetMethod(nameof(MaskedSoftmaxKernel.Normalize))!;

    public static TheoryData<Type, Type, Type, Type> AttentionKernels
    {
        get
        {
            var kernels = new TheoryData<Type, Type, Type, Type>();
            foreach ((Type tile, Type values) in new[]
            {
                (typeof(Tile8x8), typeof(Fragment8x4)),
                (typeof(Tile8x16), typeof(Fragment8x4)),
                (typeof(Tile8x16), typeof(FragmentPair<Fragment8x4>)),
            })
            {
                foreach (Type reduction in new[] { typeof(WarpRowReduction), typeof(SharedRowReduction) })
                {
                    foreach (Type mask in new[]
                    {
                        typeof(PlainMasks),
                        typeof(MaskPair<CausalMask, MaskPair<NoMask, NoMask>>),
                        typeof(MaskPair<NoMask, MaskPair<BooleanMask, NoMask>>),
                        typeof(AllMasks),
                    })
                    {
                        kernels.Add(tile, values, reduction, mask);
                    }
                }
            }

            return kernels;
        }
    }

    public static TheoryData<Type, Type, Type, Type, Type> MatmulKernels
    {
        get
        {
            var kernels = new TheoryData<Type, Type, Type, Type, Type>();
            foreach (Type tile in new[] { typeof(Tile16x16), typeof(Tile8x8) })
            {
                kernels.Add(tile, typeof(RowLayout), typeof(RowLayout), typeof(RowLayout), typeof(BiasEpilogue));
                kernels.Add(tile, typeof(RowLayout), typeof(RowLayout), typeof(HeadLayout), typeof(BiasEpilogue));
                kernels.Add(tile, typeof(HeadLayout), typeof(RowLayout), typeof(RowLayout), typeof(ScaleEpilogue));
                kernels.Add(tile, typeof(RowLayout), typeof(ColumnLayout), typeof(RowLayout), typeof(ScaleEpilogue));
            }

            return kernels;
        }
    }

    [Theory]
    [MemberData(nameof(AttentionKernels))]
    public void Attention_keeps_its_tiles_in_registers(Type tile, Type values, Type reduction, Type mask) =>
        AssertHotLoops(PtxCompiler.Compile(_attention, tile, values, reduction, mask), hotLoops: 2);

    [Theory]
    [MemberData(nameof(MatmulKernels))]
    public void Matmul_keeps_its_tiles_in_registers(Type tile, Type left, Type right, Type result, Type epilogue) =>
        AssertHotLoops(PtxCompiler.Compile(_matmul, tile, left, right, result, epilogue), hotLoops: 1);

    [Fact]
    public void Softmax_uses_no_local_memory() => AssertNoLocalMemory(PtxCompiler.Compile(_softmax, typeof(AllMasks)));

    [Fact]
    public void Masks_that_are_not_used_cost_nothing()
    {
        string bare = PtxCompiler.Compile(_attention, typeof(Tile8x16), typeof(Fragment8x4), typeof(WarpRowReduction), typeof(NoMask));
        string unused = PtxCompiler.Compile(_attention, typeof(Tile8x16), typeof(Fragment8x4), typeof(WarpRowReduction), typeof(PlainMasks));
        Assert.Equal(Opcodes(bare), Opcodes(unused));

        static IEnumerable<string> Opcodes(string ptx) =>
            PtxLoop.Find(ptx).SelectMany(loop => loop.Instructions).Select(line => line.Split([' ', '\t'])[0]).Where(word => !word.EndsWith(':'));
    }

    [Fact]
    public void The_check_sees_local_memory_and_poor_loops()
    {
        // A checker that passes everything would make the tests above worthless.
        const string poor = "L_1:\nld.shared.f32 %f1, [%rd1];\nfma.rn.f32 %f2, %f1, %f1, %f2;\nbra.uni L_1;\n";
        PtxLoop loop = Assert.Single(PtxLoop.Find(poor));
        Assert.Equal((1, 1), (loop.SharedLoads, loop.MultiplyAdds));
        Assert.ThrowsAny<Exception>(() => AssertHotLoops(poor, hotLoops: 1));
        Assert.ThrowsAny<Exception>(() => AssertNoLocalMemory(".local .align 4 .b8 x[4];"));
    }

    private static void AssertHotLoops(string ptx, int hotLoops)
    {
        AssertNoLocalMemory(ptx);
        PtxLoop[] hot = [.. PtxLoop.Find(ptx).Where(loop => loop.MultiplyAdds >= HotLoop)];
        Assert.Equal(hotLoops, hot.Length);
        Assert.All(hot, loop =>
        {
            Assert.InRange(loop.SharedLoads, 1, loop.MultiplyAdds / MultiplyAddsPerLoad);
            Assert.Equal(loop.SharedLoads, loop.Count("ld.shared.v4.f32"));
            Assert.Equal(0, loop.Count("ld.global"));
            Assert.Equal(0, loop.Count("ld.f32"));
            Assert.Equal(0, loop.Count("bar."));
        });
        int sharedBytes = SharedArray().Matches(ptx).Sum(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));
        Assert.InRange(sharedBytes, 1, MaxStaticSharedBytes);
    }

    private static void AssertNoLocalMemory(string ptx)
    {
        Assert.DoesNotContain("ld.local", ptx, StringComparison.Ordinal);
        Assert.DoesNotContain("st.local", ptx, StringComparison.Ordinal);
        Assert.DoesNotContain(".local ", ptx, StringComparison.Ordinal);
    }

    [GeneratedRegex(@"\.shared[^\[]*\[(\d+)\];")]
    private static partial Regex SharedArray();
}
