using System.Reflection;
using System.Runtime.InteropServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Attention;
using AttentionGpu.Kernels.Tiled.Decoding;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>
/// The PTX of kernels over a paged cache of 8-bit elements, run on <see cref="PtxMachine"/>, and of those that split keys.
/// </summary>
public class CacheKernelTests
{
    private const int PageShift = 2;
    private const int PageRows = 1 << PageShift;
    private const int Pages = 12;
    private const int Heads = 2;
    private const int Queries = 3;
    private const int Keys = 37;
    private const int Size = 20;

    private static readonly MethodInfo _part = typeof(DecodeKernel).GetMethod(nameof(DecodeKernel.Part))!;
    private static readonly MethodInfo _merge = typeof(MergeKernel).GetMethod(nameof(MergeKernel.Merge))!;

    private readonly Random _random;
    private readonly int _seed = new Random().Next();
    private readonly byte[] _keys = new byte[Pages * Heads * PageRows * Size];
    private readonly byte[] _values = new byte[Pages * Heads * PageRows * Size];
    private readonly float[] _scales = new float[Pages * Heads * PageRows];
    private readonly float[] _queries = new float[Heads * Queries * Size];
    private readonly int[] _pages = [.. Enumerable.Range(0, Pages)];

    private readonly AttentionArguments _shape = new()
    {
        Heads = Heads,
        GroupSize = 1,
        QueryLength = Queries,
        Sequence = new Sequence { QueryLength = Queries, KeyLength = Keys, KeyStart = PageRows, CausalOffset = Keys - Queries },
        HeadSize = Size,
        ValueHeadSize = Size,
        Scale = 0.1f,
        Output = Rows(Queries * Size, Size),
    };

    public CacheKernelTests()
    {
        _random = new Random(_seed);
        _random.NextBytes(_keys);
        _random.NextBytes(_values);
        _random.Shuffle(_pages);
        for (int i = 0; i < _scales.Length; i++)
            _scales[i] = 0.01f * _random.NextSingle();
        for (int i = 0; i < _queries.Length; i++)
            _queries[i] = _random.NextSingle() * 2f - 1f;
    }

    [Fact]
    public void Attention_agrees_with_the_definition()
    {
        PtxProgram program = Compile(
            PtxKernels.Attention, typeof(Tile8x8), typeof(BlockedFragment8x4), typeof(WarpRowReduction), typeof(SingleElement),
            typeof(PagedRows<ByteRows<Int8Element>>), typeof(CausalRange), typeof(NoVariant));
        AssertAgrees((memory, output) => Bind(new PtxMachine(program, memory).With(0, _shape), memory)
            .With(4, new PtxView(output))
            .Run((int)AttentionKernel.GroupCount<Tile8x8, BlockedFragment8x4>(_shape, 1), ThreadPosition<Tile8x8>.Threads));
    }

    [Fact]
    public void A_part_of_the_keys_agrees_with_the_definition()
    {
        PtxProgram program = Compile(
            _part, typeof(Tile1x128), typeof(SingleElement), typeof(PagedRows<ByteRows<Int8Element>>), typeof(CausalRange),
            typeof(NoVariant));
        AssertAgrees((memory, output) =>
        {
            var shape = new Arguments(_shape, 1, new PtxView(output), new PtxView(memory.Add<float>(new float[Heads * Queries])));
            var sizes = new DecodeArguments { Attention = _shape, Parts = 1 };
            Bind(new PtxMachine(program, memory).With(0, shape), memory)
                .Run((int)DecodeKernel.GroupCount(sizes, 1), ThreadPosition<Tile1x128>.Threads);
        });
    }

