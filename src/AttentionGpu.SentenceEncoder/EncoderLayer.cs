using System.Numerics.Tensors;

namespace AttentionGpu.SentenceEncoder;

/// <summary>Attention, then two linear layers with GELU between; the sum of either with its input is normalised.</summary>
internal sealed class EncoderLayer(AttentionEngine engine, AttentionModel model, AttentionModelLayer layer, string prefix, float epsilon)
    : IDisposable
{
    private readonly MultiHeadAttention<float> _attention = model.LoadLayer<float>(engine, layer);
    private readonly LayerNorm _attentionNorm = new(model, $"{layer.Prefix}.output.LayerNorm", epsilon);
    private readonly LayerNorm _norm = new(model, $"{prefix}.output.LayerNorm", epsilon);
    private readonly Tensor<float> _inner = model.ReadTensor($"{prefix}.intermediate.dense.weight");
    private readonly Tensor<float> _innerBias = model.ReadTensor($"{prefix}.intermediate.dense.bias");
    private readonly Tensor<float> _outer = model.ReadTensor($"{prefix}.output.dense.weight");
    private readonly Tensor<float> _outerBias = model.ReadTensor($"{prefix}.output.dense.bias");

    /// <summary>Computes the rows of all sentences in their place.</summary>
    public void Apply(AttentionEngine engine, float[] rows, int[] starts)
    {
        float[] sums = new float[rows.Length];
        float[] wide = new float[starts[^1] * _inner.Lengths[0]];
        var input = Tensor.Create(rows, [starts[^1], _inner.Lengths[1]]);
        var output = Tensor.Create(sums, input.Lengths);
        var between = Tensor.Create(wide, [starts[^1], _inner.Lengths[0]]);

        _attention.ForwardRagged(input, starts, output);
        TensorPrimitives.Add(rows, sums, rows);
        _attentionNorm.Apply(rows);
        engine.Linear<float>((TensorInput<float>)input, _inner, between, _innerBias);
        for (int i = 0; i < wide.Length; i++)
            wide[i] = Gelu(wide[i]);
        engine.Linear<float>((TensorInput<float>)between, _outer, output, _outerBias);
        TensorPrimitives.Add(rows, sums, rows);
        _norm.Apply(rows);
    }

    public void Dispose() => _attention.Dispose();

    // x times the normal distribution's integral up to x, by the error function of Abramowitz and Stegun, 7.1.26 (to 1.5e-7).
    private static float Gelu(float x)
    {
        float t = 1f / (1f + 0.3275911f * MathF.Abs(x) / MathF.Sqrt(2f));
        float series = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
        float upper = 0.5f * series * MathF.Exp(-0.5f * x * x);
        return x * (x < 0f ? upper : 1f - upper);
    }
}

/// <summary>Rows less their mean, divided by their deviation, times a weight, plus a bias.</summary>
internal sealed class LayerNorm(AttentionModel model, string name, float epsilon)
{
    private readonly float[] _weight = [.. model.ReadTensor($"{name}.weight")];
    private readonly float[] _bias = [.. model.ReadTensor($"{name}.bias")];

    public void Apply(Span<float> rows)
    {
        for (int start = 0; start < rows.Length; start += _weight.Length)
        {
            Span<float> row = rows.Slice(start, _weight.Length);
            TensorPrimitives.Subtract(row, TensorPrimitives.Sum<float>(row) / row.Length, row);
            TensorPrimitives.Multiply(row, 1f / MathF.Sqrt(TensorPrimitives.SumOfSquares<float>(row) / row.Length + epsilon), row);
            TensorPrimitives.MultiplyAdd(row, _weight, _bias, row);
        }
    }
}
