using System.Globalization;
using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>Every option of a layer is computed or refused, by its name, and so is every argument that goes with it.</summary>
public class LayerOptionTests
{
    private static readonly MultiHeadAttentionConfig _plain = new() { EmbeddingSize = 12, Heads = 2 };
    private static readonly MultiHeadAttentionConfig _rotary = _plain with { Rotary = new RotaryEmbedding() };

    private delegate MultiHeadAttentionInputs<float> Change(MultiHeadAttentionInputs<float> inputs);

    /// <summary>What is wrong: the member that the error names, its value, and the layer.</summary>
    public static TheoryData<string, double, MultiHeadAttentionConfig> OutOfRange => new()
    {
        { "Scale", double.NaN, _plain with { Scale = float.NaN } },
        { "Scale", double.PositiveInfinity, _plain with { Scale = float.PositiveInfinity } },
        { "Softcap", 0.0, _plain with { Softcap = 0f } },
        { "Softcap", -1.0, _plain with { Softcap = -1f } },
        { "Softcap", double.NaN, _plain with { Softcap = float.NaN } },
        { "Softcap", double.PositiveInfinity, _plain with { Softcap = float.PositiveInfinity } },
        { "NormEpsilon", -1.0, _plain with { NormEpsilon = -1f } },
        { "NormEpsilon", double.NaN, _plain with { NormEpsilon = float.NaN } },
        { "NormEpsilon", double.PositiveInfinity, _plain with { NormEpsilon = float.PositiveInfinity } },
        { "Window.Left", -1.0, _plain with { Window = new() { Left = -1 } } },
        { "Window.Right", -2.0, _plain with { Window = new() { Right = -2 } } },
        { "Window.Alignment", 5.0, _plain with { Window = new() { Alignment = (QueryAlignment)5 } } },
        { "Rotary.Base", 0.0, With(new() { Base = 0.0 }) },
        { "Rotary.Base", -10.0, With(new() { Base = -10.0 }) },
        { "Rotary.Base", double.NaN, With(new() { Base = double.NaN }) },
        { "Rotary.Base", double.PositiveInfinity, With(new() { Base = double.PositiveInfinity }) },
        { "Rotary.Base", 1.0, With(new() { Base = 1.0, Scaling = RotaryScaling.Yarn(2.0, 64) }) },
        { "Rotary.Base", 0.5, With(new() { Base = 0.5, Scaling = RotaryScaling.Yarn(2.0, 64) }) },
        { "Rotary.Size", 0.0, With(new() { Size = 0 }) },
        { "Rotary.Size", 3.0, With(new() { Size = 3 }) },
        { "Rotary.Size", -2.0, With(new() { Size = -2 }) },
        { "Rotary.Size", 8.0, With(new() { Size = 8 }) },
        { "Rotary.Size", 5.0, _rotary with { HeadSize = 5 } },
        { "factor", 0.5, Scaled(RotaryScaling.Linear(0.5)) },
        { "factor", double.NaN, Scaled(RotaryScaling.Linear(double.NaN)) },
        { "factor", double.PositiveInfinity, Scaled(RotaryScaling.Linear(double.PositiveInfinity)) },
        { "factor", 0.9, Scaled(RotaryScaling.Llama3(0.9, 1.0, 4.0, 64)) },
        { "low frequency factor", 0.0, Scaled(RotaryScaling.Llama3(8.0, 0.0, 4.0, 64)) },
        { "low frequency factor", double.NaN, Scaled(RotaryScaling.Llama3(8.0, double.NaN, 4.0, 64)) },
        { "high frequency factor", 1.0, Scaled(RotaryScaling.Llama3(8.0, 1.0, 1.0, 64)) },
        { "high frequency factor", double.PositiveInfinity, Scaled(RotaryScaling.Llama3(8.0, 1.0, double.PositiveInfinity, 64)) },
        { "original context", 0.0, Scaled(RotaryScaling.Llama3(8.0, 1.0, 4.0, 0)) },
        { "factor", 0.5, Scaled(RotaryScaling.Yarn(0.5, 64)) },
        { "original context", -1.0, Scaled(RotaryScaling.Yarn(2.0, -1)) },
        { "slow beta", 0.0, Scaled(RotaryScaling.Yarn(2.0, 64, betaSlow: 0.0)) },
        { "fast beta", 1.0, Scaled(RotaryScaling.Yarn(2.0, 64, betaFast: 1.0)) },
        { "fast beta", double.NaN, Scaled(RotaryScaling.Yarn(2.0, 64, betaFast: double.NaN)) },
        { "magnitude", 0.0, Scaled(RotaryScaling.Yarn(2.0, 64, magnitude: 0.0)) },
        { "magnitude", double.NaN, Scaled(RotaryScaling.Yarn(2.0, 64, magnitude: double.NaN)) },
    };

