using AttentionGpu.Service.Guards;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace AttentionGpu.Service.Tests;

/// <summary>Settings of the sample that stop its start.</summary>
public class SettingTests
{
    private const string Key = "the key of alice, 32 characters.";

    [Theory]
    [InlineData("'Service' must have settings below it; it was a text.", "Service", "1")]
    [InlineData("MaxTokns", "Service:MaxTokns", "1")]
    [InlineData("MaxTokens", "Service:MaxTokens", "0")]
    [InlineData("MaxWeightTokens", "Service:MaxWeightTokens", "-1")]
    [InlineData("MaxBodyBytes", "Service:MaxBodyBytes", "0")]
    [InlineData("'Service:MaxTokens'", "Service:MaxTokens", "many")]
    [InlineData("'Service:MaxTokens' must be one value; it has settings below it.", "Service:MaxTokens:Most", "1")]
    [InlineData("MaxMemoryBytes must be at least 4 times MaxBodyBytes, 16777216; it was 1000.", "Service:MaxMemoryBytes", "1000")]
    [InlineData("MaxMemoryBytes must be at least 4 times MaxBodyBytes, 16777216; it was 67108863.", "Service:MaxMemoryBytes", "67108863")]
    [InlineData("MaxHeaderBytes", "Service:MaxHeaderBytes", "0")]
    [InlineData("TransferSeconds", "Service:TransferSeconds", "0")]
    [InlineData("TransferSeconds", "Service:TransferSeconds", "86401")]
    [InlineData("MinBytesPerSecond", "Service:MinBytesPerSecond", "0")]
    [InlineData("RequestsPerSecond", "RateLimits:RequestsPerSecond", "-0.1")]
    [InlineData("RequestsPerSecond", "RateLimits:RequestsPerSecond", "NaN")]
    [InlineData("RequestsPerSecond must be 0, for no limit, or at least 0.000001; it was 1E-14.", "RateLimits:RequestsPerSecond", "1e-14")]
    [InlineData("Burst", "RateLimits:Burst", "0")]
    [InlineData("ConcurrentRequests", "RateLimits:ConcurrentRequests", "-1")]
    [InlineData("ConcurrentRequestsPerClient", "RateLimits:ConcurrentRequestsPerClient", "-1")]
    [InlineData("Access:Scheme", "Access:Scheme", "Basic")]
    [InlineData("Scheme", "Access:Scheme", "7")]
    [InlineData("Scheme ApiKey needs Keys; there are none.", "Access:Scheme", "ApiKey")]
    [InlineData("Keys have an effect with Scheme ApiKey alone; it was None.", "Access:Keys:alice", Key)]
    [InlineData("'Access:Keys' must have settings below it; it was a text.", "Access:Keys", Key)]
    [InlineData("'Access:Keys:alice' must be one value; it has settings below it.", "Access:Keys:alice:Key", Key)]
    [InlineData("The key 'alice' must have at least 16 characters", "Access:Keys:alice", "15 characters..")]
    [InlineData("The key 'alice' must have at least 16 characters", "Access:Keys:alice", "sha256:the hash of a key, one thinks")]
    [InlineData("OperationsPort", "Access:OperationsPort", "0")]
    [InlineData("OperationsPort", "Access:OperationsPort", "65536")]
    [InlineData("OperationsAnonymous can be false only with a Scheme; it was None.", "Access:OperationsAnonymous", "false")]
    [InlineData("TrustedProxies must be addresses or networks such as 10.0.0.0/8; one was 'proxy'.", "Access:TrustedProxies:0", "proxy")]
    [InlineData("'Access:TrustedProxies' must have settings below it; it was a text.", "Access:TrustedProxies", "10.0.0.1")]
    public void A_setting_that_says_nothing_of_use_is_refused(string message, string setting, string value)
    {
        Exception exception = Assert.ThrowsAny<InvalidOperationException>(() => Read((setting, value)));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(value == Key ? Key : "\0", $"{exception}", StringComparison.Ordinal);
    }

    [Fact]
    public void Two_clients_of_one_key_are_refused_without_the_key()
    {
        Exception exception = Assert.ThrowsAny<InvalidOperationException>(
            () => Read(("Access:Scheme", "ApiKey"), ("Access:Keys:bob", Key), ("Access:Keys:alice", Key)));
        Assert.EndsWith(
            "Each client must have a key of its own; those of alice, bob are the same.", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_set_has_its_default() => Read(("Nothing", "here"));

    [Theory]
    [InlineData("Authority, or SigningKeys", "Authentication:Schemes:Bearer:ValidAudience", "attention")]
    [InlineData("ValidAudience", "Authentication:Schemes:Bearer:Authority", "https://example.org")]
    public async Task A_scheme_of_tokens_without_their_rules_stops_the_start(string message, string setting, string value)
    {
        Exception exception = await RefusedStart.RunAsync(("Access:Scheme", "Bearer"), (setting, value));
        Assert.IsType<OptionsValidationException>(exception);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bad_setting_stops_the_start() =>
        Assert.IsType<InvalidOperationException>(await RefusedStart.RunAsync(("RateLimits:Burst", "0")));

    private static void Read(params (string Name, string Value)[] settings)
    {
        IConfiguration configuration = new ConfigurationBuilder()
            .AddInMemoryCollection(settings.Select(one => KeyValuePair.Create<string, string?>(one.Name, one.Value))).Build();
        ServiceSettings.Read<ServiceLimits>(configuration, "Service");
        ServiceSettings.Read<AccessOptions>(configuration, "Access");
        ServiceSettings.Read<RateLimitOptions>(configuration, "RateLimits");
    }
}
