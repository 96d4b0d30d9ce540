using System.Numerics.Tensors;
using AttentionGpu;
using AttentionGpu.SentenceEncoder;

// dotnet run --project src/AttentionGpu.SentenceEncoder -- FOLDER "sentence" "sentence" ...
if (args is not [string folder, _, ..])
{
    Console.Error.WriteLine("Give a folder with all-MiniLM-L6-v2 (config.json, vocab.txt, model.safetensors or model.onnx) and sentences.");
    return 2;
}

using var engine = new AttentionEngine();
using var encoder = new Encoder(engine, folder);
float[][] vectors = encoder.Encode(args[1..]);

// Vectors have length 1: their product is the cosine of the angle between them, 1 for the same meaning.
foreach ((float[] vector, string sentence) in vectors.Zip(args[1..]))
    Console.WriteLine($"{string.Concat(vectors.Select(other => $"{TensorPrimitives.Dot<float>(vector, other),7:F3}"))}  {sentence}");
return 0;
