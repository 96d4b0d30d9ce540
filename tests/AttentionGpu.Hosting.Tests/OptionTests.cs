using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AttentionGpu.Hosting.Tests;

/// <summary>The borders of options, as configuration gives them.</summary>
public class OptionTests
{
    [Theory]
    [InlineData("Device", "auto")]
    [InlineData("Device", "reference")]
    [InlineData("FallbackDevice", "reference")]
    [InlineData("QueueLimit", "1")]
    [InlineData("QueueLimit", "1048576")]
    [InlineData("MaxBatchRequests", "1")]
    [InlineData("MaxBatchRequests", "65536")]
    [InlineData("MaxBatchTokens", "1")]
    [InlineData("MaxBatchTokens", "16777216")]
    [InlineData("Threads", "1")]
    [InlineData("Threads", "2147483647")]
    [InlineData("MemoryLimitBytes", "1")]
    [InlineData("MemoryLimitBytes", "9223372036854775807")]
    [InlineData("BatchDelay", "00:00:00")]
    [InlineData("BatchDelay", "00:00:10")]
    [InlineData("Shutdown", "Refuse")]
    [InlineData("BatchInvariant", "True")]
    public void An_option_at_its_border_is_taken(string option, string value)
    {
        AttentionServiceOptions options = Read(option, value);
        Assert.Equal(value, FormattableString.Invariant($"{typeof(AttentionServiceOptions).GetProperty(option)!.GetValue(options)}"));
    }

    [Theory]
    [InlineData("Device", "cuda:99", "Device must be a device of this machine")]
    [InlineData("Device", "", "Device")]
    [InlineData("FallbackDevice", "nowhere", "FallbackDevice must be a device of this machine")]
    [InlineData("FallbackDevice", "auto", "FallbackDevice must be a device of this machine")]
    [InlineData("QueueLimit", "0", "QueueLimit")]
    [InlineData("QueueLimit", "1048577", "QueueLimit")]
    [InlineData("MaxBatchRequests", "0", "MaxBatchRequests")]
    [InlineData("MaxBatchRequests", "65537", "MaxBatchRequests")]
    [InlineData("MaxBatchTokens", "0", "MaxBatchTokens")]
    [InlineData("MaxBatchTokens", "16777217", "MaxBatchTokens")]
    [InlineData("Threads", "0", "Threads")]
    [InlineData("MemoryLimitBytes", "0", "MemoryLimitBytes")]
    [InlineData("BatchDelay", "-00:00:00.0000001", "BatchDelay")]
    [InlineData("BatchDelay", "00:00:10.0000001", "BatchDelay")]
    [InlineData("Shutdown", "2", "Shutdown")]
    public void An_option_beyond_its_border_is_refused(string option, string value, string message)
    {
        OptionsValidationException exception = Assert.Throws<OptionsValidationException>(() => Read(option, value));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("float32")]
    [InlineData("float16")]
    [InlineData("BFloat16")]
    public void An_element_type_of_a_layer_is_taken(string value)
    {
        Assert.Equal(value, Assert.Single(Read("Layers:x:ElementType", value).Layers).Value.ElementType);
        Assert.Equal("float32", Assert.Single(Read("Layers:x:Heads", "2").Layers).Value.ElementType);
    }

