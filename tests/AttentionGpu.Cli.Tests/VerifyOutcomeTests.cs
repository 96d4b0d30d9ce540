using AttentionGpu.Cli.Verify;

namespace AttentionGpu.Cli.Tests;

public class VerifyOutcomeTests
{
    [Theory]
    [InlineData(3f, 2f, 0.5, true)]
    [InlineData(1f, 2f, 0.5, true)]
    [InlineData(3.0000002f, 2f, 0.5, false)]
    [InlineData(0.99999994f, 2f, 0.5, false)]
    [InlineData(-3f, -2f, 0.5, true)]
    [InlineData(2f, -2f, 1.9, false)]
    [InlineData(2f, 2f, 0.0, true)]
    [InlineData(2.0000002f, 2f, 0.0, false)]
    public void An_error_passes_up_to_the_tolerance_and_no_further(float actual, float expected, double tolerance, bool passes)
    {
        VerifyOutcome outcome = VerifyOutcome.Compare("case", [actual], [expected], 7.0, tolerance);
        Assert.Equal(passes ? VerifyStatus.Passed : VerifyStatus.Failed, outcome.Status);
        Assert.Equal(Math.Abs((double)actual - expected) / Math.Abs(expected), outcome.Error);
        Assert.Equal(("case", 7.0, null), (outcome.Name, outcome.Milliseconds, outcome.Note));
    }

    [Fact]
    public void The_error_is_the_largest_difference_over_the_largest_expected_element()
    {
        Assert.Equal(0.25, Compare([1f, -8f, 4f], [2f, -8f, 2f]).Error);
        Assert.Equal(0.25, Compare([1f, -8f, 2f], [1f, -8f, 4f]).Error);
        Assert.Equal(0.0, Compare([], []).Error);
    }

    [Fact]
    public void The_tolerance_of_float32_is_the_default()
    {
        Assert.Equal(VerifyStatus.Passed, Compare([1f, 2.000019f], [1f, 2f]).Status);
        Assert.Equal(VerifyStatus.Failed, Compare([1f, 2.000021f], [1f, 2f]).Status);
        Assert.Equal((1e-5, 2e-3, 1e-2), (VerifyOutcome.Tolerance, VerifyOutcome.Float16Tolerance, VerifyOutcome.BFloat16Tolerance));
    }

    [Theory]
    [InlineData(float.NaN, 2f)]
    [InlineData(2f, float.NaN)]
    [InlineData(float.PositiveInfinity, 2f)]
    [InlineData(float.NegativeInfinity, 2f)]
    [InlineData(2f, float.PositiveInfinity)]
    [InlineData(2f, float.NegativeInfinity)]
    [InlineData(float.NegativeInfinity, float.PositiveInfinity)]
    [InlineData(float.PositiveInfinity, float.NegativeInfinity)]
    [InlineData(float.NaN, float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity, float.NaN)]
    [InlineData(1e-30f, 0f)]
    public void A_wrong_element_fails_wherever_it_stands(float actual, float expected)
    {
        Assert.Equal(VerifyStatus.Failed, Compare([actual], [expected]).Status);
        float other = expected == 0f ? 0f : 1f;
        Assert.Equal(VerifyStatus.Failed, Compare([actual, other, other], [expected, other, other]).Status);
        Assert.Equal(VerifyStatus.Failed, Compare([other, other, actual], [other, other, expected]).Status);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    [InlineData(0f)]
    public void An_element_that_is_the_expected_one_passes(float value)
    {
        Assert.Equal((VerifyStatus.Passed, 0.0), (Compare([value], [value]).Status, Compare([value], [value]).Error));
        Assert.Equal(VerifyStatus.Passed, Compare([value, 1f], [value, 1f]).Status);
        Assert.Equal(VerifyStatus.Failed, Compare([value, 1f], [value, 2f]).Status);
        Assert.Equal(VerifyStatus.Failed, Compare([1f, value], [2f, value]).Status);
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 1)]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    public void Another_number_of_elements_fails_and_says_so(int actual, int expected)
    {
        VerifyOutcome outcome = Compare(new float[actual], new float[expected]);
        Assert.Equal(VerifyStatus.Failed, outcome.Status);
        Assert.Null(outcome.Error);
        Assert.Equal($"{actual} elements, expected {expected}", outcome.Note);
    }

    private static VerifyOutcome Compare(float[] actual, float[] expected) => VerifyOutcome.Compare("case", actual, expected, 0.0);
}
