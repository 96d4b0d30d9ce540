using AttentionGpu.Kernels.Common.Softmax;

namespace AttentionGpu.Kernels.Tests;

public class OnlineSoftmaxTests
{
    private const int Trials = 200;

    [Fact]
    public void Any_order_and_any_split_give_the_same_softmax()
    {
        var random = new Random();
        for (int trial = 0; trial < Trials; trial++)
        {
            float[] scores = [.. Enumerable.Range(0, random.Next(1, 60)).Select(_ => (float)(random.NextDouble() * 60 - 30))];
            double maximum = scores.Max();
            double expected = scores.Sum(score => Math.Exp(score - maximum));
            OnlineSoftmax whole = Of(scores);
            int split = random.Next(scores.Length + 1);
            OnlineSoftmax merged = OnlineSoftmax.Merge(Of(scores[..split]), Of(scores[split..]));
            foreach (OnlineSoftmax state in new[] { whole, merged })
            {
                Assert.Equal(maximum, state.Maximum);
                Assert.Equal(expected, state.Sum, expected * 1e-5);
                Assert.Equal(1.0 / expected, state.Normalizer, 1e-5 / expected);
                Assert.Equal(Math.Exp(scores[0] - maximum), state.Weight(scores[0]), 1e-5);
            }
        }
    }

    [Fact]
    public void Nothing_visible_is_zero_and_never_NaN()
    {
        OnlineSoftmax hidden = Of(float.NegativeInfinity, float.NegativeInfinity);
        foreach (OnlineSoftmax state in new[] { OnlineSoftmax.Empty, hidden, OnlineSoftmax.Merge(OnlineSoftmax.Empty, hidden) })
        {
            Assert.Equal((float.NegativeInfinity, 0f, 0f), (state.Maximum, state.Sum, state.Normalizer));
            Assert.Equal(0f, state.Weight(float.NegativeInfinity));
        }
    }

    [Fact]
    public void Merging_with_nothing_changes_nothing()
    {
        OnlineSoftmax state = Of(1f, 2f, 3f);
        foreach (OnlineSoftmax merged in new[] { OnlineSoftmax.Merge(state, OnlineSoftmax.Empty), OnlineSoftmax.Merge(OnlineSoftmax.Empty, state) })
            Assert.Equal((state.Maximum, state.Sum), (merged.Maximum, merged.Sum));
    }

    [Fact]
    public void A_later_larger_score_rescales_by_the_returned_factor()
    {
        OnlineSoftmax state = Of(1f);
        Assert.Equal(Math.Exp(-2.0), state.Raise(3f), 1e-6);
        Assert.Equal(1f, state.Raise(2f));
        Assert.Equal(3f, state.Maximum);
    }

    [Fact]
    public void NaN_is_kept() => Assert.True(float.IsNaN(Of(1f, float.NaN, 2f).Sum));

    private static OnlineSoftmax Of(params float[] scores)
    {
        OnlineSoftmax state = OnlineSoftmax.Empty;
        foreach (float score in scores)
            state.Add(score);
        return state;
    }
}
