using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;
using TorchSharp;

namespace AttentionGpu.Tests.Torch;

/// <summary>The reference against PyTorch's own operators, in float64.</summary>
public class TorchTests
{
    private const int Problems = 150;
    private const int MaxLength = 40;
    private const string Missing = "libtorch does not load on this system; tests/opencl-root has one where it does.";

    [Fact]
    [Trait("library", "libtorch")]
    public void Reference_agrees_with_scaled_dot_product_attention()
    {
        Assert.SkipUnless(TorchLibrary.IsAvailable, Missing);
        var random = new Random();
        for (int i = 0; i < Problems; i++)
        {
            VariantKind kind = ShortCall.DrawKind(random);
            var problem = VariantCase.Create(kind, random, MaxLength);
            VariantResult expected = new(Attention(problem), null, null, null, null);
            expected.AssertClose(ShortCall.Run(problem, Engines.Reference), problem, $"problem {i}: {kind}, {problem.Options}");
        }
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(7, 64, 129)]
    [InlineData(61, 65, 33)]
    [Trait("library", "libtorch")]
    public void Reference_agrees_with_linear(int rows, int columns, int depth)
    {
        Assert.SkipUnless(TorchLibrary.IsAvailable, Missing);
        var random = new Random();
        Tensor<float> input = Data.Random(random, rows, depth);
        Tensor<float> weight = Data.Random(random, columns, depth);
        Tensor<float> bias = Data.Random(random, columns);
        Tensor<float> actual = Data.Poisoned(rows, columns);
        Engines.Reference.Linear<float>(input, weight, actual, bias);
        using DisposeScope scope = torch.NewDisposeScope();
        Close.Assert(Result(torch.nn.functional.linear(Double(input), Double(weight), Double(bias)), rows, columns), actual, $"{rows} x {columns} x {depth}");
    }

    // TorchSharp's operator has no scale and shares no heads: the queries are scaled, and keys and values repeated.
    private static Tensor<float> Attention(VariantCase problem)
    {
        using DisposeScope scope = torch.NewDisposeScope();
        int group = problem.Heads / problem.KeyValueHeads;
        double scale = problem.Options.Scale is float given ? given * Math.Sqrt(problem.HeadSize) : 1.0;
        torch.Tensor output = torch.nn.functional.scaled_dot_product_attention(
            Double(problem.Query) * scale, Double(problem.Key).repeat_interleave(group, 1), Double(problem.Value).repeat_interleave(group, 1),
            Mask(problem));

        // A row that sees no key is NaN in PyTorch, zeros here.
        return Result(output.nan_to_num(0.0), problem.Batch, problem.Heads, problem.QueryLength, problem.ValueSize);
    }

    private static torch.Tensor Mask(VariantCase problem)
    {
        (long queries, long keys) = (problem.QueryLength, problem.KeyLength);
        torch.Tensor visible = torch.ones(queries, keys, dtype: torch.@bool);
        if (problem.Options.Causal != Causal.None)
            visible = visible.tril(problem.Options.Causal == Causal.TopLeft ? 0 : keys - queries);
        if (problem.Mask is not null)
            visible = visible.logical_and(Padded(torch.tensor(Data.Flat(problem.Mask), Lengths(problem.Mask.Lengths)), keys, 0.0));
        torch.Tensor hidden = torch.zeros(visible.shape, dtype: torch.float64).masked_fill(visible.logical_not(), double.NegativeInfinity);
        return problem.Bias is null ? hidden : hidden + Padded(Double(problem.Bias), keys, double.NegativeInfinity);
    }

    // PyTorch's masks have all keys.
    private static torch.Tensor Padded(torch.Tensor mask, long keys, double hidden) =>
        mask.shape[^1] == 1 ? mask : torch.nn.functional.pad(mask, [0, keys - mask.shape[^1]], value: hidden);

    private static torch.Tensor Double(Tensor<float> tensor) =>
        torch.tensor(Data.Flat(tensor), Lengths(tensor.Lengths)).to(torch.float64);

    private static Tensor<float> Result(torch.Tensor tensor, params nint[] lengths) =>
        Tensor.Create(tensor.to(torch.float32).contiguous().data<float>().ToArray(), lengths);

    private static long[] Lengths(ReadOnlySpan<nint> lengths) => Array.ConvertAll(lengths.ToArray(), length => (long)length);
}
