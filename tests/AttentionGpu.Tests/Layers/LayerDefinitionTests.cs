using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;
using CsCheck;

namespace AttentionGpu.Tests.Layers;

/// <summary>Layers with all that they can have, against <see cref="LayerDefinition"/>, in every element type and on every backend.</summary>
public class LayerDefinitionTests
{
    private const int Layers = 120;

    // The emulator takes a thread switch for each barrier.
    private const int EmulatedLayers = 30;

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Random_layers_agree_with_the_definition(string backend) => Gen.Int.Sample(
        seed =>
        {
            foreach (ElementForm element in Enum.GetValues<ElementForm>())
                LayerRun.AssertAgrees(RandomLayers.Create(seed, element), Engines.Get(backend));
        },
        iter: IsEmulator(backend) ? EmulatedLayers : Layers,
        threads: 1);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Layers_of_published_models_agree_with_the_definition(string backend) => Gen.Int.Sample(
        seed =>
        {
            foreach (string model in ModelLayers.Names)
            {
                foreach (ElementForm element in Enum.GetValues<ElementForm>())
                    LayerRun.AssertAgrees(ModelLayers.Create(model, seed, element, Length(seed, backend)), Engines.Get(backend));
            }
        },
        iter: 1,
        threads: 1);

    private static int Length(int seed, string backend) => new Random(seed).Next(17, IsEmulator(backend) ? 24 : 80);

    private static bool IsEmulator(string backend) => backend.StartsWith("ilgpu-cpu", StringComparison.Ordinal);
}
