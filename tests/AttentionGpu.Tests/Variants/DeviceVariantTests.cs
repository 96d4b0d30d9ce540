using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>Tensors on the device and in host memory, together in one call.</summary>
public class DeviceVariantTests
{
    [Theory]
    [EveryDevice]
    public void A_cache_stays_on_the_device_from_step_to_step(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var random = new Random();
        const int steps = 4;
        Tensor<float> query = Data.Random(random, 2, 4, steps, 8);
        Tensor<float> key = Data.Random(random, 2, 2, steps, 8);
        Tensor<float> value = Data.Random(random, 2, 2, steps, 6);
        Tensor<float> expected = Data.Poisoned(2, 4, steps, 6);
        engine.ScaledDotProductAttention<float>(query, key, value, expected, new AttentionOptions { Causal = Causal.TopLeft });

        DeviceTensor<Half>? pastKey = null;
        DeviceTensor<Half>? pastValue = null;
        for (int step = 0; step < steps; step++)
        {
            DeviceTensor<Half> presentKey = engine.CreateTensor<Half>(2, 2, step + 1, 8);
            DeviceTensor<Half> presentValue = engine.CreateTensor<Half>(2, 2, step + 1, 6);
            Tensor<Half> output = Tensor.CreateFromShape<Half>([2, 4, 1, 6]);
            engine.ScaledDotProductAttention(
                new AttentionInputs<Half>
                {
                    Query = Step(query, step),
                    Key = Step(key, step),
                    Value = Step(value, step),
                    PastKey = pastKey,
                    PastValue = pastValue,
                },
                new AttentionOutputs<Half> { Output = output, PresentKey = presentKey, PresentValue = presentValue },
                new AttentionOptions { Causal = Causal.TopLeft });
            pastKey?.Dispose();
            pastValue?.Dispose();
            (pastKey, pastValue) = (presentKey, presentValue);
            for (int batch = 0; batch < 2; batch++)
            {
                for (int head = 0; head < 4; head++)
                    Assert.Equal(expected[batch, head, step, 3], (float)output[batch, head, 0, 3], 5e-3);
            }
        }

        pastKey!.Dispose();
        pastValue!.Dispose();
    }

    [Fact]
    public void A_bfloat16_has_the_upper_bits_of_a_single()
    {
        Assert.Equal(0x3F80, ((BFloat16)1f).Bits);
        Assert.Equal(-2.5f, (float)BFloat16.FromBits(0xC020));
        Assert.Equal("0.5", ((BFloat16)0.5f).ToString());
        Assert.Equal((BFloat16)3f, BFloat16.FromBits(0x4040));
    }

    private static Tensor<Half> Step(Tensor<float> tensor, int step)
    {
        Tensor<float> part = tensor[.., .., step..(step + 1), ..].ToDenseTensor();
        return Tensor.Create(Array.ConvertAll(Data.Flat(part), value => (Half)value), part.Lengths);
    }
}
