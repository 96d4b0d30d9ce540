using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>
/// What the names of a checkpoint do not tell: layers with <c>q_proj.weight</c> have rotary embedding or not, and norms have an epsilon.
/// </summary>
public sealed class CheckpointPositionsTests : IDisposable
{
    private const string Prefix = "layers.3";

    private static readonly RotaryEmbedding _rotary =
        new() { Base = 500.0, Size = 4, Interleaved = true, Scaling = RotaryScaling.Linear(2.0) };

    private readonly CheckpointFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("o_proj")]
    [InlineData("out_proj")]
    public void Separate_layers_are_refused_where_nobody_states_the_positions(string output)
    {
        _folder.Write(Prefix, CheckpointFolder.Weights(), output);
        foreach (MultiHeadAttentionLoadOptions? options in new MultiHeadAttentionLoadOptions?[] { null, new(), new() { Softcap = 50f } })
        {
            AssertRefused(options, $"'{Prefix}.q_proj.weight', a name of layers with rotary embedding and without");
            AssertRefused(options, "there is no config.json beside it");
            AssertRefused(options, "by the option 'Rotary' or by the option 'Positions'");
        }
    }

    [Theory]
    [EveryDevice]
    public void What_the_caller_states_is_computed(string device)
    {
        MultiHeadAttentionWeights weights = CheckpointFolder.Weights();
        var window = new AttentionWindow { Left = 2 };
        _folder.Write(Prefix, weights);
        AssertComputes(device, new() { Positions = LayerPositions.None }, CheckpointFolder.Sizes, weights);
        AssertComputes(device, new() { Rotary = _rotary }, CheckpointFolder.Sizes with { Rotary = _rotary }, weights);
        AssertComputes(
            device, new() { Rotary = _rotary, Window = window, Softcap = 2f, Scale = 0.7f },
            CheckpointFolder.Sizes with { Rotary = _rotary, Window = window, Softcap = 2f, Scale = 0.7f }, weights);
    }

    [Theory]
    [EveryDevice]
    public void Norms_and_sinks_are_computed(string device)
    {
        MultiHeadAttentionWeights weights = CheckpointFolder.Weights(norms: true, sinks: true);
        _folder.Write(Prefix, weights);
        AssertComputes(
            device, new() { Rotary = _rotary, NormEpsilon = 0.5f },
            CheckpointFolder.Sizes with { Rotary = _rotary, NormEpsilon = 0.5f }, weights);
    }

    [Fact]
    public void Joined_names_need_no_word_of_positions_and_take_one()
    {
        MultiHeadAttentionWeights weights = CheckpointFolder.Weights(norms: false, sinks: true);
        float[] rows = [.. Data.Flat(weights.Query), .. Data.Flat(weights.Key), .. Data.Flat(weights.Value)];
        SafetensorsFile.Write(_folder.File, new Dictionary<string, Tensor<float>>
        {
            [$"{Prefix}.in_proj_weight"] = Tensor.Create(rows, [rows.Length / 10, 10]),
            [$"{Prefix}.out_proj.weight"] = weights.Output,
            [$"{Prefix}.sinks"] = weights.Sinks!,
        });
        AssertComputes("reference", null, CheckpointFolder.Sizes, weights);
        AssertComputes("reference", new() { Rotary = _rotary }, CheckpointFolder.Sizes with { Rotary = _rotary }, weights);
    }

    [Fact]
    public void Norms_need_an_epsilon_and_an_epsilon_needs_norms()
    {
        _folder.Write(Prefix, CheckpointFolder.Weights(norms: true));
        AssertRefused(new() { Positions = LayerPositions.None }, $"has '{Prefix}.q_norm.weight': the option 'NormEpsilon' must be given");
        _folder.Write(Prefix, CheckpointFolder.Weights());
        AssertRefused(
            new() { Positions = LayerPositions.None, NormEpsilon = 1e-5f },
            $"The option 'NormEpsilon' is 1E-05, but '{_folder.File}' has neither '{Prefix}.q_norm.weight' nor '{Prefix}.k_norm.weight'.");
    }

    [Fact]
    public void Norms_and_sinks_of_another_shape_are_refused()
    {
        foreach (string name in new[] { "q_norm.weight", "k_norm.weight", "sinks" })
        {
            foreach (nint[] shape in new nint[][] { [24], [4, 6], [1] })
            {
                _folder.Write(Prefix, CheckpointFolder.Weights(), extra: (name, Data.Random(new Random(1), shape)));
                float? epsilon = name == "sinks" ? null : 1e-6f;
                var options = new MultiHeadAttentionLoadOptions { Positions = LayerPositions.None, NormEpsilon = epsilon };
                Assert.Throws<InvalidDataException>(() => Load("reference", options));
            }
        }
    }

    [Fact]
    public void Options_that_contradict_each_other_or_are_out_of_range_are_refused()
    {
        _folder.Write(Prefix, CheckpointFolder.Weights());
        AssertRefused(
            new() { Positions = LayerPositions.None, Rotary = _rotary }, "'Rotary' must be left out where the option 'Positions' is None");
        AssertRefused(new() { Positions = (LayerPositions)2 }, "'Positions'");
        AssertRefused(new() { Positions = LayerPositions.None, Softcap = 0f }, "'Softcap' must be finite and more than 0");
        AssertRefused(new() { Positions = LayerPositions.None, Scale = float.NaN }, "'Scale' must be finite");
        AssertRefused(new() { Positions = LayerPositions.None, NormEpsilon = -1f }, "'NormEpsilon' must be finite and at least 0");
        AssertRefused(
            new() { Positions = LayerPositions.None, Window = new AttentionWindow { Left = -1 } }, "'Window.Left' must be at least 0");
        foreach (RotaryEmbedding wrong in new[] { _rotary with { Base = 0.0 }, _rotary with { Size = 8 }, _rotary with { Size = 3 } })
            Assert.ThrowsAny<ArgumentException>(() => Load("reference", new() { Rotary = wrong }));
    }

    private void AssertRefused(MultiHeadAttentionLoadOptions? options, string message)
    {
        ArgumentException exception = Assert.ThrowsAny<ArgumentException>(() => Load("reference", options));
        Assert.Equal("options", exception.ParamName);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    private void AssertComputes(
        string device, MultiHeadAttentionLoadOptions? options, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
    {
        using MultiHeadAttention<float> layer = Load(device, options);
        Assert.Equal(config, layer.Config);
        using var expected = new MultiHeadAttention<float>(Engines.Reference, config, weights);
        Tensor<float> input = Data.Random(new Random(8), 2, 7, 10);
        Tensor<float> output = Data.Poisoned(input.Lengths);
        layer.Forward(input, output, Causal.TopLeft);
        Close.Assert(expected.Forward(input, Causal.TopLeft), output, device);
    }

    private MultiHeadAttention<float> Load(string device, MultiHeadAttentionLoadOptions? options) => MultiHeadAttention.Load<float>(
        Engines.Get(device), _folder.File, CheckpointFolder.Heads, CheckpointFolder.KeyValueHeads, Prefix, options: options);
}