    [Theory]
    [MemberData(nameof(OutOfRange), DisableDiscoveryEnumeration = true)]
    public void An_option_that_is_out_of_range_is_named_with_its_value(string member, double value, MultiHeadAttentionConfig config)
    {
        MultiHeadAttentionWeights weights = MultiHeadAttentionWeights.Random(_plain, 1);
        ArgumentOutOfRangeException exception = Assert.Throws<ArgumentOutOfRangeException>(
            () => new MultiHeadAttention<float>(Engines.Reference, config, weights).Dispose());
        Assert.Equal("config", exception.ParamName);
        Assert.Contains(member, exception.Message, StringComparison.Ordinal);
        Assert.Equal(value, Convert.ToDouble(exception.ActualValue, CultureInfo.InvariantCulture));
        Assert.Throws<ArgumentOutOfRangeException>(() => MultiHeadAttentionWeights.Random(config, 1));
    }

    [Fact]
    public void Options_at_the_ends_of_their_ranges_are_taken()
    {
        MultiHeadAttentionConfig[] good =
        [
            _plain with { Scale = 0f, Softcap = float.Epsilon },
            _plain with { Scale = -1f, Window = new() { Left = 0, Right = int.MaxValue } },
            With(new() { Base = double.Epsilon, Size = 2 }),
            With(new() { Base = 1.0, Size = 6, Scaling = RotaryScaling.Linear(1.0) }),
            Scaled(RotaryScaling.Llama3(1.0, double.Epsilon, 1.0, 1)),
            Scaled(RotaryScaling.Yarn(1.0, 1, betaFast: 1.5, betaSlow: 1.0, magnitude: double.Epsilon)),
        ];
        foreach (MultiHeadAttentionConfig config in good)
        {
            using MultiHeadAttention<float> layer = Create(config);
            Assert.All(layer.Forward(Floats(2, 3, 12)), value => Assert.True(float.IsFinite(value), config.ToString()));
        }
    }

    [Fact]
    public void An_epsilon_is_left_out_where_nothing_is_normalised()
    {
        MultiHeadAttentionConfig config = _plain with { NormEpsilon = 0f };
        ArgumentOutOfRangeException exception = Assert.Throws<ArgumentOutOfRangeException>(() => Create(config).Dispose());
        Assert.Equal("config", exception.ParamName);
        Assert.Equal(0f, exception.ActualValue);
        Assert.Contains("NormEpsilon must be left out", exception.Message, StringComparison.Ordinal);
        Make(config, "QueryNorm", 6).Dispose();
        Make(config, "KeyNorm", 6).Dispose();
    }

    [Fact]
    public void Vectors_of_a_layer_have_their_shapes()
    {
        MultiHeadAttentionConfig config = _plain with { HeadSize = 5 };
        foreach ((string name, int length) in new[] { ("QueryNorm", 5), ("KeyNorm", 5), ("Sinks", 2), ("AlibiSlopes", 2) })
        {
            Make(config, name, length).Dispose();
            foreach (nint[] wrong in new nint[][] { [length + 1], [length - 1], [1, length] })
                Assert.Equal(name, Assert.Throws<ArgumentException>(() => Make(config, name, wrong).Dispose()).ParamName);
        }
    }

