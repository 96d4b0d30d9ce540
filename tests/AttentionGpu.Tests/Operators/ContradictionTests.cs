using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>
/// An option that says something about tensors that are not there, or that say it themselves, is refused before anything is written.
/// </summary>
public class ContradictionTests
{
    private delegate AttentionInputs<float> InputChange(AttentionInputs<float> inputs);

    private delegate AttentionOutputs<float> OutputChange(AttentionOutputs<float> outputs);

    [Fact]
    public void Numbers_of_heads_are_left_out_where_tensors_have_an_axis_of_heads()
    {
        foreach (AttentionLayout layout in new[] { AttentionLayout.BatchHeadsLength, AttentionLayout.BatchLengthHeads })
        {
            Refused("Heads", 2, "[2, 2, 2, 4]", new() { Layout = layout, Heads = 2 });
            Refused("KeyValueHeads", 2, "[2, 2, 2, 4]", new() { Layout = layout, KeyValueHeads = 2 });
        }

        Refused("Heads", 3, "[2, 2, 2, 4]", new() { Heads = 3 });
        Refused("Heads", 2, "[3, 2, 4]", new() { Heads = 2 }, MakeRagged, output: [3, 2, 4]);
        Refused("KeyValueHeads", 2, "[3, 2, 4]", new() { KeyValueHeads = 2 }, MakeRagged, output: [3, 2, 4]);
    }

    [Fact]
    public void An_order_of_axes_is_left_out_where_sequences_are_ragged() =>
        Refused("Layout", AttentionLayout.LengthBatchHeads, "ragged", new() { Layout = AttentionLayout.LengthBatchHeads }, MakeRagged, output: [3, 2, 4]);

    [Fact]
    public void An_epsilon_is_left_out_where_nothing_is_normalised()
    {
        Refused("NormEpsilon", 1e-5f, "normalised", new() { NormEpsilon = 1e-5f });
        Refused("NormEpsilon", 0f, "normalised", new() { NormEpsilon = 0f });
        Run(new() { NormEpsilon = 1e-5f }, inputs => inputs with { KeyNorm = Floats(4) });
        Run(new() { NormEpsilon = 1e-5f }, inputs => inputs with { QueryNorm = Floats(4) });
    }

    [Fact]
    public void Interleaving_is_left_out_where_nothing_is_rotated()
    {
        Refused("RotaryInterleaved", true, "rotary tables", new() { RotaryInterleaved = true });
        Run(new() { RotaryInterleaved = true }, inputs => inputs with { RotaryCosine = Floats(2, 2), RotarySine = Floats(2, 2) });
    }

    [Fact]
    public void A_stage_is_left_out_where_there_are_no_scores()
    {
        foreach (ScoreStage stage in Enum.GetValues<ScoreStage>().Where(stage => stage != ScoreStage.Weights))
        {
            ArgumentOutOfRangeException exception =
                Refused("ScoreStage", stage, "'scores'", null, outputs: made => made with { ScoreStage = stage });
            Assert.Equal("outputs", exception.ParamName);
        }

        Run(null, outputs: made => made with { ScoreStage = ScoreStage.Weights });
        Run(null, outputs: made => made with { ScoreStage = ScoreStage.Products, Scores = Floats(2, 2, 2, 2) });
    }

    [Fact]
    public void Scores_are_weights_where_no_stage_is_given()
    {
        Tensor<float> scores = Data.Poisoned(2, 2, 2, 2);
        Run(null, outputs: made => made with { Scores = scores });
        float[] values = Data.Flat(scores);
        for (int row = 0; row < 8; row++)
            Assert.Equal(1f, values[2 * row] + values[2 * row + 1], 1e-6f);
    }

    private static ArgumentOutOfRangeException Refused(
        string option, object value, string rule, AttentionOptions? options, InputChange? inputs = null, OutputChange? outputs = null,
        nint[]? output = null)
    {
        Tensor<float> written = Data.Poisoned(output ?? [2, 2, 2, 4]);
        ArgumentOutOfRangeException exception =
            Assert.Throws<ArgumentOutOfRangeException>(() => Attend(written, options, inputs, outputs));
        Assert.Equal(value, exception.ActualValue);
        Assert.Contains($"'{option}'", exception.Message, StringComparison.Ordinal);
        Assert.Contains(rule, exception.Message, StringComparison.Ordinal);
        Assert.All(Data.Flat(written), element => Assert.True(float.IsNaN(element)));
        return exception;
    }

    private static void Run(AttentionOptions? options, InputChange? inputs = null, OutputChange? outputs = null)
    {
        Tensor<float> written = Data.Poisoned(2, 2, 2, 4);
        Attend(written, options, inputs, outputs);
        Assert.All(Data.Flat(written), element => Assert.False(float.IsNaN(element)));
    }

    private static void Attend(Tensor<float> output, AttentionOptions? options, InputChange? inputs, OutputChange? outputs)
    {
        var read = new AttentionInputs<float> { Query = Floats(2, 2, 2, 4), Key = Floats(2, 2, 2, 4), Value = Floats(2, 2, 2, 4) };
        var written = new AttentionOutputs<float> { Output = output };
        Engines.Reference.ScaledDotProductAttention(
            inputs is null ? read : inputs(read), outputs is null ? written : outputs(written), options);
    }

    private static AttentionInputs<float> MakeRagged(AttentionInputs<float> inputs) => inputs with
    {
        Query = Floats(3, 2, 4),
        Key = Floats(3, 2, 4),
        Value = Floats(3, 2, 4),
        CumulativeQueryLengths = Starts(0, 1, 3),
    };

    private static int[] Starts(params int[] values) => values;

    private static Tensor<float> Floats(params ReadOnlySpan<nint> lengths) => Data.Random(new Random(1), lengths);
}