    [Theory]
    [InlineData("int8")]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("float16,bfloat16")]
    public async Task Another_element_type_is_refused(string value)
    {
        string message = $"ElementType of the layer 'x' must be float32, float16, bfloat16; it was '{value}'.";
        Assert.Equal(message, Assert.Throws<OptionsValidationException>(() => Read("Layers:x:ElementType", value)).Message);

        // Where nobody has validated the options, nothing is read.
        var layer = new AttentionLayerOptions { Path = "nowhere", Heads = 1, ElementType = value };
        var options = new AttentionServiceOptions { Device = "simd", Layers = { ["x"] = layer } };
        ArgumentException exception = await Assert.ThrowsAsync<ArgumentException>(async () => await Fixture.Create(options).DisposeAsync());
        Assert.StartsWith(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Positions_of_a_layer_are_bound()
    {
        AttentionLayerOptions layer = Assert.Single(ReadLayer(
            ("Rotary:Base", "500000"), ("Rotary:Size", "32"), ("Rotary:Interleaved", "true"), ("Rotary:Scaling", "llama3"),
            ("Rotary:Factor", "8"), ("Rotary:LowFrequencyFactor", "1"), ("Rotary:HighFrequencyFactor", "4"),
            ("Rotary:OriginalContext", "8192"), ("Window", "4095"), ("Softcap", "50"), ("Scale", "0.5"),
            ("NormEpsilon", "1e-5")).Layers).Value;
        Assert.Equal(
            new RotaryEmbedding { Base = 500_000.0, Size = 32, Interleaved = true, Scaling = RotaryScaling.Llama3(8.0, 1.0, 4.0, 8192) },
            layer.Rotary!.ToEmbedding());
        Assert.Equal((4095, 50f, 0.5f, 1e-5f), (layer.Window, layer.Softcap, layer.Scale, layer.NormEpsilon));
        Assert.Equal(LayerPositions.None, Assert.Single(ReadLayer(("Positions", "none")).Layers).Value.Positions);
        Assert.Equal(
            new RotaryEmbedding { Base = 10.0, Scaling = RotaryScaling.Yarn(2.0, 64) },
            new AttentionRotaryOptions
            {
                Base = 10.0,
                Scaling = AttentionRotaryScaling.Yarn,
                Factor = 2.0,
                OriginalContext = 64,
            }.ToEmbedding());
        Assert.Equal(
            new RotaryEmbedding { Base = 10.0, Scaling = RotaryScaling.Linear(2.0) },
            new AttentionRotaryOptions { Base = 10.0, Scaling = AttentionRotaryScaling.Linear, Factor = 2.0 }.ToEmbedding());
    }

    [Theory]
    [InlineData("Rotary of the layer 'x' must have a Base", "Rotary:Size=32")]
    [InlineData("Rotary of the layer 'x' must have a Base, and the numbers of its Scaling", "Rotary:Base=10", "Rotary:Scaling=Linear")]
    [InlineData("Rotary of the layer 'x' must have a Base, and the numbers of its Scaling", "Rotary:Base=10", "Rotary:Factor=2")]
    [InlineData(
        "Rotary of the layer 'x' must have a Base, and the numbers of its Scaling", "Rotary:Base=10", "Rotary:Scaling=Yarn",
        "Rotary:Factor=2")]
    [InlineData("Rotary of the layer 'x' must be left out where its Positions are None.", "Positions=None", "Rotary:Base=10")]
    [InlineData("Positions of the layer 'x' must be Unstated or None; it was 7.", "Positions=7")]
    [InlineData("Window of the layer 'x' must be at least 0; it was -1.", "Window=-1")]
    public void Positions_that_are_not_stated_in_full_are_refused(string message, params string[] settings)
    {
        OptionsValidationException exception = Assert.Throws<OptionsValidationException>(
            () => ReadLayer([.. settings.Select(setting => (setting.Split('=')[0], setting.Split('=')[1]))]));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bad_option_of_a_named_service_stops_the_start()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddAttention(options => options.Device = "simd");
        builder.Services.AddAttention(options => (options.Device, options.QueueLimit) = ("simd", 0), "second");
        using IHost host = builder.Build();
        OptionsValidationException exception = await Assert.ThrowsAsync<OptionsValidationException>(
            () => host.StartAsync(TestContext.Current.CancellationToken));
        Assert.Equal("second", exception.OptionsName);
    }

    private static AttentionServiceOptions ReadLayer(params (string Option, string Value)[] settings) =>
        Read([.. settings.Select(setting => ($"Layers:x:{setting.Option}", setting.Value))]);

    private static AttentionServiceOptions Read(string option, string value) => Read([(option, value)]);

    private static AttentionServiceOptions Read((string Option, string Value)[] settings)
    {
        var values = new Dictionary<string, string?> { ["Device"] = "simd" };
        foreach ((string option, string value) in settings)
            values[option] = value;
        IConfiguration configuration = new ConfigurationBuilder().AddInMemoryCollection(values).Build();
        using ServiceProvider provider = new ServiceCollection().AddAttention().Bind(configuration).Services.BuildServiceProvider();
        return provider.GetRequiredService<IOptionsMonitor<AttentionServiceOptions>>().Get("");
    }
}
