using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Engine;

public class DeviceTensorTests
{
    [Theory]
    [EveryDevice]
    public void Operators_chain_on_the_device(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var problem = VariantCase.Create(
            VariantKind.Of(Causal.TopLeft, VariantMask.Boolean), new Random(3), new VariantSizes(2, 2, 2, 8, 8, [17], [19]));
        Tensor<float> attended = VariantRun.Run(problem, engine).Output;
        Tensor<float> weight = Data.Random(new Random(4), 5, 8);
        Tensor<float> expected = Data.Poisoned(2, 4, 17, 5);
        engine.Linear<float>(attended.AsReadOnlyTensorSpan(), weight.AsReadOnlyTensorSpan(), expected.AsTensorSpan());

        using DeviceTensor<float> query = engine.CreateTensor(problem.Query.AsReadOnlyTensorSpan());
        using DeviceTensor<float> key = engine.CreateTensor(problem.Key.AsReadOnlyTensorSpan());
        using DeviceTensor<float> value = engine.CreateTensor(problem.Value.AsReadOnlyTensorSpan());
        using DeviceTensor<bool> mask = engine.CreateTensor(problem.Mask!.AsReadOnlyTensorSpan());
        using DeviceTensor<float> deviceWeight = engine.CreateTensor(weight.AsReadOnlyTensorSpan());
        using DeviceTensor<float> middle = engine.CreateTensor(Data.Poisoned(2, 4, 17, 8).AsReadOnlyTensorSpan());
        using DeviceTensor<float> output = engine.CreateTensor(Data.Poisoned(2, 4, 17, 5).AsReadOnlyTensorSpan());
        engine.ScaledDotProductAttention<float>(query, key, value, middle, problem.Options, mask);
        engine.Linear<float>(middle, deviceWeight, output);
        Tensor<float> actual = Data.Poisoned(2, 4, 17, 5);
        output.CopyTo(actual.AsTensorSpan());
        Close.Assert(expected, actual, backend);
    }

    [Theory]
    [EveryDevice]
    public void Copies_keep_every_bit(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        Tensor<float> source = Data.Random(new Random(5), 3, 5, 7);
        source[0, 0, 0] = float.NaN;
        source[0, 0, 1] = float.NegativeInfinity;
        source[0, 0, 2] = -0f;
        using DeviceTensor<float> tensor = engine.CreateTensor(source.AsReadOnlyTensorSpan());
        Tensor<float> target = Tensor.CreateFromShape<float>([3, 5, 7]);
        tensor.CopyTo(target.AsTensorSpan());
        Assert.Equal(Data.Flat(source).Select(BitConverter.SingleToInt32Bits), Data.Flat(target).Select(BitConverter.SingleToInt32Bits));
        Assert.Equal([3, 5, 7], tensor.Lengths.ToArray());
        Assert.Equal(105, tensor.FlattenedLength);
        Assert.Equal(typeof(float), tensor.ElementType);

        using DeviceTensor<float> empty = engine.CreateTensor<float>(0, 4);
        empty.CopyTo(Tensor.CreateFromShape<float>([0, 4]).AsTensorSpan());
    }

    [Theory]
    [EveryDevice]
    public void Large_tensors_are_copied_in_parts(string backend)
    {
        // Two parts and a bit.
        float[] source = new float[(2 << 24) + 5];
        for (int i = 0; i < source.Length; i += 4099)
            source[i] = i;
        source[^1] = -1f;
        using DeviceTensor<float> tensor = Engines.Get(backend).CreateTensor<float>(source);
        float[] target = new float[source.Length];
        tensor.CopyTo(target);
        Assert.True(source.AsSpan().SequenceEqual(target));
    }
}
