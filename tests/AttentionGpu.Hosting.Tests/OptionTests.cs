using System.Globalization;
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
    [InlineData("Device", "SIMD")]
    [InlineData("FallbackDevice", "Reference")]
    [InlineData("QueueLimitTokens", "1")]
    [InlineData("QueueLimitBytes", "1")]
    [InlineData("QueueLimitBytes", "9223372036854775807")]
    [InlineData("FallbackRetryDelay", "00:00:00")]
    [InlineData("FallbackRetryDelay", "1.00:00:00")]
    [InlineData("HealthTimeout", "00:00:00.0010000")]
    [InlineData("IdleMemoryDelay", "00:00:00.0010000")]
    [InlineData("IdleMemoryDelay", "1.00:00:00")]
    [InlineData("HealthTimeout", "1.00:00:00")]
    [InlineData("Shutdown", "Refuse")]
    [InlineData("BatchInvariant", "True")]
    public void An_option_at_its_border_is_taken(string option, string value)
    {
        AttentionServiceOptions options = Read(option, value);
        Assert.Equal(value, FormattableString.Invariant($"{typeof(AttentionServiceOptions).GetProperty(option)!.GetValue(options)}"));
    }

    [Theory]
    [InlineData("Device", "cuda:99", "Device must be a device of this machine, or auto; it was 'cuda:99'. Devices here: ")]
    [InlineData("Device", "cuda:99", "simd, reference.")]
    [InlineData("Device", "", "Device")]
    [InlineData("FallbackDevice", "nowhere", "FallbackDevice must be a device of this machine; it was 'nowhere'. Devices here: ")]
    [InlineData("FallbackDevice", "nowhere", "simd, reference.")]
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
    [InlineData("QueueLimitTokens", "0", "QueueLimitTokens")]
    [InlineData("QueueLimitBytes", "0", "QueueLimitBytes")]
    [InlineData("FallbackRetryDelay", "-00:00:00.0000001", "FallbackRetryDelay")]
    [InlineData("FallbackRetryDelay", "1.00:00:00.0000001", "FallbackRetryDelay")]
    [InlineData("HealthTimeout", "00:00:00.0009999", "HealthTimeout")]
    [InlineData("IdleMemoryDelay", "00:00:00.0009999", "IdleMemoryDelay")]
    [InlineData("IdleMemoryDelay", "1.00:00:00.0000001", "IdleMemoryDelay")]
    [InlineData("HealthTimeout", "1.00:00:00.0000001", "HealthTimeout")]
    [InlineData("Layers:x:Heads", "0", "Heads of the layer 'x' must be at least 1; it was 0.")]
    [InlineData("Layers:x:KeyValueHeads", "0", "KeyValueHeads of the layer 'x' must be at least 1; it was 0.")]
    [InlineData("Layers:x:Path", "", "Path or Model of the layer 'x' must be given.")]
    [InlineData("Layers:x:Path", " ", "Path or Model of the layer 'x' must be given.")]
    [InlineData("Layers: :Heads", "1", "A layer must have a name")]
    public void An_option_beyond_its_border_is_refused(string option, string value, string message)
    {
        OptionsValidationException exception = Assert.Throws<OptionsValidationException>(() => Read(option, value));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_cannot_be_used_is_refused_with_the_reason()
    {
        DeviceInfo[] devices =
        [
            new() { Name = "cuda:0", Kind = DeviceKind.Cuda, Description = "old GPU", Problem = "its driver is too old" },
            new() { Name = "simd", Kind = DeviceKind.Simd, Description = "processor" },
        ];
        const string reason = "'cuda:0' (old GPU) cannot be used: its driver is too old. Devices here: simd.";
        Assert.Equal(
            [
                $"Device must be a device of this machine, or auto; {reason}",
                $"FallbackDevice must be a device of this machine; {reason}",
            ],
            AttentionOptionsValidation.Devices(new() { Device = "CUDA:0", FallbackDevice = "cuda:0" }, devices));
        Assert.Empty(AttentionOptionsValidation.Devices(new() { Device = "auto", FallbackDevice = "SIMD" }, devices));
    }

    [Theory]
    [InlineData("float32")]
    [InlineData("float16")]
    [InlineData("BFloat16")]
    public void An_element_type_of_a_layer_is_taken(string value)
    {
        Assert.Equal(value, Assert.Single(ReadLayer(("ElementType", value)).Layers).Value.ElementType);
        Assert.Null(Assert.Single(ReadLayer(("Heads", "2")).Layers).Value.ElementType);
    }

    [Theory]
    [InlineData("int8")]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("float16,bfloat16")]
    public async Task Another_element_type_is_refused(string value)
    {
        string message = $"ElementType of the layer 'x' must be float32, float16, bfloat16; it was '{value}'.";
        Assert.Equal(message, Assert.Throws<OptionsValidationException>(() => ReadLayer(("ElementType", value))).Message);

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

    [Theory]
    [InlineData("QueuLimit", "QueuLimit")]
    [InlineData("Layers:x:Hedas", "Hedas")]
    [InlineData("Layers:x:Heads", "'{0}Layers:x:Heads'")]
    [InlineData("QueueLimit", "'{0}QueueLimit'")]
    public async Task A_setting_that_is_not_known_or_cannot_be_read_stops_the_start(string setting, string told)
    {
        foreach (string section in (string[])["", "Attention"])
        {
            HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
            string prefix = section.Length == 0 ? "" : $"{section}:";
            IConfiguration configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
            {
                [$"{prefix}Device"] = "simd",
                [$"{prefix}Layers:x:Path"] = "nowhere",
                [$"{prefix}{setting}"] = "many",
            }).Build();
            builder.Configuration.AddConfiguration(configuration);

            // Further options do not make the binding another one.
            OptionsBuilder<AttentionServiceOptions> options = builder.Services.AddAttention().Configure(one => one.WarmUp = false);
            if (section.Length == 0)
                options.Bind(configuration);
            else
                options.BindConfiguration(section);
            using IHost host = builder.Build();
            InvalidOperationException exception = await Assert.ThrowsAsync<InvalidOperationException>(
                () => host.StartAsync(TestContext.Current.CancellationToken));
            Assert.Contains(string.Format(CultureInfo.InvariantCulture, told, prefix), exception.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("", "simd", "'Attention' must have settings below it; it was the text 'simd'.")]
    [InlineData(":Layers", "a path", "'Attention:Layers' must have settings below it; it was the text 'a path'.")]
    [InlineData(":Layers:x", "a path", "'Attention:Layers:x' must have settings below it; it was the text 'a path'.")]
    [InlineData(":Layers:x:Rotary", "10000", "'Attention:Layers:x:Rotary' must have settings below it; it was the text '10000'.")]
    [InlineData(
        ":layers:x:rotary:Base:Value", "1",
        "'Attention:layers:x:rotary:Base' must be one value; it has 'Attention:layers:x:rotary:Base:Value' below it.")]
    [InlineData(
        ":Layers:x:Heads:Query", "1",
        "'Attention:Layers:x:Heads' must be one value; it has 'Attention:Layers:x:Heads:Query' below it.")]
    [InlineData(":QueueLimit:Requests", "1", "'Attention:QueueLimit' must be one value; it has 'Attention:QueueLimit:Requests' below it.")]
    [InlineData(":Device:0", "simd", "'Attention:Device' must be one value; it has 'Attention:Device:0' below it.")]
    public void Text_in_place_of_settings_and_settings_in_place_of_a_value_are_refused(string path, string value, string message)
    {
        IConfiguration configuration = new ConfigurationBuilder()
            .AddInMemoryCollection(new Dictionary<string, string?> { [$"Attention{path}"] = value }).Build();
        foreach (bool isSection in (bool[])[false, true])
        {
            OptionsBuilder<AttentionServiceOptions> options = new ServiceCollection().AddSingleton(configuration).AddAttention();
            _ = isSection ? options.BindConfiguration("Attention") : options.Bind(configuration.GetSection("Attention"));
            using ServiceProvider provider = options.Services.BuildServiceProvider();
            InvalidOperationException exception = Assert.Throws<InvalidOperationException>(
                () => provider.GetRequiredService<IOptionsMonitor<AttentionServiceOptions>>().Get(""));
            Assert.Equal(message, exception.Message);
        }
    }

    [Fact]
    public void Layers_may_be_empty()
    {
        AttentionServiceOptions options = Read([("Layers", "")]);
        Assert.Empty(options.Layers);
    }

    [Theory]
    [InlineData("", "", "without a name")]
    [InlineData("fast", "Fast", "with the name 'Fast'")]
    public void Two_services_of_one_name_are_refused_when_the_second_is_added(string first, string second, string told)
    {
        var services = new ServiceCollection();
        services.AddAttention(name: first);
        services.AddAttention(name: "another");
        ArgumentException exception = Assert.Throws<ArgumentException>("name", () => services.AddAttention(name: second));
        Assert.StartsWith($"AddAttention was called already {told}", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Names_of_devices_and_layers_are_the_same_in_any_case()
    {
        await using AttentionService service = Fixture.Create(new() { Device = "SiMD" });
        Assert.Equal("simd", service.Device.Name);
        AttentionServiceOptions options = Read("Device", "Reference");
        options.Layers["One"] = new() { Path = "first" };
        options.Layers["ONE"] = new() { Path = "second" };
        Assert.Equal("second", Assert.Single(options.Layers).Value.Path);
    }

    // A complete layer with some options besides, or instead.
    private static AttentionServiceOptions ReadLayer(params (string Option, string Value)[] settings) => Read(
    [
        ("Layers:x:Path", "nowhere"), ("Layers:x:Heads", "1"),
        .. settings.Select(setting => ($"Layers:x:{setting.Option}", setting.Value)),
    ]);

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
