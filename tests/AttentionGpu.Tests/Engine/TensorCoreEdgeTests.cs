using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>What tensor cores' texts do at borders that random problems seldom meet.</summary>
public class TensorCoreEdgeTests
{
    private const int Length = 5;
    private const int Size = 8;

    [Fact]
    public void A_row_of_NaN_has_no_logarithm_of_sums_even_with_a_sink()
    {
        Assert.SkipUnless(Engines.All.Contains("ilgpu-cpu"), "The texts run on the emulator's memory.");
        Tensor<Half> rows = Tensor.Create([.. Enumerable.Repeat((Half)0.5f, Length * Size)], [1, 1, Length, Size]);
        Tensor<Half> query = Tensor.Create([.. Enumerable.Repeat((Half)0.5f, Length * Size)], [1, 1, Length, Size]);
        query[0, 0, 2, 3] = Half.NaN;
        foreach (string device in new[] { "reference", "ilgpu-cpu tensor cores" })
        {
            Tensor<Half> output = Tensor.CreateFromShape<Half>([1, 1, Length, Size]);
            Tensor<float> sums = Data.Poisoned(1, 1, Length);
            Engines.Get(device).ScaledDotProductAttention(
                new AttentionInputs<Half> { Query = query, Key = rows, Value = rows, Sinks = Tensor.Create([0.25f], [1]) },
                new AttentionOutputs<Half> { Output = output, LogSumExp = sums });
            for (int row = 0; row < Length; row++)
            {
                Assert.Equal(row == 2, float.IsNaN(sums[0, 0, row]));
                Assert.Equal(row == 2, Half.IsNaN(output[0, 0, row, 0]));
            }
        }
    }
}
