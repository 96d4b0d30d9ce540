using System.Numerics.Tensors;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Backends.Simd.Attention;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Engine;

/// <summary>The host backend at every width and several thread counts; the other tests run it at the machine's width.</summary>
public unsafe class SimdTests
{
    [Theory]
    [InlineData(512, 1)]
    [InlineData(256, 1)]
    [InlineData(128, 1)]
    [InlineData(512, 3)]
    [InlineData(256, 2)]
    [InlineData(128, 5)]
    public void Several_blocks_agree_with_the_reference_at_every_width(int width, int threads)
    {
        using var engine = new AttentionEngine(new SimdBackend(width, threads));
        // Long enough for several blocks of keys and of queries, and for more threads than one.
        foreach (Causal causal in Enum.GetValues<Causal>())
        {
            AssertAgree(engine, VariantKind.Of(causal, VariantMask.Infinite), 4, new VariantSizes(1, 1, 2, 24, 20, [203], [311]));
        }

        LayerCase layer = LayerCase.Create(new LayerSizes(2, 2, 2, 16, 97, 131, true, true, true, true, 5));
        Close.Assert(layer.Run(Engines.Reference), layer.Run(engine), "layer");
        LayerCase thin = LayerCase.Create(new LayerSizes(1, 2, 2, 16, 3, 131, true, true, true, true, 6));
        Close.Assert(thin.Run(Engines.Reference), thin.Run(engine), "thin layer");
    }

    /// <summary>Few queries, by dot products: sizes on and off the vectors' borders, with and without keys split among threads.</summary>
    [Theory]
    [InlineData(512, 1)]
    [InlineData(512, 7)]
    [InlineData(256, 7)]
    [InlineData(128, 7)]
    public void Few_queries_against_many_keys_agree_with_the_reference(int width, int threads)
    {
        using var engine = new AttentionEngine(new SimdBackend(width, threads));
        foreach ((int group, int queries, int keys, int size, int valueSize) in new[]
        {
            (1, 1, 700, 64, 64), (4, 1, 700, 128, 128), (3, 1, 700, 80, 72), (1, 3, 700, 33, 17), (12, 3, 700, 40, 130), (2, 1, 700, 1, 1),

            // More elements than a pass over whole rows takes at once.
            (4, 1, 700, 40, 170), (3, 1, 700, 40, 290), (1, 1, 700, 40, 290),

            // Several blocks of keys.
            (1, 2, 9001, 20, 8),
        })
        {
            foreach (VariantMask mask in Enum.GetValues<VariantMask>())
            {
                foreach (Causal causal in Enum.GetValues<Causal>())
                {
                    AssertAgree(
                        engine, VariantKind.Of(causal, mask), group + queries, new VariantSizes(2, 2, group, size, valueSize, [queries], [keys]));
                }
            }
        }
    }

    /// <summary>One head with more threads than blocks of queries: the keys are split, and some parts lie beyond the diagonal.</summary>
    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void Keys_split_among_threads_agree_with_the_reference(int width)
    {
        using var engine = new AttentionEngine(new SimdBackend(width, threads: 8));
        foreach (Causal causal in Enum.GetValues<Causal>())
        {
            foreach (VariantMask mask in Enum.GetValues<VariantMask>())
            {
                AssertAgree(engine, VariantKind.Of(causal, mask), 9, new VariantSizes(1, 1, 1, 20, 24, [150], [1100]));
            }
        }
    }

    /// <summary>More keys than L2 holds: several blocks of queries attend to one chunk of keys in turn.</summary>
    [Theory]
    [InlineData(Causal.None)]
    [InlineData(Causal.TopLeft)]
    public void Chunks_of_keys_agree_with_the_reference(Causal causal)
    {
        using var engine = new AttentionEngine(new SimdBackend(null, threads: 1));
        int length = Caches.Level2 / 2 / (2 * 64 * sizeof(float)) + 301;
        var problem = VariantCase.Create(VariantKind.Of(causal), new Random(3), new VariantSizes(1, 1, 1, 64, 64, [length], [length]));
        Tensor<float> actual = VariantRun.Run(problem, engine).Output;

        // The reference takes long for all rows: a few, spread over the blocks and at both ends.
        foreach (int row in new[] { 0, 1, 63, 64, 200, length / 2, length - 2, length - 1 })
        {
            int keys = causal == Causal.None ? length : row + 1;
            VariantCase one = problem with
            {
                Kind = VariantKind.With(),
                QueryLength = 1,
                KeyLength = keys,
                Query = Tensor.Create(Data.Flat(problem.Query).AsSpan(row * 64, 64).ToArray(), [1, 1, 1, 64]),
                Key = Rows(problem.Key, keys),
                Value = Rows(problem.Value, keys),
                Options = problem.Options with { Causal = Causal.None },
            };
            Tensor<float> ofRow = Tensor.Create(Data.Flat(actual).AsSpan(row * 64, 64).ToArray(), [1, 1, 1, 64]);
            Close.Assert(VariantRun.OnReference(one).Output, ofRow, $"row {row}");
        }
    }

