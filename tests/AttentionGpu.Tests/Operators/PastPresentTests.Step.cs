using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Operators;

/// <content>A step, in all the ways that tests make it.</content>
public partial class PastPresentTests
{
    /// <summary>A step behind a past, and what it gives.</summary>
    private sealed class Step
    {
        private readonly Tensor<float> _query;
        private readonly Tensor<float> _key;
        private readonly Tensor<float> _value;

        public Step(Random random, int past, int length)
        {
            Tensor<float> allKeys = Data.Random(random, Batch, KeyHeads, past + length, Size);
            Tensor<float> allValues = Data.Random(random, Batch, KeyHeads, past + length, ValueSize);
            _query = Data.Random(random, Batch, Heads, length, Size);
            (PastKey, PastValue) = (allKeys[.., .., ..past, ..].ToDenseTensor(), allValues[.., .., ..past, ..].ToDenseTensor());
            (_key, _value) = (allKeys[.., .., past.., ..].ToDenseTensor(), allValues[.., .., past.., ..].ToDenseTensor());
            (AllKeys, AllValues) = (Data.Flat(allKeys), Data.Flat(allValues));
            Expected = Engines.Reference.ScaledDotProductAttention(_query, allKeys, allValues, _causal);
        }

        public Tensor<float> PastKey { get; }

        public Tensor<float> PastValue { get; }

        public float[] AllKeys { get; }

        public float[] AllValues { get; }

        public Tensor<float> Expected { get; }

        public PresentBuffer<float> Keys(AttentionEngine? engine) => Buffer(PastKey, engine);

        public PresentBuffer<float> Values(AttentionEngine? engine) => Buffer(PastValue, engine);

        public Tensor<float> Run(
            AttentionEngine engine, TensorInput<float> pastKey, TensorInput<float> pastValue, TensorOutput<float> presentKey,
            TensorOutput<float> presentValue)
        {
            Tensor<float> output = Data.Poisoned(Expected.Lengths);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float> { Query = _query, Key = _key, Value = _value, PastKey = pastKey, PastValue = pastValue },
                new AttentionOutputs<float> { Output = output, PresentKey = presentKey, PresentValue = presentValue }, _causal);
            return output;
        }

        private PresentBuffer<float> Buffer(Tensor<float> past, AttentionEngine? engine) => new(
            past, [Batch, KeyHeads, past.Lengths[2] + _key.Lengths[2], past.Lengths[3]], 2, 0, float.NaN, engine);
    }
}
