// What PackageTests publishes: every device computes a layer as the reference does, and a service binds and validates its options.
using System.Numerics.Tensors;
using AttentionGpu;
using AttentionGpu.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

const int embedding = 32;
const int length = 9;
float[] numbers = [.. Enumerable.Range(0, 2 * length * embedding).Select(i => MathF.Sin(i))];
var config = new MultiHeadAttentionConfig
{
    EmbeddingSize = embedding,
    Heads = 4,
    KeyValueHeads = 2,
    Softcap = 20f,
    Rotary = new RotaryEmbedding { Base = 10_000 },
};
var weights = MultiHeadAttentionWeights.Random(config, seed: 1);
float[] exact = Run("reference", value => value, value => value);

Console.WriteLine($"auto: {AttentionEngine.SelectDevice().Reason}");
foreach (DeviceInfo device in AttentionEngine.ListDevices())
{
    if (device.Problem is { } problem)
    {
        Console.WriteLine($"{device.Name}: {problem}");
        continue;
    }

    float[][] results =
    [
        Run(device.Name, value => value, value => value),
        Run(device.Name, value => (Half)value, value => (float)value),
        Run(device.Name, value => (BFloat16)value, value => (float)value),
    ];
    float[] tolerances = [1e-5f, 2e-3f, 1e-2f];
    float largest = exact.Max(MathF.Abs);
    bool[] agree = [.. results.Zip(tolerances, (result, tolerance) => Difference(result) <= 2f * tolerance * largest)];
    Console.WriteLine($"{device.Name}: agrees {string.Join(", ", agree)}");
}

using (IHost host = Build(("Device", "simd"), ("QueueLimit", "7"), ("FallbackRetryDelay", "00:00:30"), ("Shutdown", "Refuse")))
{
    await host.StartAsync();
    AttentionServiceOptions options = host.Services.GetRequiredService<IOptions<AttentionServiceOptions>>().Value;
    Console.WriteLine($"bound: {options.QueueLimit}, {options.FallbackRetryDelay}, {options.Shutdown}");
    IAttentionLayer layer = host.Services.GetRequiredService<IAttentionService>().AddLayer<float>("mine", config, weights);
    var output = new float[length * embedding];
    await layer.ForwardAsync<float>(numbers.AsMemory(0, output.Length), output, Causal.TopLeft);
    Console.WriteLine($"service: agrees {Difference(output) <= 1e-5f * exact.Max(MathF.Abs)}");
    await host.StopAsync();
}

(string, string)[] wrong = [("QueueLimit", "0"), ("BatchDelay", "1.00:00:00"), ("Layers:x:Heads", "0"), ("Nothing", "1")];
foreach ((string option, string value) in wrong)
{
    using IHost host = Build(("Device", "simd"), (option, value));
    try
    {
        await host.StartAsync();
        Console.WriteLine($"{option} was taken");
    }
    catch (Exception exception) when (exception is OptionsValidationException or InvalidOperationException)
    {
        Console.WriteLine($"refused: {exception.Message.ReplaceLineEndings(" ")}");
    }
}

// How far a result is from the first elements of the exact one, as many as it has.
float Difference(float[] result) => result.Zip(exact, (one, other) => MathF.Abs(one - other)).Max();

float[] Run<T>(string device, Func<float, T> from, Func<T, float> to)
    where T : unmanaged
{
    using var engine = new AttentionEngine(device);
    using var layer = new MultiHeadAttention<T>(engine, config, weights);
    Tensor<T> output = layer.Forward(Tensor.Create([.. numbers.Select(from)], [2, length, embedding]), Causal.TopLeft);
    var flat = new T[numbers.Length];
    output.FlattenTo(flat);
    return [.. flat.Select(to)];
}

static IHost Build(params (string Option, string Value)[] settings)
{
    HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
    builder.Configuration.AddInMemoryCollection(
        settings.Select(setting => KeyValuePair.Create($"Attention:{setting.Option}", (string?)setting.Value)));
    builder.Services.AddAttention().BindConfiguration("Attention");
    return builder.Build();
}
