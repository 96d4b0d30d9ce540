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
