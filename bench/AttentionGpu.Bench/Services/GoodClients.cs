using System.Diagnostics;
using System.Net.Http.Headers;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Serialization;

namespace AttentionGpu.Bench.Services;

/// <summary>Clients of the sample service's demo layer that send sequences of 16 to 64 tokens and check every answer.</summary>
internal sealed class GoodClients : IDisposable
{
    public const int Embedding = 512;
    public const string ContentType = "application/vnd.safetensors";

    private const int Requests = 200;

    private readonly HttpClient _client;
    private readonly List<(byte[] Body, float[] Expected)> _requests = [];
    private long _errors;
    private long _wrong;

    public GoodClients(Uri url)
    {
        _client = new HttpClient { BaseAddress = url };
        using var engine = new AttentionEngine("reference");
        var config = new MultiHeadAttentionConfig { EmbeddingSize = Embedding, Heads = 8 };
        using var layer = new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(config, seed: 1));
        var random = new Random(1);
        for (int i = 0; i < Requests; i++)
        {
            nint tokens = random.Next(16, 65);
            float[] input = Inputs.Random(tokens * Embedding, i);
            var output = new float[input.Length];
            layer.Forward(
                new ReadOnlyTensorSpan<float>(input, [1, tokens, Embedding]), new TensorSpan<float>(output, [1, tokens, Embedding]));
            _requests.Add((Write(Tensor.Create(input, [tokens, Embedding])), output));
        }
    }

    /// <summary>Requests without an answer, or with a status that is no success.</summary>
    public long Errors => Interlocked.Read(ref _errors);

    /// <summary>Answers other than those of the reference.</summary>
    public long Wrong => Interlocked.Read(ref _wrong);

    /// <summary>What the first error was.</summary>
    public string? FirstError { get; private set; }

    public void Dispose() => _client.Dispose();

    /// <summary>A request after the other by each client; returns the answers a second.</summary>
    /// <param name="clients">Clients at once.</param>
    /// <param name="goesOn">Whether another request follows, by the answers so far and the time since the start.</param>
    public async Task<double> RunAsync(int clients, Func<long, TimeSpan, bool> goesOn)
    {
        long answers = 0;
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, clients).Select(client => Task.Run(async () =>
        {
            using var answer = new MemoryStream();
            for (int i = client * 7; goesOn(Interlocked.Read(ref answers), Stopwatch.GetElapsedTime(start)); i++)
            {
                await AskAsync(_requests[i % Requests], answer).ConfigureAwait(false);
                Interlocked.Increment(ref answers);
            }
        }))).ConfigureAwait(false);
        return answers / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>A sequence as the body of a request.</summary>
    public static byte[] Write(Tensor<float> input)
    {
        using var body = new MemoryStream();
        SafetensorsFile.Write(body, new Dictionary<string, Tensor<float>> { ["input"] = input });
        return body.ToArray();
    }

    // The clients share the machine with the service: their memory is used again, so that they take no more of it than they must.
    private async Task AskAsync((byte[] Body, float[] Expected) request, MemoryStream answer)
    {
        try
        {
            using var content = new ByteArrayContent(request.Body);
            content.Headers.ContentType = new MediaTypeHeaderValue(ContentType);
            using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/attention") { Content = content };
            using HttpResponseMessage response =
                await _client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead).ConfigureAwait(false);
            answer.SetLength(0);
            await response.EnsureSuccessStatusCode().Content.CopyToAsync(answer).ConfigureAwait(false);

            // The one tensor is the end of the file.
            int start = (int)answer.Length - sizeof(float) * request.Expected.Length;
            ReadOnlySpan<float> output =
                MemoryMarshal.Cast<byte, float>(answer.GetBuffer().AsSpan(start, sizeof(float) * request.Expected.Length));
            float largest = TensorPrimitives.MaxMagnitude<float>(request.Expected);
            if (!(MathF.Abs(largest) * 2e-5f >= TensorPrimitives.Distance(output, request.Expected) / MathF.Sqrt(output.Length)))
                Interlocked.Increment(ref _wrong);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or TaskCanceledException)
        {
            Interlocked.Increment(ref _errors);
            FirstError ??= exception.Message;
        }
    }
}
