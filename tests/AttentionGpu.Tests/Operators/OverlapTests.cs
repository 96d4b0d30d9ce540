using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>No output may share memory with an input or another output in host memory; memory that touches is fine.</summary>
public class OverlapTests
{
    public static TheoryData<string, string, string> Pairs
    {
        get
        {
            var pairs = new TheoryData<string, string, string>();
            foreach ((string name, FullCalls call) in FullCalls.All)
            {
                for (int i = 0; i < call.Outputs.Count; i++)
                {
                    foreach (TensorSlot other in call.Inputs.Concat(call.Outputs.Skip(i + 1)))
                        pairs.Add(name, call.Outputs[i].Name, other.Name);
                }
            }

            return pairs;
        }
    }

    /// <summary>Lengths and strides of tensors with gaps, with interleaved or repeated axes, and with gaps between elements.</summary>
    public static TheoryData<int[], int[]> Strided => new()
    {
        { [2, 2, 3, 4], [48, 24, 8, 1] },
        { [2, 2, 3, 4], [36, 4, 12, 1] },
        { [2, 2, 3, 4], [200, 12, 4, 1] },
        { [2, 2, 3, 4], [12, 0, 4, 1] },
        { [2, 2, 3, 4], [48, 24, 8, 2] },
        { [1, 2, 3, 4], [0, 24, 8, 1] },
    };

    [Theory]
    [MemberData(nameof(Pairs))]
    public void A_shared_element_is_refused_and_nothing_is_written(string call, string output, string other)
    {
        FullCalls full = FullCalls.All[call];
        foreach ((string first, string second) in new[] { (output, other), (other, output) })
        {
            full.Run(Engines.Reference, new TensorArena(full.Slots, first, second, overlap: false));
            var arena = new TensorArena(full.Slots, first, second, overlap: true);
            ArgumentException exception = Assert.Throws<ArgumentException>(() => full.Run(Engines.Reference, arena));
            Assert.Contains("must not overlap", exception.Message, StringComparison.Ordinal);
            Assert.Contains($"'{output}'", exception.Message, StringComparison.Ordinal);
            bool isMask = other == "bias" && call != "linear";
            Assert.Contains(isMask ? "'mask'" : $"'{other}'", exception.Message, StringComparison.Ordinal);
            Assert.True(arena.IsUnchanged, "A refused call has written.");
        }
    }

    [Theory]
    [MemberData(nameof(Strided))]
    public void A_strided_tensor_takes_all_memory_from_its_first_element_to_its_last(int[] lengths, int[] strides)
    {
        // The output is dense, and as long as the strided query is without its gaps.
        nint[] shape = [.. lengths.Select(length => (nint)length)];
        nint[] steps = [.. strides.Select(stride => (nint)stride)];
        int dense = lengths.Aggregate((product, length) => product * length);
        int spanned = 1 + lengths.Zip(strides, (length, stride) => (length - 1) * stride).Sum();
        Tensor<float> other = Data.Random(new Random(1), shape);
        foreach (bool stridedFirst in new[] { true, false })
        {
            int border = stridedFirst ? spanned : dense;
            Run(border, isOutput: false);
            AssertRefused(border - 1, isOutput: false);
            if (strides.Contains(0))
                continue;
            Run(border, isOutput: true);
            AssertRefused(border - 1, isOutput: true);

            // An output inside a gap of the strided tensor is refused too.
            if (stridedFirst && spanned > 2 * dense)
                AssertRefused(spanned - dense - 4, isOutput: true);

            void Run(int second, bool isOutput)
            {
                float[] memory = new float[spanned + dense];
                Span<float> strided = memory.AsSpan(stridedFirst ? 0 : second, spanned);
                var plain = new TensorSpan<float>(memory.AsSpan(stridedFirst ? second : 0, dense), shape);
                if (isOutput)
                    Engines.Reference.ScaledDotProductAttention<float>(plain, other, other, new TensorSpan<float>(strided, shape, steps));
                else
                    Engines.Reference.ScaledDotProductAttention<float>(new ReadOnlyTensorSpan<float>(strided, shape, steps), other, other, plain);
                if (isOutput)
                    Assert.NotEqual(0f, strided[0]);
            }

            void AssertRefused(int second, bool isOutput) => Assert.Contains(
                "'output' must not overlap 'query'",
                Assert.Throws<ArgumentException>(() => Run(second, isOutput)).Message,
                StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Tensors_without_elements_overlap_nothing()
    {
        float[] memory = new float[32];
        var empty = new TensorSpan<float>(memory.AsSpan(0, 0), [1, 1, 0, 8]);
        Tensor<float> keys = Data.Random(new Random(1), 1, 1, 4, 8);
        Engines.Reference.ScaledDotProductAttention<float>(empty, keys, keys, empty);

        // Without keys nothing is attended to, and the output starts where the keys would.
        memory.AsSpan().Fill(1f);
        Engines.Reference.ScaledDotProductAttention<float>(keys, empty, empty, new TensorSpan<float>(memory, [1, 1, 4, 8]));
        Assert.All(memory, value => Assert.Equal(0f, value));
    }
}
