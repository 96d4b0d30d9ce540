using System.Diagnostics;
using System.Net.Http.Headers;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Serialization;

namespace AttentionGpu.Bench.Services;

/// <summary>
/// Clients against the sample service with its demo layer, every answer checked: errors, wrong answers, throughput beside one client alone, and the
/// service's memory, minute by minute.
/// </summary>
internal sealed class SoakReport : IDisposable
{
    private const int Embedding = 512;
    private const int Requests = 200;
    private const string ContentType = "application/vnd.safetensors";

    private static readonly TimeSpan _alone = TimeSpan.FromSeconds(10);

    private readonly HttpClient _client;
    private readonly List<(byte[] Body, float[] Expected)> _requests = [];
    private long _errors;
    private long _wrong;

    private SoakReport(string url)
    {
        _client = new HttpClient { BaseAddress = new Uri(url) };
        using var engine = new AttentionEngine("reference");
        var config = new MultiHeadAttentionConfig { EmbeddingSize = Embedding, Heads = 8 };
        using var layer = new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(config, seed: 1));
        var random = new Random(1);
        for (int i = 0; i < Requests; i++)
        {
            nint tokens = random.Next(16, 65);
            float[] input = Inputs.Random(tokens * Embedding, i);
            var output = new float[input.Length];
            layer.Forward(new ReadOnlyTensorSpan<float>(input, [1, tokens, Embedding]), new TensorSpan<float>(output, [1, tokens, Embedding]));
            _requests.Add((Write(Tensor.Create(input, [tokens, Embedding])), output));
        }
    }

    /// <param name="url">Where the service is.</param>
    /// <param name="process">Its process, whose memory is read.</param>
    /// <param name="clients">Clients at once.</param>
    /// <param name="minutes">How long.</param>
    public static async Task RunAsync(string url, int process, int clients, int minutes)
    {
        using var report = new SoakReport(url);
        using var service = Process.GetProcessById(process);
        await report.RunAsync(1, _alone).ConfigureAwait(false);
        (double sumAlone, double sumTogether) = (0.0, 0.0);
        for (int minute = 1; minute <= minutes; minute++)
        {
            // Beside every minute, for a machine's speed is not the same all the time.
            double alone = await report.RunAsync(1, _alone).ConfigureAwait(false);
            double together = await report.RunAsync(clients, TimeSpan.FromMinutes(1)).ConfigureAwait(false);
            sumAlone += alone;
            sumTogether += together;
            service.Refresh();
            Console.WriteLine(
                $"Minute {minute}: one client {alone:F0} requests a second, {clients} clients {together:F0}, {together / alone:F2} times; {report._errors} errors, "
                + $"{report._wrong} wrong answers; {service.WorkingSet64 / 1e6:F1} MB.");
        }

        Console.WriteLine($"All: one client {sumAlone / minutes:F0} requests a second, {clients} clients {sumTogether / minutes:F0}, {sumTogether / sumAlone:F2} times.");
    }

    public void Dispose() => _client.Dispose();

    private async Task<double> RunAsync(int clients, TimeSpan time)
    {
        long answers = 0;
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, clients).Select(client => Task.Run(async () =>
        {
            using var answer = new MemoryStream();
            for (int i = client * 7; Stopwatch.GetElapsedTime(start) < time; i++)
            {
                await AskAsync(_requests[i % Requests], answer).ConfigureAwait(false);
                Interlocked.Increment(ref answers);
            }
        }))).ConfigureAwait(false);
        return answers / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    // The clients share the machine with the service: their memory is used again, so that they take no more of it than they must.
    private async Task AskAsync((byte[] Body, float[] Expected) request, MemoryStream answer)
    {
        try
        {
            using var content = new ByteArrayContent(request.Body);
            content.Headers.ContentType = new MediaTypeHeaderValue(ContentType);
            using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/attention") { Content = content };
            using HttpResponseMessage response = await _client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead).ConfigureAwait(false);
            answer.SetLength(0);
            await response.EnsureSuccessStatusCode().Content.CopyToAsync(answer).ConfigureAwait(false);

            // The one tensor is the end of the file.
            int start = (int)answer.Length - sizeof(float) * request.Expected.Length;
            ReadOnlySpan<float> output = MemoryMarshal.Cast<byte, float>(answer.GetBuffer().AsSpan(start, sizeof(float) * request.Expected.Length));
            float largest = TensorPrimitives.MaxMagnitude<float>(request.Expected);
            if (!(MathF.Abs(largest) * 2e-5f >= TensorPrimitives.Distance(output, request.Expected) / MathF.Sqrt(output.Length)))
                Interlocked.Increment(ref _wrong);
        }
        catch (HttpRequestException)
        {
            Interlocked.Increment(ref _errors);
        }
    }

    private static byte[] Write(Tensor<float> input)
    {
        using var body = new MemoryStream();
        SafetensorsFile.Write(body, new Dictionary<string, Tensor<float>> { ["input"] = input });
        return body.ToArray();
    }
}