    [Fact]
    public void Positions_must_be_in_range()
    {
        using MultiHeadAttention<float> layer = Create(_rotary);
        foreach (int bad in new[] { -1, int.MinValue, RotaryEmbedding.MaxPositions, int.MaxValue })
        {
            AssertOutOfRange("queryPositions", bad, inputs => inputs with { QueryPositions = Numbers([0, 1, 2, bad, 4, 5], 2, 3) });
            AssertOutOfRange("keyPositions", bad, inputs => inputs with { KeyPositions = Numbers([bad, 1, 2, 3, 4, 5], 2, 3) });
        }

        void AssertOutOfRange(string name, int value, Change change)
        {
            ArgumentOutOfRangeException exception = Assert.Throws<ArgumentOutOfRangeException>(() => Run(layer, change));
            Assert.Equal((name, (object?)value), (exception.ParamName, exception.ActualValue));
            Assert.Contains($"0 to {RotaryEmbedding.MaxPositions - 1}", exception.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Positions_must_have_the_shape_of_their_rows()
    {
        using MultiHeadAttention<float> layer = Create(_rotary);
        Run(layer, inputs => inputs with { QueryPositions = Numbers(new int[6], 2, 3), KeyPositions = Numbers(new int[6], 2, 3) });
        Refused("queryPositions", inputs => inputs with { QueryPositions = Numbers(new int[6], 3, 2) });
        Refused("queryPositions", inputs => inputs with { QueryPositions = Numbers(new int[6], 6) });
        Refused("keyPositions", inputs => inputs with { KeyPositions = Numbers(new int[4], 2, 2) });

        // Those of queries serve as those of keys where both have one length.
        AssertRefused<ArgumentException>(layer, "keyPositions", "[2, 5]", inputs => inputs with
        {
            Key = Floats(2, 5, 12),
            QueryPositions = Numbers(new int[6], 2, 3),
        });

        void Refused(string name, Change change) => AssertRefused<ArgumentException>(layer, name, "[2, 3]", change);
    }

    [Fact]
    public void Arguments_that_contradict_each_other_or_the_layer_are_refused()
    {
        using MultiHeadAttention<float> plain = Create(_plain);
        AssertRefused<ArgumentException>(
            plain, "queryPositions", "rotary", inputs => inputs with { QueryPositions = Numbers(new int[6], 2, 3) });
        AssertRefused<ArgumentException>(
            plain, "keyPositions", "rotary", inputs => inputs with { KeyPositions = Numbers(new int[6], 2, 3) });
        AssertRefused<ArgumentException>(plain, "value", "'key'", inputs => inputs with { Value = Floats(2, 3, 12) });
        AssertRefused<ArgumentException>(
            plain, "cumulativeKeyLengths", "'cumulativeLengths'", inputs => inputs with { CumulativeKeyLengths = Starts(0, 3) });
        AssertRefused<ArgumentException>(plain, "keyLengths", "2 batch entries", inputs => inputs with { KeyLengths = Starts(3) });
        AssertRefused<ArgumentOutOfRangeException>(plain, "keyLengths", "0 to 3", inputs => inputs with { KeyLengths = Starts(3, 4) });
        AssertRefused<ArgumentOutOfRangeException>(plain, "keyLengths", "0 to 3", inputs => inputs with { KeyLengths = Starts(-1, 3) });
        AssertRefused<ArgumentOutOfRangeException>(plain, "causal", "named", inputs => inputs with { Causal = (Causal)3 });
        AssertRefused<ArgumentOutOfRangeException>(plain, "causal", "named", inputs => inputs with { Causal = (Causal)(-1) });
    }

    [Fact]
    public void Ragged_sequences_have_no_masks_paddings_or_weights()
    {
        using MultiHeadAttention<float> layer = Create(_rotary);
        Change ragged = inputs => inputs with { Query = Floats(6, 12), CumulativeLengths = Starts(0, 2, 6) };
        Run(layer, ragged, [6, 12]);
        Refused("mask", inputs => inputs with { Mask = Floats(6, 6) });
        Refused("keyPaddingMask", inputs => inputs with { KeyPaddingMask = Tensor.CreateFromShape<bool>([1, 6]) });
        Refused("keyLengths", inputs => inputs with { KeyLengths = Starts(2) });
        Refused("cumulativeLengths", inputs => inputs with { CumulativeLengths = Starts(0, 2, 7) });
        Refused("cumulativeLengths", inputs => inputs with { CumulativeLengths = Starts(0, 4, 2, 6) });
        Refused("cumulativeLengths", inputs => inputs with { CumulativeLengths = Starts(1, 6) });
        Refused("cumulativeKeyLengths", inputs => inputs with { CumulativeKeyLengths = Starts(0, 6) });
        Refused("cumulativeKeyLengths", inputs => inputs with { CumulativeKeyLengths = Starts(0, 6, 7) });
        Refused("queryPositions", inputs => inputs with { QueryPositions = Numbers(new int[6], 6, 1) });
        Assert.Equal("weights", Assert.Throws<ArgumentException>(() => layer.Forward(
            ragged(new MultiHeadAttentionInputs<float> { Query = default }),
            new MultiHeadAttentionOutputs<float> { Output = Floats(6, 12), Weights = Floats(1, 2, 6, 6) })).ParamName);

        void Refused(string name, Change change) =>
            AssertRefused<ArgumentException>(layer, name, "", inputs => change(ragged(inputs)), [6, 12]);
    }

    [Fact]
    public void Outputs_have_their_shapes_and_an_average_needs_weights()
    {
        using MultiHeadAttention<float> layer = Create(_plain);
        Assert.Equal("logSumExp", Refused(made => made with { LogSumExp = Floats(2, 3, 2) }).ParamName);
        Assert.Equal("logSumExp", Refused(made => made with { LogSumExp = Floats(2, 2, 3, 1) }).ParamName);
        Assert.Equal("weights", Refused(made => made with { Weights = Floats(2, 2, 3, 4) }).ParamName);
        Assert.Equal("weights", Refused(made => made with { Weights = Floats(2, 2, 3, 3), AverageWeights = true }).ParamName);
        Assert.Contains("AverageWeights", Refused(made => made with { AverageWeights = true }).Message, StringComparison.Ordinal);

        ArgumentException Refused(Func<MultiHeadAttentionOutputs<float>, MultiHeadAttentionOutputs<float>> change)
        {
            Tensor<float> output = Data.Poisoned(2, 3, 12);
            ArgumentException exception = Assert.ThrowsAny<ArgumentException>(() => layer.Forward(
                new MultiHeadAttentionInputs<float> { Query = Floats(2, 3, 12) },
                change(new MultiHeadAttentionOutputs<float> { Output = output })));
            Assert.All(Data.Flat(output), value => Assert.True(float.IsNaN(value)));
            return exception;
        }
    }

    private static void AssertRefused<TException>(
        MultiHeadAttention<float> layer, string name, string rule, Change change, nint[]? outputLengths = null)
        where TException : ArgumentException
    {
        ArgumentException exception = Assert.Throws<TException>(() => Run(layer, change, outputLengths));
        Assert.True(exception.ParamName == name, $"{name}: {exception.Message}");
        Assert.Contains(rule, exception.Message, StringComparison.Ordinal);
    }

    // Runs a good call with a change, and requires that the output is written in full or not at all.
    private static void Run(MultiHeadAttention<float> layer, Change change, nint[]? outputLengths = null)
    {
        Tensor<float> output = Data.Poisoned(outputLengths ?? [2, 3, 12]);
        try
        {
            layer.Forward(
                change(new MultiHeadAttentionInputs<float> { Query = Floats(2, 3, 12) }),
                new MultiHeadAttentionOutputs<float> { Output = output });
            Assert.All(Data.Flat(output), value => Assert.False(float.IsNaN(value)));
        }
        catch (ArgumentException)
        {
            Assert.All(Data.Flat(output), value => Assert.True(float.IsNaN(value)));
            throw;
        }
    }

    private static MultiHeadAttentionConfig With(RotaryEmbedding rotary) => _plain with { Rotary = rotary };

    private static MultiHeadAttentionConfig Scaled(RotaryScaling scaling) => With(new RotaryEmbedding { Scaling = scaling });

    [Fact]
    public void A_table_of_distances_has_a_row_for_each_head_and_an_odd_number_of_columns()
    {
        foreach (nint columns in new nint[] { 1, 3, 255 })
            Make(_plain, "DistanceBias", _plain.Heads, columns).Dispose();
        foreach (nint[] wrong in new nint[][]
        {
            [_plain.Heads, 2], [_plain.Heads, 0], [_plain.Heads + 1, 3], [_plain.Heads], [1, _plain.Heads, 3],
        })
            Assert.Equal("DistanceBias", Assert.Throws<ArgumentException>(() => Make(_plain, "DistanceBias", wrong).Dispose()).ParamName);
    }

    private static MultiHeadAttention<float> Create(MultiHeadAttentionConfig config) =>
        new(Engines.Reference, config, MultiHeadAttentionWeights.Random(config, 1));

    private static MultiHeadAttention<float> Make(MultiHeadAttentionConfig config, string name, params nint[] lengths)
    {
        MultiHeadAttentionWeights good = MultiHeadAttentionWeights.Random(config, 1);
        Tensor<float>? Of(string member) => member == name ? Floats(lengths) : null;
        return new MultiHeadAttention<float>(Engines.Reference, config, new MultiHeadAttentionWeights
        {
            Query = good.Query,
            Key = good.Key,
            Value = good.Value,
            Output = good.Output,
            QueryNorm = Of("QueryNorm"),
            KeyNorm = Of("KeyNorm"),
            Sinks = Of("Sinks"),
            AlibiSlopes = Of("AlibiSlopes"),
            DistanceBias = Of("DistanceBias"),
        });
    }

    private static Tensor<float> Floats(params ReadOnlySpan<nint> lengths) => Data.Random(new Random(1), lengths);

    private static ReadOnlyTensorSpan<int> Numbers(int[] values, params ReadOnlySpan<nint> lengths) => new(values, lengths);

    private static int[] Starts(params int[] values) => values;
}
