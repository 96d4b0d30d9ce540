using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Heads;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Products;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Softmax;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU.Runtime.Cuda;
using AllRanges = AttentionGpu.Kernels.Common.Ranges.RangePair<
    AttentionGpu.Kernels.Common.Ranges.PrefixRange, AttentionGpu.Kernels.Common.Ranges.WindowRange>;
using AllVariants = AttentionGpu.Kernels.Common.Variants.VariantPair<
    AttentionGpu.Kernels.Common.Variants.VariantPair<AttentionGpu.Kernels.Common.Variants.Softcap, AttentionGpu.Kernels.Common.Variants.Alibi>,
    AttentionGpu.Kernels.Common.Variants.VariantPair<
        AttentionGpu.Kernels.Common.Variants.VariantPair<
            AttentionGpu.Kernels.Common.Variants.AdditiveBias, AttentionGpu.Kernels.Common.Variants.BooleanMask>,
        AttentionGpu.Kernels.Common.Variants.VariantPair<
            AttentionGpu.Kernels.Common.Variants.DocumentMask, AttentionGpu.Kernels.Common.Variants.KeyPaddingMask>>>;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>
/// What ILGPU makes of the kernels for each generation of devices: registers stay registers, and the inner loops are made of multiply-adds.
/// </summary>
public partial class PtxTests
{
    private const int MultiplyAddsPerLoad = 8;
    private const int MaxStaticSharedBytes = 48 * 1024;

    // An inner loop of a product has 32 multiply-adds or more; the loops that load panels have fewer.
    private const int HotLoop = 32;

    private static readonly MethodInfo _softmax = typeof(MaskedSoftmaxKernel).GetMethod(nameof(MaskedSoftmaxKernel.Normalize))!;

    private static readonly MethodInfo _rows = typeof(HeadTransformKernel).GetMethod(nameof(HeadTransformKernel.Transform))!;