    /// <summary>Weights of several blocks of queries and of keys, of each head and averaged.</summary>
    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void Weights_agree_with_the_reference(int width)
    {
        using var engine = new AttentionEngine(new SimdBackend(width, threads: 2));
        foreach (Causal causal in Enum.GetValues<Causal>())
        {
            foreach (VariantMask mask in Enum.GetValues<VariantMask>())
            {
                foreach (ScoreStage stage in new[] { ScoreStage.Weights, ScoreStage.AverageWeights })
                    AssertAgree(engine, VariantKind.Of(causal, mask, stage), 8, new VariantSizes(2, 1, 2, 12, 9, [101], [230]));
            }
        }
    }

    /// <summary>Weights of a layer panelled when it is made, and products whose weight is panelled in the call or on the way.</summary>
    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void Linear_layers_agree_with_the_reference(int width)
    {
        using var engine = new AttentionEngine(new SimdBackend(width, threads: 3));
        foreach ((int heads, int size, int length) in new[] { (2, 64, 70), (2, 64, 1), (1, 128, 300), (3, 20, 70) })
        {
            LayerCase layer = LayerCase.Create(new LayerSizes(2, heads, 1, size, length, length, false, false, true, true, 5));
            Close.Assert(layer.Run(Engines.Reference), layer.Run(engine), $"{heads} heads of {size}, length {length}");
        }

        foreach ((int rows, int columns, int depth) in new[] { (1, 1, 1), (1, 130, 300), (7, 64, 129), (61, 65, 128), (700, 67, 257), (13, 140, 9000) })
        {
            var random = new Random(rows);
            Tensor<float> input = Data.Random(random, rows, depth);
            Tensor<float> weight = Data.Random(random, columns, depth);
            Tensor<float> bias = Data.Random(random, columns);
            Tensor<float> expected = Data.Poisoned([rows, columns]);
            Tensor<float> actual = Data.Poisoned([rows, columns]);
            Engines.Reference.Linear<float>(
                input.AsReadOnlyTensorSpan(), weight.AsReadOnlyTensorSpan(), expected.AsTensorSpan(), bias.AsReadOnlyTensorSpan());
            engine.Linear<float>(input.AsReadOnlyTensorSpan(), weight.AsReadOnlyTensorSpan(), actual.AsTensorSpan(), bias.AsReadOnlyTensorSpan());
            Close.Assert(expected, actual, $"{rows} x {columns} x {depth}");
        }
    }

    [Fact]
    public void Thread_counts_are_checked_and_give_the_same_result()
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => new AttentionEngine("simd", new AttentionEngineOptions { Threads = 0 }));
        Assert.Contains("Threads", error.Message, StringComparison.Ordinal);
        var problem = VariantCase.Create(VariantKind.With(), new Random(1), new VariantSizes(2, 2, 2, 16, 16, [130], [90]));
        using var one = new AttentionEngine("simd", new AttentionEngineOptions { Threads = 1 });
        using var two = new AttentionEngine("simd", new AttentionEngineOptions { Threads = 2 });
        Assert.Equal(Data.Flat(VariantRun.Run(problem, one).Output), Data.Flat(VariantRun.Run(problem, two).Output));
    }

    [Fact]
    public void Workspace_does_not_grow_with_length()
    {
        const int length = 131_072;
        ContiguousProblem problem = ContiguousProblem.Attention(heads: 1, length, length, size: 64);
        AttentionSignature signature = problem.Signature with { Causal = CausalKind.Causal };
        foreach (int threads in new[] { 1, 2, 16, 128 })
        {
            var plan = new SimdAttentionPlan<Vector512<float>, Operations512>(signature, threads);
            Assert.InRange(plan.WorkspaceBytes(problem.Extent), 1, 64L << 20);
        }
    }

    private static void AssertAgree(AttentionEngine engine, VariantKind kind, int seed, VariantSizes sizes)
    {
        var problem = VariantCase.Create(kind, new Random(seed), sizes);
        VariantRun.OnReference(problem).AssertClose(VariantRun.Run(problem, engine), problem, $"{kind}, {sizes}, {problem.Options}");
    }

    private static Tensor<float> Rows(Tensor<float> tensor, int count) =>
        Tensor.Create(Data.Flat(tensor).AsSpan(0, count * 64).ToArray(), [1, 1, count, 64]);
}
