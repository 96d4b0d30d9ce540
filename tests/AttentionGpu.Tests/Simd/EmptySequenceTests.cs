using System.Runtime.InteropServices;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>Sequences without queries or keys: nothing beside the tensors is read.</summary>
public sealed unsafe partial class EmptySequenceTests : IDisposable
{
    private const int Size = 16;

    private readonly PlanMemory _memory = new();

    public void Dispose() => _memory.Dispose();

    /// <summary>The page before the queries must not be read: it ends the process, and with it the tests.</summary>
    [Theory]
    [InlineData(3)]
    [InlineData(40)]
    public void A_first_sequence_without_queries_reads_nothing_before_the_tensor(int queries)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Pages are protected by a call of Linux.");
        nuint page = (nuint)Environment.SystemPageSize;
        void* guarded = NativeMemory.AlignedAlloc(2 * page, page);
        Assert.Equal(0, Protect(guarded, page, NoAccess));
        try
        {
            var memory = DeviceMemory.OnHost(null, (nint)guarded + (nint)page, (long)page);
            new Span<float>(memory.Pointer<float>(), (int)page / sizeof(float)).Fill(1f);
            ContiguousProblem problem = Ragged(queries);
            DeviceMemory output = _memory.Poisoned(ElementType.Float32, queries * Size);
            DeviceMemory sequences = _memory.Values(
                default, new Sequence { QueryLength = queries, KeyLength = queries });
            foreach (int width in SimdRuns.Widths)
            {
                using var backend = new SimdBackend(width, threads: 1);
                var buffers = new AttentionBuffers { Query = memory, Key = memory, Value = memory, Output = output, Sequences = sequences };
                _memory.Run(backend, problem.Signature, problem.Extent, buffers);
                Assert.All(PlanMemory.Read(output, ElementType.Float32, queries * Size), value => Assert.Equal(1f, value, 1e-6f));
            }
        }
        finally
        {
            Assert.Equal(0, Protect(guarded, page, ReadAndWrite));
            NativeMemory.AlignedFree(guarded);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    public void Queries_without_keys_are_zeros(int queries)
    {
        ContiguousProblem problem = ContiguousProblem.Attention(heads: 1, queries, keys: 0, Size);
        foreach (int width in SimdRuns.Widths)
        {
            using var backend = new SimdBackend(width, threads: 2);
            foreach (ScoreStage? stage in new ScoreStage?[] { null, ScoreStage.Weights, ScoreStage.AverageWeights, ScoreStage.Products })
            {
                DeviceMemory output = _memory.Poisoned(ElementType.Float32, queries * Size);
                DeviceMemory query = _memory.Random(new Random(1), ElementType.Float32, queries * Size);
                var buffers = new AttentionBuffers { Query = query, Output = output };
                _memory.Run(backend, problem.Signature with { Scores = stage }, problem.Extent, buffers);
                Assert.All(PlanMemory.Read(output, ElementType.Float32, queries * Size), value => Assert.Equal(0f, value));
            }
        }
    }

    [Fact]
    public void Calls_without_rows_take_no_memory_and_do_nothing()
    {
        using var backend = new SimdBackend();
        ContiguousProblem problem = ContiguousProblem.Attention(heads: 1, queries: 0, keys: 5, Size);
        foreach (ScoreStage? stage in new ScoreStage?[] { null, ScoreStage.Weights })
        {
            AttentionSignature attention = problem.Signature with { Scores = stage };
            AssertNothing(backend.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(attention), problem.Extent);
        }


        var linear = new LinearSignature { Element = ElementType.Float16, Columns = 3, Depth = 5 };
        AssertNothing(
            backend.Plan<LinearSignature, LinearExtent, LinearBuffers>(linear), new LinearExtent { Rows = 0, Output = default });
        var form = new KeyValueForm(ElementType.Float32);
        var transform = new HeadTransformSignature { Element = ElementType.Float32, Target = form, Size = 4 };
        AssertNothing(
            backend.Plan<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(transform),
            new HeadTransformExtent { Batch = 1, Heads = 2, Length = 0, Source = default, Target = default });
    }

    private static void AssertNothing<TExtent, TBuffers>(IPlan<TExtent, TBuffers> plan, TExtent extent)
        where TExtent : struct
        where TBuffers : struct
    {
        Assert.Equal(0, plan.WorkspaceBytes(extent));
        plan.Execute(extent, default, default);
    }

    // Sequences one after another, the first of them empty.
    private static ContiguousProblem Ragged(int tokens)
    {
        ContiguousProblem problem = ContiguousProblem.Attention(batch: 2, heads: 1, keyValueHeads: 1, tokens, tokens, Size, Size);
        TensorLayout layout = TensorLayout.Contiguous(1, tokens, Size) with { BatchStride = 0 };
        return new ContiguousProblem(
            problem.Signature with { HasSequences = true },
            new AttentionExtent
            {
                Batch = 2,
                Heads = 1,
                KeyValueHeads = 1,
                Scale = 1f,
                Query = layout,
                Key = layout,
                Value = layout,
                Output = layout,
                Sequence = problem.Extent.Sequence,
            });
    }

    private const int NoAccess = 0;
    private const int ReadAndWrite = 3;

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Protect(void* address, nuint length, int protection);
}
