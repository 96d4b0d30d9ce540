using System.Numerics.Tensors;
using AttentionGpu.Serialization;

namespace AttentionGpu.Service;

/// <summary>Tensors in the body of a request or an answer: a safetensors file.</summary>
internal static class SafetensorsBody
{
    public const string ContentType = "application/vnd.safetensors";

    /// <summary>Reads the tensor "input": [tokens, embedding size].</summary>
    /// <exception cref="InvalidDataException">The body is malformed, or has no such tensor.</exception>
    public static async Task<Tensor<float>> ReadAsync(Stream body, CancellationToken cancellationToken)
    {
        string path = Path.GetTempFileName();
        try
        {
            await using (FileStream target = File.Create(path))
                await body.CopyToAsync(target, cancellationToken).ConfigureAwait(false);
            using SafetensorsFile file = SafetensorsFile.Open(path);
            return file.Entries.ContainsKey("input") ? file.Read("input") : throw new InvalidDataException("The body has no tensor 'input'.");
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Tensors as a file's bytes.</summary>
    public static byte[] Write(IReadOnlyDictionary<string, Tensor<float>> tensors)
    {
        string path = Path.GetTempFileName();
        try
        {
            SafetensorsFile.Write(path, tensors);
            return File.ReadAllBytes(path);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
