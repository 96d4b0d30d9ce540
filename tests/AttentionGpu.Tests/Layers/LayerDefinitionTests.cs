using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;
using CsCheck;

namespace AttentionGpu.Tests.Layers;

/// <summary>Layers with all they can have, in every element type and on every backend, against <see cref="LayerDefinition"/>.</summary>
public class LayerDefinitionTests
{
    private const int Layers = 120;

    // The emulator takes a thread switch for each barrier.
    private const int EmulatedLayers = 15;

    // A driver compiles new kernels for nearly each layer.
    private const int DriverLayers = 3;
    private const int DriverModels = 6;

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Random_layers_agree_with_the_definition(string backend) => Gen.Int.Sample(
        seed =>
        {
            foreach (ElementForm element in Engines.Elements(backend, seed))
                LayerRun.AssertAgrees(RandomLayers.Create(seed, element), Engines.Get(backend), Engines.RoundsWeights(backend));
        },
        iter: IsEmulator(backend) ? EmulatedLayers : Engines.IsSlowDriver(backend) ? 1 : Engines.IsDriver(backend) ? DriverLayers : Layers,
        threads: 1);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Layers_of_published_models_agree_with_the_definition(string backend) => Gen.Int.Sample(
        seed =>
        {
            string[] models = [.. ModelLayers.Names];
            if (Engines.IsDriver(backend))
                models = new Random(seed).GetItems(models, Engines.IsSlowDriver(backend) ? 1 : DriverModels);
            foreach (string model in models)
            {
                foreach (ElementForm element in Engines.Elements(backend, seed + model.Length))
                    LayerRun.AssertAgrees(
                        ModelLayers.Create(model, seed, element, Length(seed, backend)), Engines.Get(backend), Engines.RoundsWeights(backend));
            }
        },
        iter: 1,
        threads: 1);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_layer_without_keys_gives_its_output_bias(string backend)
    {
        var random = new Random(5);
        LayerCall llama = ModelLayers.Create("Llama 2", 5, ElementForm.F32, 3);
        LayerCall call = llama with
        {
            Name = "no keys",
            Key = Data.Random(random, 2, 0, 48),
            Causal = Causal.BottomRight,
            HasLogSumExp = true,
        };
        LayerCall[] calls =
        [
            call,
            call with { HasWeights = true, OnDevice = true },
            call with { HasWeights = true, AveragesWeights = true, Element = ElementForm.F16 },
            call with { Mask = Data.RandomBoolean(random, 0.5, 3, 0), Bias = Data.Random(random, 6, 1, 0), OnDevice = true },
            call with { Padding = Data.RandomBoolean(random, 0.5, 2, 0), KeyLengths = [0, 0], Element = ElementForm.BF16 },
            llama with { Query = Data.Random(random, 5, 48), Key = Data.Random(random, 0, 48), Starts = [0, 2, 5], KeyStarts = [0, 0, 0] },
            ModelLayers.Create("gpt-oss", 5, ElementForm.F32, 3) with { Key = Data.Random(random, 2, 0, 45), HasLogSumExp = true },
        ];
        Assert.All(calls, one => LayerRun.AssertAgrees(one, Engines.Get(backend)));
    }

    private static int Length(int seed, string backend) => new Random(seed).Next(17, IsEmulator(backend) ? 24 : 80);

    private static bool IsEmulator(string backend) => backend.StartsWith("ilgpu-cpu", StringComparison.Ordinal);
}
