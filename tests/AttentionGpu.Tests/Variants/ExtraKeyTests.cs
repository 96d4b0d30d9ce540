using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>Extra keys, additive key padding and tensors without a batch, beside a few other choices; and what they are equal to.</summary>
public class ExtraKeyTests
{
    private const int Problems = 60;

    private const int DeviceProblems = 20;
    private const int MaxLength = 24;

    private static readonly string[] _factors =
    [
        "element type", "causal", "softcap", "sinks", "mask", "documents", "sequences", "layout", "grouped heads", "value head size",
        "normalisation", "scores", "log-sum-exp", "present", "few queries", "key padding", "extra keys", "axes",
    ];

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_backend_agrees_with_the_definition(string backend)
    {
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        AttentionEngine engine = Engines.Get(backend);
        int problems = engine.Device.Kind is DeviceKind.Simd or DeviceKind.Reference ? Problems : DeviceProblems;
        int problemsOfKind = Fuzz.ProblemsOfKind(backend);
        VariantKind kind = Draw(random);
        for (int i = 0; i < problems; i++)
        {
            if (i % problemsOfKind == 0)
                kind = Draw(random);
            var problem = VariantCase.Create(kind, random, MaxLength);
            NaiveAttention.Run(problem).AssertClose(
                VariantRun.Run(problem, engine), problem, $"seed {seed}, problem {i}: {kind}");
        }
    }

    [Theory]
    [EveryDevice]
    public void A_key_of_zeros_is_a_sink_of_zero(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var random = new Random();
        Tensor<float> query = Data.Random(random, 2, 3, 5, 8);
        Tensor<float> key = Data.Random(random, 2, 3, 7, 8);
        Tensor<float> mask = Data.Random(random, 5, 7);
        Tensor<float> sums = Data.Poisoned(2, 3, 5);
        Tensor<float> ofSinks = Data.Poisoned(2, 3, 5);
        Tensor<float> output = Data.Poisoned(2, 3, 5, 8);
        Tensor<float> expected = Data.Poisoned(2, 3, 5, 8);
        var inputs = new AttentionInputs<float> { Query = query, Key = key, Value = key, Mask = mask };
        engine.ScaledDotProductAttention(
            inputs, new AttentionOutputs<float> { Output = output, LogSumExp = sums }, new AttentionOptions { AddZeroAttention = true });
        engine.ScaledDotProductAttention(
            inputs with { Sinks = Tensor.CreateFromShape<float>([3]) },
            new AttentionOutputs<float> { Output = expected, LogSumExp = ofSinks });
        Close.Assert(expected, output, "output");
        Close.Assert(ofSinks, sums, "log-sum-exp");
    }

    [Theory]
    [EveryDevice]
    public void A_query_that_sees_no_other_key_has_the_extra_value(string backend)
    {
        Tensor<float> rows = Data.Random(new Random(1), 1, 2, 3, 4);
        Tensor<float> value = Data.Random(new Random(2), 2, 4);
        Tensor<float> output = Data.Poisoned(1, 2, 3, 4);
        Tensor<float> weights = Data.Poisoned(1, 2, 3, 5);
        Engines.Get(backend).ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = rows,
                Key = rows,
                Value = rows,
                KeyPaddingMask = Tensor.Create([true, true, true], [1, 3]),
                ExtraKey = Tensor.CreateFromShape<float>([2, 4]),
                ExtraValue = value,
            },
            new AttentionOutputs<float> { Output = output, Scores = weights },
            new AttentionOptions { AddZeroAttention = true });
        for (int head = 0; head < 2; head++)
        {
            for (int query = 0; query < 3; query++)
            {
                for (int i = 0; i < 4; i++)
                    Assert.Equal(0.5f * value[head, i], output[0, head, query, i], 1e-6f);
                Assert.Equal([0f, 0f, 0f, 0.5f, 0.5f], Enumerable.Range(0, 5).Select(key => weights[0, head, query, key]));
            }
        }
    }

    [Theory]
    [InlineData("reference")]
    [InlineData("simd")]
    public void The_product_with_an_extra_key_may_exceed_float32_before_it_is_scaled(string backend)
    {
        const int size = 9;
        (float query, float key, float scale) = (1e20f, 1e19f, 1e-40f);
        Tensor<float> zeros = Tensor.CreateFromShape<float>([1, 1, 1, size]);
        Tensor<float> output = Data.Poisoned(1, 1, 1, size);
        Engines.Get(backend).ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = Tensor.Create([.. Enumerable.Repeat(query, size)], [1, 1, 1, size]),
                Key = zeros,
                Value = zeros,
                ExtraKey = Tensor.Create([.. Enumerable.Repeat(key, size)], [1, size]),
                ExtraValue = Tensor.Create([.. Enumerable.Repeat(1f, size)], [1, size]),
            },
            new AttentionOutputs<float> { Output = output },
            new AttentionOptions { Scale = scale });
        double weight = 1.0 / (1.0 + Math.Exp(-size * (double)query * key * scale));
        Assert.All(Data.Flat(output), value => Assert.Equal(weight, value, 1e-6));
    }

    [Fact]
    public void A_call_without_keys_has_extra_keys_alone()
    {
        foreach (string backend in Engines.All)
        {
            Tensor<float> output = Data.Poisoned(1, 1, 2, 4);
            Tensor<float> weights = Data.Poisoned(1, 1, 2, 1);
            Tensor<float> none = Tensor.CreateFromShape<float>([1, 1, 0, 4]);
            Tensor<float> value = Data.Random(new Random(2), 1, 4);
            Engines.Get(backend).ScaledDotProductAttention(
                new AttentionInputs<float>
                {
                    Query = Data.Random(new Random(1), 1, 1, 2, 4),
                    Key = none,
                    Value = none,
                    ExtraKey = Data.Random(new Random(3), 1, 4),
                    ExtraValue = value,
                },
                new AttentionOutputs<float> { Output = output, Scores = weights });
            Assert.Equal([.. Data.Flat(value), .. Data.Flat(value)], Data.Flat(output));
            Assert.Equal([1f, 1f], Data.Flat(weights));
        }
    }

    private static VariantKind Draw(Random random)
    {
        VariantKind kind;
        do
            kind = VariantKind.Draw(random, _factors);
        while (!kind.IsValid || (kind.Padding == PaddingForm.None && kind.Extra == ExtraForm.None && kind.AxesLeftOut == 0));
        return kind;
    }
}
