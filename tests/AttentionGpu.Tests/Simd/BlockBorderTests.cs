using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Backends.Simd.Attention;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Simd;

/// <summary>Lengths and sizes on and beside the borders of blocks of keys, vectors and register tiles.</summary>
public class BlockBorderTests
{
    private static readonly string[][] _kinds =
    [
        [], ["causal, bottom right"], ["window to both sides"], ["softcap"], ["ALiBi"], ["bias by distance"], ["boolean mask"],
        ["additive mask with -inf"], ["documents"], ["bfloat16", "weights"], ["float16", "additive mask"], ["products"],
        ["softcapped scores", "softcap"], ["masked scores", "causal, top left"], ["average weights"],
    ];

    /// <summary>The cache's size says how many keys a block has, so the border is asked for.</summary>
    [Theory]
    [InlineData(512, 33)]
    [InlineData(512, 70)]
    [InlineData(256, 10)]
    [InlineData(128, 9)]
    public void Lengths_around_a_block_of_keys_agree_with_the_reference(int width, int queries)
    {
        int block = BlockKeys(width);
        using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
        foreach (int keys in new[] { block - 1, block, block + 1, 2 * block - 1, 2 * block, 2 * block + 1, 2 * block + 3 })
        {
            // Averages are over the query heads, of which there are more than key/value heads.
            foreach (string[] kind in _kinds)
                AssertAgrees(engine, kind, new VariantSizes(1, 1, kind.Contains("average weights") ? 3 : 1, 3, 5, [queries], [keys]));
        }
    }

    /// <summary>The kernel of few queries takes 1,024 keys at a time.</summary>
    [Theory]
    [InlineData(16, 1023)]
    [InlineData(16, 1024)]
    [InlineData(16, 1025)]
    [InlineData(16, 2049)]
    [InlineData(1, 2047)]
    [InlineData(1, 2048)]
    [InlineData(1, 2049)]
    public void Lengths_around_a_block_of_keys_for_few_queries_agree_with_the_reference(int group, int keys)
    {
        using var runs = new SimdRuns(threads: 1);
        string[][] kinds = [[], ["causal, top left"], ["window to both sides"], ["additive mask with -inf"], ["float16"]];
        foreach (string[] kind in kinds)
        {
            var sizes = new VariantSizes(1, 1, group, 2, 3, [2], [keys]);
            var problem = VariantCase.Create(VariantKind.With([.. kind, "log-sum-exp"]), new Random(keys), sizes);

            // The borders of what the rows see lie in the last block.
            if (problem.Kind.Window != WindowForm.None)
            {
                problem = problem with
                {
                    Options = problem.Options with
                    {
                        Window = new AttentionWindow { Left = 600, Right = 0, Alignment = QueryAlignment.BottomRight },
                    },
                };
            }

            runs.AssertAgree(problem, $"{keys} keys");
        }
    }

    /// <summary>More keys than stay in the cache: several blocks of queries attend to one chunk of keys in turn.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Lengths_around_a_chunk_of_keys_agree_with_the_reference(int more)
    {
        const int size = 400;
        foreach ((int width, int queries) in new[] { (512, 66), (256, 18) })
        {
            using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
            int keys = ChunkKeys(width, size) + more;
            AssertAgrees(engine, ["causal, bottom right"], new VariantSizes(1, 1, 1, size, size, [queries], [keys]));
        }
    }

    [Theory]
    [InlineData(3, 19)]
    [InlineData(20, 35)]
    [InlineData(5, 16)]
    public void Head_sizes_around_vectors_and_tiles_agree_with_the_reference(int queries, int keys)
    {
        using var runs = new SimdRuns(threads: 1);
        int[] sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 95, 96, 97, 127, 128, 129, 191, 192, 193, 256, 257];
        for (int i = 0; i < sizes.Length; i++)
        {
            foreach (string element in new[] { "float32", "float16", "bfloat16" })
            {
                var kind = VariantKind.With(element, "log-sum-exp");
                var of = new VariantSizes(1, 1, 1, sizes[i], sizes[^(i + 1)], [queries], [keys]);
                runs.AssertAgree(VariantCase.Create(kind, new Random(i), of), $"sizes {of.HeadSize} and {of.ValueSize}, {queries} queries");
            }
        }
    }

    /// <summary>Norm and rotation: pairs on and beside the vectors' borders, for several batch entries and heads.</summary>
    [Theory]
    [InlineData("rotary embedding")]
    [InlineData("rotary embedding, interleaved, of a part")]
    [InlineData("rotary embedding at given positions")]
    [InlineData("RMS norm of queries and keys")]
    public void Rows_around_vectors_agree_with_the_reference(string choice)
    {
        using var runs = new SimdRuns(threads: 2);
        foreach (int size in new[] { 2, 4, 6, 8, 10, 14, 16, 18, 30, 32, 34, 62, 64, 66 })
        {
            foreach (string other in new[] { "float32", "bfloat16", "past", "ragged sequences" })
            {
                var kind = VariantKind.With(choice, other);
                var sizes = new VariantSizes(2, 3, 1, size, 4, [5, 2], [6, 1], 3);
                runs.AssertAgree(VariantCase.Create(kind, new Random(size), sizes), $"size {size}");
            }
        }
    }

    private static void AssertAgrees(AttentionEngine engine, string[] kind, VariantSizes sizes)
    {
        var problem = VariantCase.Create(VariantKind.With([.. kind, "log-sum-exp"]), new Random(sizes.KeyLengths[0]), sizes);
        VariantResult expected = VariantRun.OnReference(problem);
        expected.AssertClose(VariantRun.Run(problem, engine), problem, $"{sizes.KeyLengths[0]} keys, {problem.Kind}");
    }

    private static int BlockKeys(int width) => width switch
    {
        512 => QueryBlockKernel<Vector512<float>, Operations512>.BlockKeys,
        256 => QueryBlockKernel<Vector256<float>, Operations256>.BlockKeys,
        _ => QueryBlockKernel<Vector128<float>, Operations128>.BlockKeys,
    };

    private static int ChunkKeys(int width, int size) => width switch
    {
        512 => QueryBlockKernel<Vector512<float>, Operations512>.ChunkKeys(Signature(size)),
        _ => QueryBlockKernel<Vector256<float>, Operations256>.ChunkKeys(Signature(size)),
    };

    private static AttentionSignature Signature(int size) => ContiguousProblem.Attention(heads: 1, queries: 1, keys: 1, size).Signature;
}
