using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using Microsoft.IO;

namespace AttentionGpu.Service;

/// <summary>
/// Tensors in the body of a request and of its answer: safetensors files. Their memory comes from pools, so that none of it is left to be
/// collected.
/// </summary>
internal static class SafetensorsBody
{
    public const string ContentType = "application/vnd.safetensors";
    public const string Input = "input";
    public const string Output = "output";

    // What is free beyond this is left to the collector.
    private const long FreeBytes = 64 << 20;

    private static readonly RecyclableMemoryStreamManager _memory = new(
        new RecyclableMemoryStreamManager.Options { MaximumSmallPoolFreeBytes = FreeBytes, MaximumLargePoolFreeBytes = FreeBytes });

    /// <summary>Reads the whole body.</summary>
    /// <exception cref="InvalidDataException">It is no safetensors file.</exception>
    public static async Task<SafetensorsFile> ReadAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        RecyclableMemoryStream body = _memory.GetStream();
        try
        {
            await request.Body.CopyToAsync(body, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await body.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        body.Position = 0;
        return SafetensorsFile.Open(body);
    }

    /// <summary>Answers with the tensor "output", in its own element type.</summary>
    /// <param name="response">The answer.</param>
    /// <param name="values">The tensor's elements; there may be more behind them.</param>
    /// <param name="lengths">The tensor's axes.</param>
    /// <param name="cancellationToken">Ends the answer.</param>
    public static async Task WriteAsync<T>(HttpResponse response, T[] values, nint[] lengths, CancellationToken cancellationToken)
        where T : unmanaged
    {
        using RecyclableMemoryStream answer = _memory.GetStream();
        SafetensorsFile.Write(answer, new Dictionary<string, Tensor<T>> { [Output] = Tensor.Create(values, 0, lengths, []) });
        response.ContentType = ContentType;
        response.ContentLength = answer.Length;
        answer.Position = 0;
        await answer.CopyToAsync(response.Body, cancellationToken).ConfigureAwait(false);
    }
}
