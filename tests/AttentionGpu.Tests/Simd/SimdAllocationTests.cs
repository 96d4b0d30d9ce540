using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Elements;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>Memory that a call of a plan allocates, in the garbage collector's heap or beside it.</summary>
public sealed class SimdAllocationTests : IDisposable
{
    private const int Heads = 2;
    private const int Size = 16;
    private const int Length = 1100;
    private const int Rows = 400;

    private readonly PlanMemory _memory = new();
    private readonly SimdBackend _backend = new(threads: 2);

    public void Dispose()
    {
        _memory.Dispose();
        _backend.Dispose();
    }

    /// <summary>Blocks of queries, few queries, no keys, keys in parts.</summary>
    [Theory]
    [InlineData(200, 200, 1f)]
    [InlineData(1, 200, 1f)]
    [InlineData(200, 0, 0f)]
    [InlineData(1, Length, 1f)]
    public void A_call_of_attention_after_the_first_allocates_nothing(int queries, int keys, float result)
    {
        foreach (ElementType element in new[] { ElementType.Float32, ElementType.Float16 })
        {
            ContiguousProblem problem = ContiguousProblem.Attention(Heads, queries, keys, Size);
            AttentionSignature signature = problem.Signature with { Element = element, KeyValue = new KeyValueForm(element) };
            AssertAllocatesNothing(signature, problem.Extent, AttentionBuffers(element), buffers => buffers.Output, element, result);
        }
    }

    [Theory]
    [InlineData(ScoreStage.Weights)]
    [InlineData(ScoreStage.AverageWeights)]
    public void A_call_with_scores_after_the_first_allocates_nothing(ScoreStage stage)
    {
        foreach (ElementType element in new[] { ElementType.Float32, ElementType.BFloat16 })
        {
            ContiguousProblem problem = ContiguousProblem.Attention(Heads, 200, 200, Size);
            AttentionSignature signature =
                problem.Signature with { Element = element, KeyValue = new KeyValueForm(element), Scores = stage };
            AssertAllocatesNothing(signature, problem.Extent, AttentionBuffers(element), buffers => buffers.Output, element, 1f);
        }
    }

    [Fact]
    public void A_call_of_a_linear_layer_after_the_first_allocates_nothing()
    {
        foreach (ElementType element in new[] { ElementType.Float32, ElementType.Float16 })
        {
            var signature = new LinearSignature { Element = element, Columns = Size, Depth = Size };
            var extent = new LinearExtent { Rows = Rows, Output = MatrixLayouts.Plain(Rows, Size) };
            DeviceMemory ones = Ones(element);
            var buffers = new LinearBuffers { Input = ones, Weight = ones, Output = _memory.Poisoned(element, Rows * Size) };
            AssertAllocatesNothing(signature, extent, buffers, of => of.Output, element, Size);
        }
    }

    [Fact]
    public void A_call_of_a_head_transform_after_the_first_allocates_nothing()
    {
        var form = new KeyValueForm(ElementType.Float32);
        var signature = new HeadTransformSignature { Element = ElementType.Float16, Target = form, Size = Size };
        TensorLayout layout = TensorLayout.Contiguous(Heads, Length, Size);
        var extent = new HeadTransformExtent { Batch = 1, Heads = Heads, Length = Length, Source = layout, Target = layout };
        var buffers = new HeadTransformBuffers
        {
            Source = Ones(ElementType.Float16),
            Target = _memory.Poisoned(ElementType.Float32, Heads * Length * Size),
        };
        AssertAllocatesNothing(signature, extent, buffers, of => of.Target, ElementType.Float32, 1f);
    }

    /// <summary>Scores of 16 bits are rounded range by range: no matrix of floats is kept beside them.</summary>
    [Theory]
    [InlineData(ScoreStage.Weights)]
    [InlineData(ScoreStage.AverageWeights)]
    public void Scores_of_16_bits_take_no_matrix_of_floats(ScoreStage stage)
    {
        const int length = 4096;
        const int heads = 8;
        ContiguousProblem problem = ContiguousProblem.Attention(heads, length, length, 64);
        AttentionSignature signature = problem.Signature with
        {
            Element = ElementType.Float16,
            KeyValue = new KeyValueForm(ElementType.Float16),
            Scores = stage,
        };
        long bytes = _backend.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(signature).WorkspaceBytes(problem.Extent);
        Assert.InRange(bytes, 1, 2 * (2L << 20));
    }

    // A product of 16 bits reads its weight as it is.
    [Fact]
    public void A_weight_of_16_bits_is_not_converted_as_a_whole()
    {
        const int size = 4096;
        foreach (bool isPanelled in new[] { false, true })
        {
            var signature = new LinearSignature
            {
                Element = ElementType.BFloat16,
                Columns = size,
                Depth = size,
                IsWeightPanelled = isPanelled,
            };
            var extent = new LinearExtent { Rows = 1, Output = MatrixLayouts.Plain(1, size) };
            Assert.InRange(_backend.Plan<LinearSignature, LinearExtent, LinearBuffers>(signature).WorkspaceBytes(extent), 1, 2 << 20);
        }
    }

    private AttentionBuffers AttentionBuffers(ElementType element)
    {
        DeviceMemory ones = Ones(element);
        return new AttentionBuffers
        {
            Query = ones,
            Key = ones,
            Value = ones,
            Output = _memory.Poisoned(element, Heads * Length * Size),
            Scores = _memory.Poisoned(element, Heads * 200 * 200),
        };
    }

    private DeviceMemory Ones(ElementType element) => _memory.Of(element, [.. Enumerable.Repeat(1f, Heads * Length * Size)]);

    private void AssertAllocatesNothing<TSignature, TExtent, TBuffers>(
        TSignature signature, TExtent extent, TBuffers buffers, Func<TBuffers, DeviceMemory> output, ElementType element, float result)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        IPlan<TExtent, TBuffers> plan = _backend.Plan<TSignature, TExtent, TBuffers>(signature);

        // As long as all that is asked for: the sizes of a call allocate nothing either.
        DeviceMemory workspace = _backend.Memory.Rent(plan.WorkspaceBytes(extent));
        plan.Execute(extent, buffers, workspace);
        long before = GC.GetAllocatedBytesForCurrentThread();
        long bytes = plan.WorkspaceBytes(extent);
        plan.Execute(extent, buffers, workspace);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(0, allocated);
        Assert.InRange(bytes, 1, workspace.ByteLength);

        // The mean of ones is 1, and the sum of their products the size: something was computed.
        Assert.Equal(result, PlanMemory.Read(output(buffers), element, 1)[0], 1e-3f);
        _backend.Memory.Return(workspace);
    }
}
