using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AttentionGpu.Hosting.Tests.Sessions;

/// <summary>The options of a layer's cache, as configuration gives them.</summary>
public class CacheOptionTests
{
    [Theory]
    [InlineData("Kind", "Window", "Kind of the cache of the layer 'one' must be Paged or Contiguous; it was Window.")]
    [InlineData("Element", "99", "Element of the cache")]
    [InlineData("Capacity", "0", "Capacity of the cache of the layer 'one' must be at least 1; it was 0.")]
    [InlineData("PageSize", "24", "PageSize of the cache of the layer 'one' must be 16, 32, 64, 128 or 256; it was 24.")]
    [InlineData("Pages", "0", "Pages of the cache")]
    [InlineData("MemoryBytes", "0", "MemoryBytes of the cache")]
    [InlineData("Sessions", "0", "Sessions of the cache of the layer 'one' must be 1 to 65536; it was 0.")]
    [InlineData("Sessions", "65537", "Sessions of the cache")]
    [InlineData("SessionsPerClient", "0", "SessionsPerClient of the cache")]
    [InlineData("OperationsPerSession", "0", "OperationsPerSession of the cache")]
    [InlineData("ChunkTokens", "0", "ChunkTokens of the cache")]
    [InlineData("WhenFull", "7", "WhenFull of the cache of the layer 'one' must be Refuse or Spill; it was 7.")]
    [InlineData("HostMemoryBytes", "-1", "HostMemoryBytes of the cache")]
    [InlineData("IdleTimeout", "00:00:00", "IdleTimeout of the cache")]
    [InlineData("IdleTimeout", "1.00:00:01", "IdleTimeout of the cache")]
    [InlineData("PrefixBytes", "-1", "PrefixBytes of the cache")]
    public void An_option_beyond_its_border_stops_the_start(string option, string value, string message)
    {
        OptionsValidationException refused = Assert.Throws<OptionsValidationException>(() => Read((option, value)));
        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Kind", "Contiguous", "PageSize", "16", "PageSize of the cache of the layer 'one' must be left out where the kind is Contiguous")]
    [InlineData("Kind", "Contiguous", "Pages", "16", "Pages of the cache of the layer 'one' must be left out where the kind is Contiguous")]
    [InlineData("Kind", "Contiguous", "PrefixBytes", "16", "PrefixBytes of the cache of the layer 'one' must be 0 where the kind is Contiguous")]
    [InlineData("Pages", "4", "MemoryBytes", "16", "MemoryBytes of the cache of the layer 'one' must be left out where Pages are given")]
    public void Options_that_contradict_each_other_stop_the_start(string first, string value, string second, string other, string message)
    {
        OptionsValidationException refused = Assert.Throws<OptionsValidationException>(() => Read((first, value), (second, other)));
        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_are_bound_and_unknown_ones_refused()
    {
        AttentionCacheOptions cache = Read(
            ("Kind", "Contiguous"), ("Element", "Int8"), ("Capacity", "77"), ("Sessions", "5"), ("WhenFull", "Spill"), ("MemoryBytes", "12345"),
            ("IdleTimeout", "00:01:00"), ("HostMemoryBytes", "0"), ("ChunkTokens", "9")).Layers["one"].Cache!;
        Assert.Equal(
            (KeyValueCacheKind.Contiguous, KeyValueElement.Int8, 77, 5, AttentionCachePolicy.Spill, 12345L, TimeSpan.FromMinutes(1), 0L, 9),
            (cache.Kind, cache.Element, cache.Capacity, cache.Sessions, cache.WhenFull, cache.MemoryBytes!.Value, cache.IdleTimeout!.Value,
                cache.HostMemoryBytes, cache.ChunkTokens));
        Assert.Throws<InvalidOperationException>(() => Read(("Page", "16")));
    }

    [Fact]
    public async Task A_layer_that_is_added_has_its_options_checked()
    {
        await using AttentionService service = Fixture.Create(new() { Device = "simd" });
        ArgumentException refused = Assert.Throws<ArgumentException>(
            () => service.AddLayer<float>("one", Fixture.Config, Fixture.Weights, new() { ChunkTokens = 0 }));
        Assert.Contains("ChunkTokens of the cache of the layer 'one' must be at least 1; it was 0.", refused.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>(() => service.AddLayer<float>("one", Fixture.Config, Fixture.Weights, null!));
        Assert.Empty(service.Layers);
        Assert.Null(service.AddLayer<float>("one", Fixture.Config, Fixture.Weights).Sessions);
    }

    private static AttentionServiceOptions Read(params (string Option, string Value)[] cache)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection(
        [
            new("Attention:Device", "simd"), new("Attention:Layers:one:Path", "layer.safetensors"),
            .. cache.Select(one => new KeyValuePair<string, string?>($"Attention:Layers:one:Cache:{one.Option}", one.Value)),
        ]);
        builder.Services.AddAttention().BindConfiguration("Attention");
        using IHost host = builder.Build();
        return host.Services.GetRequiredService<IOptionsMonitor<AttentionServiceOptions>>().Get("");
    }
}
