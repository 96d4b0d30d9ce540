using System.Numerics.Tensors;
using AttentionGpu;

using var engine = new AttentionEngine(); // the first CUDA device, else an OpenCL GPU, else the CPU
var config = new MultiHeadAttentionConfig { EmbeddingSize = 64, Heads = 4 };
var weights = MultiHeadAttentionWeights.Random(config, seed: 1);
using var layer = new MultiHeadAttention<float>(engine, config, weights);
// One layer of a checkpoint instead, with the model's config.json in its folder:
// MultiHeadAttention.Load<float>(engine, "model.safetensors", prefix: "model.layers.0.self_attn")

float[] numbers = [.. Enumerable.Range(0, 2 * 10 * 64).Select(i => MathF.Sin(i))];
Tensor<float> input = Tensor.Create(numbers, [2, 10, 64]); // [batch, length, embedding]
Tensor<float> output = Tensor.CreateFromShape<float>([2, 10, 64]);
layer.Forward(input, output, Causal.TopLeft);
Console.WriteLine($"{engine.Device.Name}: the first output is {output[0, 0, 0]}");

// Decoding: two texts of 7 and 10 tokens, then one token more of each, step by step.
using KeyValueCache cache = engine.CreateCache(new KeyValueCacheOptions
{
    KeyValueHeads = 4,
    HeadSize = 16, // the layer's; AttentionModel.CacheOptions gives those of all layers of a model
    Kind = KeyValueCacheKind.Paged,
    Capacity = 4096,
    Sequences = 8,
});
using KeyValueSequence first = cache.Open(), second = cache.Open();
using (KeyValueBatch prompts = cache.Append([first, second], [7, 10]))
    layer.Forward(Tensor.Create(numbers[..(17 * 64)], [17, 64]), prompts); // [tokens, embedding], text after text
for (int step = 0; step < 3; step++)
{
    using KeyValueBatch batch = cache.Append([first, second], [1, 1]); // a model calls each layer with it: cacheLayer
    Tensor<float> next = layer.Forward(Tensor.Create(numbers[..(2 * 64)], [2, 64]), batch);
    Console.WriteLine($"{first.Length} and {second.Length} tokens: {next[0, 0]}, {next[1, 0]}");
}

// Decoding in a buffer: its first rows are the past, one more is the present.
nint[] lengths = [1, 4, 8, 16], row = [1, 4, 1, 16];
using DeviceTensor<float> keys = engine.CreateTensor<float>(lengths), values = engine.CreateTensor<float>(lengths);
for (int past = 0; past < 8; past++)
{
    using DeviceTensor<float> pastKey = keys.Slice(0, past, axis: 2), presentKey = keys.Slice(0, past + 1, axis: 2);
    using DeviceTensor<float> pastValue = values.Slice(0, past, axis: 2), presentValue = values.Slice(0, past + 1, axis: 2);
    Tensor<float> token = Tensor.Create(numbers[..64], row), attended = Tensor.CreateFromShape<float>(row);
    engine.ScaledDotProductAttention<float>(
        new() { Query = token, Key = token, Value = token, PastKey = pastKey, PastValue = pastValue },
        new() { Output = attended, PresentKey = presentKey, PresentValue = presentValue });
}
