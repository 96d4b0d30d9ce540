using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Simd;

/// <summary>
/// Keys that position hides, for lengths on and beside every border of the kernels: blocks of 64, 16 and 8 queries, their half, and the
/// step from the kernel of few queries to that of blocks (16, 4 and 2).
/// </summary>
public class PositionBorderTests
{
    private static readonly int[] _queries =
        [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 34, 35, 63, 64, 65, 96, 97, 98, 128, 129];

    private static readonly AttentionWindow[] _windows =
    [
        new() { Left = 0 }, new() { Left = 1 }, new() { Left = 30 }, new() { Left = 33 },
        new() { Right = 0 }, new() { Right = 1 }, new() { Right = 32 },
        new() { Left = 0, Right = 0 }, new() { Left = 2, Right = 3 }, new() { Left = 31, Right = 33 },
        new() { Left = 6, Right = 1, Alignment = QueryAlignment.BottomRight }, new() { Left = 40, Alignment = QueryAlignment.BottomRight },
        new() { Left = int.MaxValue, Right = 2 }, new() { Left = 2, Right = int.MaxValue }, new() { Right = int.MaxValue },
    ];

    [Theory]
    [InlineData("")]
    [InlineData("causal, top left")]
    [InlineData("causal, bottom right")]
    public void Windows_agree_with_the_reference(string causal)
    {
        using var runs = new SimdRuns(threads: 1);
        foreach (int queries in _queries)
        {
            // A third of the windows is enough beside the causal kinds.
            foreach (AttentionWindow window in _windows.Where((_, i) => causal.Length == 0 || i % 3 == 0))
            {
                VariantCase problem = Create(queries, queries + 3, causal, "window to both sides");
                runs.AssertAgree(problem with { Options = problem.Options with { Window = window } }, $"{queries} queries");
            }
        }
    }

    [Theory]
    [InlineData("causal, top left")]
    [InlineData("causal, bottom right")]
    public void Causal_kinds_agree_with_the_reference(string causal)
    {
        using var runs = new SimdRuns(threads: 1);
        foreach (int queries in _queries)
        {
            foreach (int keys in new[] { queries - 3, queries, queries + 2 })
            {
                if (keys <= 0)
                    continue;
                runs.AssertAgree(Create(queries, keys, causal), $"{queries} queries, {keys} keys");
                foreach (int prefix in new[] { queries / 2 + 1, keys - 1 })
                {
                    runs.AssertAgree(
                        Create(queries, keys, causal, "prefix") with { PrefixLengths = [prefix] },
                        $"{queries} queries, {keys} keys, prefix {prefix}");
                }
            }
        }
    }

    /// <summary>Keys that only the later half of a block sees, with each change of scores: it must be for the half's lanes.</summary>
    [Theory]
    [InlineData("ALiBi")]
    [InlineData("bias by distance")]
    [InlineData("softcap")]
    [InlineData("boolean mask")]
    [InlineData("additive mask with -inf")]
    [InlineData("documents")]
    [InlineData("sinks")]
    [InlineData("past")]
    [InlineData("ragged sequences")]
    [InlineData("float16")]
    [InlineData("masked scores")]
    [InlineData("weights")]
    public void Causal_blocks_of_all_kinds_agree_with_the_reference(string choice)
    {
        using var runs = new SimdRuns(threads: 1);
        foreach (int queries in _queries)
        {
            runs.AssertAgree(Create(queries, queries + 1, "causal, top left", choice), $"{queries} queries");
            runs.AssertAgree(
                Create(queries, queries + 5, choice, "window to both sides", "causal, bottom right"), $"{queries} queries, window");
        }
    }

    /// <summary>Rows of several query heads, with all of their queries, in one block of 32; and one more or less.</summary>
    [Fact]
    public void Rows_of_few_queries_that_share_keys_agree_with_the_reference()
    {
        using var runs = new SimdRuns(threads: 1);
        (int, int)[] rows =
            [(31, 1), (32, 1), (33, 1), (15, 2), (16, 2), (17, 2), (11, 3), (12, 3), (8, 4), (5, 12), (2, 16), (3, 16)];
        foreach ((int group, int queries) in rows)
        {
            foreach (string[] choices in new[] { ["causal, bottom right"], ["window to both sides"], new[] { "ALiBi" }, ["boolean mask"] })
            {
                var sizes = new VariantSizes(2, 2, group, 3, 5, [queries], [queries + 9]);
                var problem = VariantCase.Create(VariantKind.With([.. choices, "log-sum-exp"]), new Random(group), sizes);
                if (problem.Kind.Window != WindowForm.None)
                    problem = problem with { Options = problem.Options with { Window = new AttentionWindow { Left = 1, Right = 2 } } };
                runs.AssertAgree(problem, $"{group} heads of {queries} queries");
            }
        }
    }

    /// <summary>The engine and the reference share how a window is read: here it is the definition that says what is right.</summary>
    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_side_of_a_window_without_a_bound_hides_nothing(string backend)
    {
        // The emulator takes a thread switch for each barrier; on the host 20 queries are too many for the kernel of few.
        bool emulated = backend.StartsWith("ilgpu-cpu", StringComparison.Ordinal);
        foreach ((int queries, int keys) in emulated ? [(3, 12)] : new[] { (2, 25), (20, 45) })
        {
            foreach (AttentionWindow window in new AttentionWindow[]
            {
                new() { Left = 3 }, new() { Right = 3 }, new() { Left = 3, Right = int.MaxValue },
                new() { Left = int.MaxValue, Right = 3 }, new() { Left = int.MaxValue },
            })
            {
                VariantCase problem = Create(queries, keys, "window to both sides");
                problem = problem with { Options = problem.Options with { Window = window } };
                VariantResult actual = VariantRun.Run(problem, Engines.Get(backend));
                NaiveAttention.Run(problem).AssertClose(actual, problem, $"{queries} queries, {window}");
            }
        }
    }

    private static VariantCase Create(int queries, int keys, params string[] choices)
    {
        // With and without log-sum-exp, which takes another way to the normaliser.
        string[] logSumExp = queries % 2 == 0 ? ["log-sum-exp"] : [];
        var kind = VariantKind.With([.. choices.Where(choice => choice.Length > 0), .. logSumExp]);
        bool ragged = kind.Sequences == SequenceForm.Ragged;
        var sizes = new VariantSizes(1, 1, 1, 3, 5, ragged ? [3, queries] : [queries], ragged ? [2, keys] : [keys], 7);
        return VariantCase.Create(kind, new Random(queries), sizes);
    }
}