    [Fact]
    public void Kernels_that_split_keys_use_no_local_memory()
    {
        foreach ((Type rows, Type variant) in
            new[] { (typeof(ContiguousRows<NativeHalfElement>), typeof(Softcap)), (typeof(PagedRows<Int4Rows>), typeof(TreeMask)) })
        {
            string part = PtxCompiler.Compile(
                CudaArchitecture.SM_80, _part, typeof(Tile1x128), typeof(NativeHalfElement), rows, typeof(CausalRange), variant);
            Assert.DoesNotContain(".local", part, StringComparison.Ordinal);
            Assert.InRange(new PtxProgram(part).SharedBytes, 1, 48 * 1024);
        }

        string merge = PtxCompiler.Compile(CudaArchitecture.SM_80, _merge, typeof(NativeHalfElement), typeof(CausalRange));
        Assert.DoesNotContain(".local", merge, StringComparison.Ordinal);
    }

    private static PtxProgram Compile(MethodInfo kernel, params Type[] arguments) =>
        new(PtxCompiler.Compile(CudaArchitecture.SM_75, kernel, arguments));

    private static RowLayout Rows(long headStride, long rowStride) => new()
    {
        Batch = new MatrixBatch { Heads = Heads, HeadsPerMatrix = 1, HeadStride = headStride },
        RowStride = rowStride,
    };

    // Queries, keys and values are the parameters 1 to 3 of both kernels.
    private PtxMachine Bind(PtxMachine machine, PtxGlobalMemory memory)
    {
        ulong scales = memory.Add<float>(_scales);
        ulong pages = memory.Add<int>(_pages);
        PagedBytes Paged(byte[] elements) => new(
            new PtxByteRows(new PtxView(memory.Add<byte>(elements)), new PtxView(scales), Rows(PageRows, 1), Size), new PtxView(pages),
            PageShift, Heads * PageRows);
        return machine.With(1, new PtxContiguousRows(new PtxView(memory.Add<float>(_queries)), Rows(Queries * Size, Size)))
            .With(2, Paged(_keys)).With(3, Paged(_values));
    }

    private void AssertAgrees(Action<PtxGlobalMemory, ulong> run)
    {
        var memory = new PtxGlobalMemory();
        float[] poison = [.. Enumerable.Repeat(float.NaN, Heads * Queries * Size)];
        ulong output = memory.Add<float>(poison);
        run(memory, output);
        float[] actual = memory.Get<float>(output).ToArray();
        for (int head = 0; head < Heads; head++)
        {
            for (int query = 0; query < Queries; query++)
            {
                double[] expected = Expected(head, query);
                for (int column = 0; column < Size; column++)
                    Assert.Equal(expected[column], actual[(head * Queries + query) * Size + column], 1e-5);
            }
        }
    }

    private double[] Expected(int head, int query)
    {
        double[] weights = [.. Enumerable.Range(0, Keys - Queries + query + 1).Select(key => Math.Exp(
            _shape.Scale * Enumerable.Range(0, Size).Sum(
                i => _queries[(head * Queries + query) * Size + i] * Element(_keys, head, key, i))))];
        return [.. Enumerable.Range(0, Size).Select(
            column => weights.Select((weight, key) => weight * Element(_values, head, key, column)).Sum() / weights.Sum())];
    }

    private double Element(byte[] elements, int head, int key, int column)
    {
        int row = (_pages[(key + PageRows) / PageRows] * Heads + head) * PageRows + key % PageRows;
        return (sbyte)elements[row * Size + column] * (double)_scales[row];
    }

    // The kernels' structs as a device sees them.
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct PagedBytes(PtxByteRows first, PtxView pages, long shift, long pageStride)
    {
        private readonly PtxByteRows _first = first;
        private readonly PtxView _pages = pages;
        private readonly long _shift = shift;
        private readonly long _pageStride = pageStride;
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Arguments(AttentionArguments attention, long parts, PtxView outputs, PtxView sums)
    {
        private readonly AttentionArguments _attention = attention;
        private readonly long _parts = parts;
        private readonly PtxView _outputs = outputs;
        private readonly PtxView _sums = sums;
    }
}