    public static TheoryData<Type, Type, Type, Type, Type, Type> AttentionKernels
    {
        get
        {
            // The planner's choices are independent of each other: every tile with every element type and range, variants and reductions in
            // turn.
            Type[] variants =
            [
                typeof(NoVariant), typeof(BooleanMask), typeof(AdditiveBias), typeof(Softcap), typeof(Alibi), typeof(DistanceBias),
                typeof(DocumentMask), typeof(KeyPaddingMask), typeof(TreeMask), typeof(AllVariants),
            ];
            var kernels = new TheoryData<Type, Type, Type, Type, Type, Type>();
            foreach ((Type tile, Type values) in PtxKernels.AttentionTiles)
            {
                foreach (Type element in PtxKernels.Elements)
                {
                    foreach (Type range in PtxKernels.Ranges)
                    {
                        int count = kernels.Count;
                        kernels.Add(
                            tile, values, count % 2 == 0 ? typeof(WarpRowReduction) : typeof(SharedRowReduction), element, range,
                            variants[count * 3 % variants.Length]);
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
            foreach (Type tile in PtxKernels.MatmulTiles)
            {
                foreach (Type element in PtxKernels.Elements)
                {
                    kernels.Add(tile, element, element, typeof(RowLayout), typeof(BiasEpilogue<>).MakeGenericType(element));
                    kernels.Add(tile, element, element, typeof(HeadLayout), typeof(BiasEpilogue<>).MakeGenericType(element));
                    kernels.Add(tile, element, element, typeof(HeadLayout), typeof(ScaleEpilogue));
                    kernels.Add(tile, element, typeof(SingleElement), typeof(RowLayout), typeof(ScaleEpilogue));
                }
            }

            return kernels;
        }
    }

    [Theory]
    [MemberData(nameof(AttentionKernels))]
    public void Attention_keeps_its_tiles_in_registers(Type tile, Type values, Type reduction, Type element, Type range, Type variant) =>
        Assert.All(
            PtxCompiler.CompileAll(PtxKernels.Attention, tile, values, reduction, element, PtxKernels.Rows(element), range, variant),
            ptx => AssertKernel(ptx, hotLoops: 2));

    [Theory]
    [InlineData(typeof(SingleElement), typeof(NativeHalfElement))]
    [InlineData(typeof(NativeHalfElement), typeof(SingleElement))]
    [InlineData(typeof(BFloat16Element), typeof(NativeHalfElement))]
    public void Keys_and_values_of_another_type_cost_the_hot_loops_nothing(Type element, Type keys)
    {
        (Type tile, Type values) = PtxKernels.AttentionTiles[1];
        Type[] Arguments(Type rows) =>
            [tile, values, typeof(WarpRowReduction), element, PtxKernels.Rows(rows), typeof(CausalRange), typeof(NoVariant)];
        string same = PtxCompiler.Compile(CudaArchitecture.SM_80, PtxKernels.Attention, Arguments(element));
        string other = PtxCompiler.Compile(CudaArchitecture.SM_80, PtxKernels.Attention, Arguments(keys));
        AssertKernel(other, hotLoops: 2);
        Assert.Equal(HotLengths(same), HotLengths(other));

        static int[] HotLengths(string ptx) =>
            [.. PtxLoop.Find(ptx).Where(loop => loop.MultiplyAdds >= HotLoop).Select(loop => loop.Instructions.Count)];
    }

    [Theory]
    [InlineData(typeof(ByteRows<Int8Element>))]
    [InlineData(typeof(Int4Rows))]
    [InlineData(typeof(PagedRows<ContiguousRows<NativeHalfElement>>))]
    [InlineData(typeof(PagedRows<ByteRows<Float8Element>>))]
    [InlineData(typeof(PagedRows<Int4Rows>))]
    public void Forms_of_a_cache_cost_the_hot_loops_nothing(Type keys)
    {
        (Type tile, Type values) = PtxKernels.AttentionTiles[2];
        string ptx = PtxCompiler.Compile(
            CudaArchitecture.SM_80, PtxKernels.Attention, tile, values, typeof(WarpRowReduction), typeof(NativeHalfElement), keys,
            typeof(CausalRange), typeof(NoVariant));
        AssertKernel(ptx, hotLoops: 2);
    }

    [Theory]
    [MemberData(nameof(MatmulKernels))]
    public void Matmul_keeps_its_tiles_in_registers(Type tile, Type element, Type output, Type result, Type epilogue) => Assert.All(
        PtxCompiler.CompileAll(PtxKernels.Matmul, tile, PtxKernels.Rows(element), PtxKernels.Rows(element), output, result, epilogue),
        ptx => AssertKernel(ptx, hotLoops: 1));

    [Theory]
    [InlineData(0, 8, 8)]
    [InlineData(1, 32, 16)]
    [InlineData(2, 64, 16)]
    public void Tensor_core_products_have_as_many_products_as_loads_or_more(int tile, int products, int loads)
    {
        foreach (TensorElement element in Enum.GetValues<TensorElement>())
        {
            foreach (bool isAligned in new[] { true, false })
            {
                string ptx = ProductText.Write(new ProductForm
                {
                    Element = element,
                    Tile = ProductTile.All[tile],
                    HasBias = true,
                    IsSplit = true,
                    IsInputAligned = isAligned,
                    IsOutputAligned = isAligned,
                }).Text;
                PtxLoop[] loops = [.. PtxLoop.Find(ptx).Where(loop => loop.Count("mma.") > 0)];
                Assert.Equal(2, loops.Length);
                Assert.All(loops, loop =>
                {
                    Assert.Equal((products, loads, 1), (loop.Count("mma."), loop.Count("ldmatrix."), loop.Count("bar.")));
                    AssertAddressSpaces(loop);
                });
                AssertNoLocalMemory(ptx);
                Assert.Empty(PtxGuard.Divisions(ptx));
                if (isAligned)
                    PtxGuard.Check(ptx);
                Assert.InRange(new PtxProgram(ptx).SharedBytes, 1, MaxStaticSharedBytes);
            }
        }
    }

    [Fact]
    public void Small_kernels_use_no_local_memory_and_no_constant_divisors()
    {
        AssertSmall(_softmax, typeof(AllRanges), typeof(AllVariants));
        AssertSmall(_rows, typeof(NativeHalfElement), PtxKernels.Rows(typeof(SingleElement)));
        AssertSmall(_rows, typeof(SingleElement), typeof(PagedRows<Int4Rows>));
        AssertSmall(_rows, typeof(BFloat16Element), typeof(ByteRows<Float8Element>));

        static void AssertSmall(MethodInfo kernel, params Type[] arguments) => Assert.All(PtxCompiler.CompileAll(kernel, arguments), ptx =>
        {
            AssertNoLocalMemory(ptx);
            AssertNoConstantDivisors(ptx);
            PtxGuard.Check(ptx);
        });
    }

    [Fact]
    public void What_is_not_used_costs_nothing()
    {
        // The instructions of the hot loops before there were element types, sequences and variants other than masks.
        const int scoreLoop = 116;
        const int valueLoop = 117;
        foreach (Type range in new[] { typeof(AllKeys), typeof(CausalRange) })
        {
            string ptx = PtxCompiler.Compile(
                CudaArchitecture.SM_80, PtxKernels.Attention, typeof(Tile8x16), typeof(BlockedFragment8x4), typeof(WarpRowReduction),
                typeof(SingleElement), PtxKernels.Rows(typeof(SingleElement)), range, typeof(NoVariant));
            int[] lengths = [.. PtxLoop.Find(ptx).Where(loop => loop.MultiplyAdds >= HotLoop).Select(loop => loop.Instructions.Count)];
            Assert.Equal(2, lengths.Length);
            Assert.InRange(lengths[0], HotLoop, scoreLoop);
            Assert.InRange(lengths[1], HotLoop, valueLoop);
        }
    }

    [Fact]
    public void The_check_sees_divisions_by_constants()
    {
        AssertNoConstantDivisors("div.s32 %r1, %r2, %r3;\nrem.u64 %rd1, %rd2, %rd3;");
        AssertNoConstantDivisors("shr.s32 %r1, %r2, 5;\ndiv.rn.f32 %f1, %f2, 0f40000000;");
        foreach (string line in new[] { "rem.s32 %r1, %r2, 32;", "div.u32 %r1, %r2, 8;", "@%p1 rem.s64 %rd1, %rd2, 4;" })
            Assert.ThrowsAny<Exception>(() => AssertNoConstantDivisors(line));
    }

    [Theory]
    [InlineData("", "", true)]
    [InlineData("fma.rn.f32 %f2, %f1, %f1, %f2;\n", "", false)]
    [InlineData("ld.shared.v4.f32", "ld.shared.f32", false)]
    [InlineData("ld.shared.v4.f32", "ld.v4.f32", false)]
    [InlineData("bra.uni", "bar.sync 0;\nbra.uni", false)]
    [InlineData("bra.uni", "ld.global.f32 %f3, [%rd2];\nbra.uni", false)]
    [InlineData("bra.uni", "ld.f32 %f3, [%rd2];\nbra.uni", false)]
    [InlineData("bra.uni", "ld.local.f32 %f3, [%rd2];\nbra.uni", false)]
    [InlineData("bra.uni", "st.local.f32 [%rd2], %f3;\nbra.uni", false)]
    [InlineData("[1024]", "[49153]", false)]
    [InlineData("[1024]", "[49152]", true)]
    public void The_check_sees_local_memory_and_poor_loops(string text, string replacement, bool passes)
    {
        // A checker that passes everything would make the tests above worthless. One load feeds 32 multiply-adds here; it must feed 8.
        string products = string.Concat(Enumerable.Repeat("fma.rn.f32 %f2, %f1, %f1, %f2;\n", HotLoop));
        string good = $".shared .align 4 .b8 tile[1024];\nL_1:\nld.shared.v4.f32 {{%f1}}, [%rd1];\n{products}bra.uni L_1;\n";
        string ptx = text.Length == 0 ? good : good.Replace(text, replacement, StringComparison.Ordinal);
        Exception? exception = Record.Exception(() => AssertHotLoops(ptx, hotLoops: 1));
        Assert.True(passes == exception is null, $"{ptx}: {exception}");
    }

    [Fact]
    public void The_check_counts_the_multiply_adds_of_a_load()
    {
        string shared = ".shared .align 4 .b8 tile[1024];\n";
        string products = string.Concat(Enumerable.Repeat("fma.rn.f32 %f2, %f1, %f1, %f2;\n", HotLoop));
        string Loads(int count) => string.Concat(Enumerable.Repeat("ld.shared.v4.f32 {%f1}, [%rd1];\n", count));
        AssertHotLoops($"{shared}L_1:\n{Loads(HotLoop / MultiplyAddsPerLoad)}{products}bra.uni L_1;\n", hotLoops: 1);
        Assert.ThrowsAny<Exception>(
            () => AssertHotLoops($"{shared}L_1:\n{Loads(HotLoop / MultiplyAddsPerLoad + 1)}{products}bra.uni L_1;\n", hotLoops: 1));
        Assert.ThrowsAny<Exception>(() => AssertNoLocalMemory(".local .align 4 .b8 x[4];"));
    }

    private static void AssertKernel(string ptx, int hotLoops)
    {
        PtxGuard.Check(ptx);
        AssertHotLoops(ptx, hotLoops);
    }

    private static void AssertHotLoops(string ptx, int hotLoops)
    {
        AssertNoLocalMemory(ptx);
        AssertNoConstantDivisors(ptx);
        PtxLoop[] hot = [.. PtxLoop.Find(ptx).Where(loop => loop.MultiplyAdds >= HotLoop)];
        Assert.Equal(hotLoops, hot.Length);
        Assert.All(hot, loop =>
        {
            Assert.InRange(loop.SharedLoads, 1, loop.MultiplyAdds / MultiplyAddsPerLoad);
            Assert.Equal(loop.SharedLoads, loop.Count("ld.shared.v4.f32"));
            Assert.Equal(0, loop.Count("ld.global"));
            AssertAddressSpaces(loop);
            Assert.Equal(0, loop.Count("bar."));
        });
        int sharedBytes = SharedArray().Matches(ptx).Sum(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));
        Assert.InRange(sharedBytes, 1, MaxStaticSharedBytes);
    }

    // "ld.global" and "ld.shared": a load without a space asks at run time which one it is.
    private static void AssertAddressSpaces(PtxLoop loop) =>
        Assert.DoesNotContain(loop.Instructions, line => GenericAccess().IsMatch(line));

    // NVIDIA's assembler makes 13 to 19 instructions of a division or remainder by a power of two, and more of others.
    private static void AssertNoConstantDivisors(string ptx) => Assert.Empty(ConstantDivisor().Matches(ptx).Select(match => match.Value));

    private static void AssertNoLocalMemory(string ptx)
    {
        Assert.DoesNotContain("ld.local", ptx, StringComparison.Ordinal);
        Assert.DoesNotContain("st.local", ptx, StringComparison.Ordinal);
        Assert.DoesNotContain(".local ", ptx, StringComparison.Ordinal);
    }

    [GeneratedRegex(@"\b(?:ld|st)\.(?:v\d\.)?[bfsu]\d")]
    private static partial Regex GenericAccess();

    [GeneratedRegex(@"\b(?:rem|div)\.[su](?:32|64)\s+%\w+, %\w+, -?\d+;")]
    private static partial Regex ConstantDivisor();

    [GeneratedRegex(@"\.shared[^\[]*\[(\d+)\];")]
    private static partial Regex SharedArray();
}
