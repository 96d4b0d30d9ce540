using System.Numerics.Tensors;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Cli.Bench;
using AttentionGpu.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace AttentionGpu.Bench.Services;

/// <summary>What a request costs more through a service's scheduler than by a call, one at a time.</summary>
internal static class OverheadReport
{
    private const int Embedding = 512;

    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan _duration = TimeSpan.FromSeconds(4);

    /// <summary>Prints the table.</summary>
    public static void Run(string device)
    {
        using ServiceProvider provider = new ServiceCollection().AddAttention(options => options.Device = device)
            .Services.BuildServiceProvider();
        var service = provider.GetRequiredService<IAttentionService>();
        var config = new MultiHeadAttentionConfig { EmbeddingSize = Embedding, Heads = 8 };
        MultiHeadAttentionWeights weights = MultiHeadAttentionWeights.Random(config, seed: 1);
        IAttentionLayer served = service.AddLayer<float>("layer", config, weights);
        using var engine = new AttentionEngine(device);
        using var layer = new MultiHeadAttention<float>(engine, config, weights);
        Console.WriteLine("| tokens | call, us | through the scheduler, us | more, us |");
        Console.WriteLine("|---|---|---|---|");
        foreach (int tokens in new[] { 1, 16, 64 })
        {
            float[] input = Inputs.Random(tokens * Embedding, 1);
            var output = new float[input.Length];
            nint[] lengths = [1, tokens, Embedding];
            double[] seconds = Timing.Medians(
                _window, _duration, TimeSpan.Zero,
                () => layer.Forward(new ReadOnlyTensorSpan<float>(input, lengths), new TensorSpan<float>(output, lengths)),
                () => served.ForwardAsync<float>(input, output).GetAwaiter().GetResult());
            Console.WriteLine(
                $"| {tokens} | {Figures.Text(seconds[0] * 1e6, "F1")} | {Figures.Text(seconds[1] * 1e6, "F1")} | {Figures.Text((seconds[1] - seconds[0]) * 1e6, "F1")} |");
        }
    }
}
