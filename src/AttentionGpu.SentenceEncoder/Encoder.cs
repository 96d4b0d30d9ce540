using System.Numerics.Tensors;
using System.Text.Json;
using Microsoft.ML.Tokenizers;

namespace AttentionGpu.SentenceEncoder;

/// <summary>A BERT that turns sentences into vectors: the mean of its last layer's rows, of length 1.</summary>
internal sealed class Encoder : IDisposable
{
    private readonly AttentionEngine _engine;
    private readonly BertTokenizer _tokenizer;
    private readonly Tensor<float> _words, _positions, _types;
    private readonly LayerNorm _norm;
    private readonly EncoderLayer[] _layers;

    /// <summary>Reads a folder with <c>config.json</c>, <c>vocab.txt</c>, and <c>model.safetensors</c> or <c>model.onnx</c>.</summary>
    public Encoder(AttentionEngine engine, string folder)
    {
        _engine = engine;
        _tokenizer = BertTokenizer.Create(Path.Combine(folder, "vocab.txt"));
        using var model = AttentionModel.Open(folder);
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        if (model.ModelType != "bert" || config.RootElement.GetProperty("hidden_act").GetString() != "gelu")
            throw new InvalidDataException($"'{folder}' must have a model of the type 'bert' with the activation 'gelu'.");
        float epsilon = config.RootElement.GetProperty("layer_norm_eps").GetSingle();
        // The names of a whole model start with 'bert.'.
        string root = model.Layers[0].Prefix[..^"encoder.layer.0.attention".Length] + "embeddings.";
        _words = model.ReadTensor(root + "word_embeddings.weight");
        _positions = model.ReadTensor(root + "position_embeddings.weight");
        _types = model.ReadTensor(root + "token_type_embeddings.weight");
        _norm = new LayerNorm(model, root + "LayerNorm", epsilon);
        _layers = [.. model.Layers.Select(layer => new EncoderLayer(engine, model, layer, layer.Prefix[..^".attention".Length], epsilon))];
    }

    /// <summary>The sentences' vectors. Tokens behind the model's last position are left out.</summary>
    public float[][] Encode(IReadOnlyList<string> sentences)
    {
        (int most, int width) = ((int)_positions.Lengths[0], (int)_words.Lengths[1]);
        int[][] tokens = [.. sentences.Select(sentence => _tokenizer.EncodeToIds(sentence, most, true, out _, out _).ToArray())];
        // The sentences lie one after another, without padding.
        int[] starts = [0, .. tokens.Select((_, i) => tokens.Take(i + 1).Sum(ids => ids.Length))];
        float[] rows = new float[starts[^1] * width];
        foreach ((int i, int position) in tokens.SelectMany((ids, i) => ids.Select((_, position) => (i, position))))
        {
            Span<float> row = rows.AsSpan((starts[i] + position) * width, width);
            TensorPrimitives.Add(_words.GetSpan([tokens[i][position], 0], width), _positions.GetSpan([position, 0], width), row);
            TensorPrimitives.Add(row, _types.GetSpan([0, 0], width), row);
        }

        _norm.Apply(rows);
        foreach (EncoderLayer layer in _layers)
            layer.Apply(_engine, rows, starts);
        return [.. tokens.Select((ids, i) => Mean(rows.AsSpan(starts[i] * width, ids.Length * width), width))];
    }

    public void Dispose() => Array.ForEach(_layers, layer => layer.Dispose());

    private static float[] Mean(ReadOnlySpan<float> rows, int width)
    {
        float[] mean = new float[width];
        for (int start = 0; start < rows.Length; start += width)
            TensorPrimitives.Add(mean, rows.Slice(start, width), mean);
        TensorPrimitives.Divide(mean, TensorPrimitives.Norm<float>(mean), mean);
        return mean;
    }
}
