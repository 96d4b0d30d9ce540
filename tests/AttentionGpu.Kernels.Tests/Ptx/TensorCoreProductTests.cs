using System.Text.RegularExpressions;
using AttentionGpu.Kernels.TensorCore.Products;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>The texts of the matrix product for tensor cores, run on <see cref="PtxMachine"/>, against sums in float64.</summary>
public class TensorCoreProductTests
{
    private const int FewProblems = 3;
    private const int FaultProblems = 25;

    public static TheoryData<int, bool, bool, bool, bool> Texts
    {
        get
        {
            var texts = new TheoryData<int, bool, bool, bool, bool>();
            for (int i = 0; i < ProductTile.All.Count << 4; i++)
                texts.Add(i >> 4, (i & 8) != 0, (i & 4) != 0, (i & 2) != 0, (i & 1) != 0);
            return texts;
        }
    }

    [Theory]
    [MemberData(nameof(Texts))]
    public void Agrees_with_the_definition(int tile, bool half, bool isSplit, bool isInputAligned, bool isOutputAligned)
    {
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        for (int i = 0; i < Fuzz.Problems(FewProblems); i++)
        {
            ProductTile shape = ProductTile.All[tile];
            var problem = TensorProductProblem.Random(random, shape, half, isSplit, isInputAligned, isOutputAligned);
            problem.AssertAgrees(ProductText.Write(problem.Form(shape)), shape, $"seed {seed}, problem {i}");
        }
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(3, 33, 17)]
    [InlineData(130, 136, 32)]
    [InlineData(64, 128, 200)]
    [InlineData(17, 257, 331)]
    public void Sizes_that_tiles_cut_in_several_ways_agree_in_all_of_them(int rows, int columns, int depth)
    {
        int seed = Fuzz.Seed();
        var problem = TensorProductProblem.Plain(new Random(seed), rows, columns, depth, half: seed % 2 == 0);
        Assert.All(ProductTile.All, tile => problem.AssertAgrees(ProductText.Write(problem.Form(tile)), tile, $"seed {seed}"));
    }

    [Fact]
    public void A_row_has_the_same_bits_in_all_tiles()
    {
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        for (int i = 0; i < Fuzz.Problems(4); i++)
        {
            // Of steps of 16 the large tile has room for no more, and the others for two of zeros, which would make +0 of -0.
            var problem = TensorProductProblem.Plain(
                random, random.Next(1, 40), random.Next(1, 80), 16 * (4 * random.Next(3) + 2), half: i % 2 == 0);
            if (i >= 2)
                problem.WithNegativeZeros();
            ushort[][] results = [.. ProductTile.All.Select(tile => problem.Run(ProductText.Write(problem.Form(tile)), tile))];
            Assert.All(results, result => Assert.Equal(results[0], result));
        }
    }

    // Texts have barriers in two loops, behind them and before the result is read; a wait in each loop; two guards of copies, and one each of
    // zeros, of the bias and of the result.
    [Theory]
    [InlineData("bar.sync 0;", 0, "", "a race")]
    [InlineData("bar.sync 0;", 1, "", "a race")]
    [InlineData("bar.sync 0;", 2, "", "a race")]
    [InlineData("bar.sync 0;", 3, "", "a race")]
    [InlineData(@"cp\.async\.wait_group \d;", 0, "", "a race")]
    [InlineData(@"cp\.async\.wait_group \d;", 1, "", "expected")]
    [InlineData(@"(mma[^{]+\{[^}]+\}, \{[^}]+\}, )\{(\S+), (\S+)\}", 0, "$1{$3, $2}", "expected")]
    [InlineData(@"(mma[^{]+\{[^}]+\}, )\{(\S+), (\S+), (\S+), (\S+)\}", 1, "$1{$2, $4, $3, $5}", "expected")]
    [InlineData(@"@%p\d+ (cp\.async\.cg)", 0, "$1", "outside every buffer")]
    [InlineData(@"@%p\d+ (cp\.async\.cg)", -1, "$1", "outside every buffer")]
    [InlineData(@"@!%p\d+ st\.shared[^;]+;", 0, "", "expected")]
    [InlineData(@"@%p\d+ (ld\.global\.u16)", -1, "$1", "outside every buffer")]
    [InlineData(@"@%p\d+ (st\.global)", -1, "$1", "")]
    public void A_fault_is_found(string instruction, int number, string replacement, string message)
    {
        Assert.All(ProductTile.All, tile =>
        {
            var random = new Random(1);
            Exception? exception = null;
            for (int i = 0; i < FaultProblems && exception is null; i++)
            {
                var problem = TensorProductProblem.Random(random, tile, half: true, isSplit: false, isInputAligned: true, isOutputAligned: true);
                if (!problem.Form(tile).HasBias)
                    continue;
                PtxKernel kernel = ProductText.Write(problem.Form(tile));
                MatchCollection matches = Regex.Matches(kernel.Text, instruction);
                Match match = matches[number < 0 ? matches.Count - 1 : number];
                string text = kernel.Text[..match.Index] + match.Result(replacement) + kernel.Text[(match.Index + match.Length)..];
                exception = Record.Exception(() => problem.AssertAgrees(kernel with { Text = text }, tile, "with a fault"));
            }

            Assert.NotNull(exception);
            Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        });
    }
}
