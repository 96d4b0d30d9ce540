using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using AttentionGpu.Service.Guards;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace AttentionGpu.Service.Tests;

/// <summary>Who may call, once a setting says that not everybody may.</summary>
public class AccessTests
{
    private const string Alice = "the key of alice, 32 characters.";
    private const string Bob = "the key of bob, of many letters!";

    private static readonly byte[] _signing = RandomNumberGenerator.GetBytes(32);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static (string, string)[] Keys =>
    [
        ("Access:Scheme", "apikey"), ("Access:Keys:alice", Alice),
        ("Access:Keys:bob", $"sha256:{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Bob)))}"),
    ];

    private static (string, string)[] Tokens =>
    [
        ("Access:Scheme", "Bearer"), ("Authentication:Schemes:Bearer:ValidAudience", "attention"),
        ("Authentication:Schemes:Bearer:ValidIssuer", "issuer"), ("Authentication:Schemes:Bearer:SigningKeys:0:Issuer", "issuer"),
        ("Authentication:Schemes:Bearer:SigningKeys:0:Value", Convert.ToBase64String(_signing)),
    ];

    [Theory]
    [InlineData(Alice, 200)]
    [InlineData(Bob, 200)]
    [InlineData("the key of nobody, of many letters", 401)]
    [InlineData("", 401)]
    [InlineData(null, 401)]
    [InlineData($"{Alice},{Alice}", 401)]
    public async Task A_key_opens_what_computes_and_what_is_for_operators(string? key, int status)
    {
        using var service = new GuardedService(Keys);
        (string, string)[] headers = key is null ? [] : [("X-Api-Key", key)];
        foreach (string path in (string[])[GuardedService.Layers, GuardedService.Metrics, GuardedService.Description, "/v1/nothing"])
        {
            using HttpResponseMessage answer = await service.GetAsync(path, Token, headers: headers);
            Assert.Equal(status == 200 && path == "/v1/nothing" ? 404 : status, (int)answer.StatusCode);
        }

        float[][] input = SmallService.Input(2);
        using HttpResponseMessage computed = await service.SendAsync(GuardedService.Attention(input), Token, headers: headers);
        if (status == 200)
        {
            await Answers.AssertRightAsync(computed, isFile: false, input, causal: false, Token);
            return;
        }

        Assert.Equal(
            ("The client is not known.", "A request needs a key of this service in the header X-Api-Key."),
            await Answers.AssertProblemAsync(computed, 401, Token));
        Assert.Equal("ApiKey", Assert.Single(computed.Headers.WwwAuthenticate).Scheme);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Health_and_the_page_are_for_everybody_and_two_keys_are_for_nobody(bool isTwice)
    {
        using var service = new GuardedService(Keys);
        foreach (string path in (string[])[GuardedService.Health, "/"])
        {
            using HttpResponseMessage answer = await service.GetAsync(path, Token);
            Assert.Equal(200, (int)answer.StatusCode);
        }

        (string, string)[] headers = isTwice ? [("X-Api-Key", Alice), ("X-Api-Key", Bob)] : [("X-Api-Key", Alice)];
        using HttpResponseMessage layers = await service.GetAsync(GuardedService.Layers, Token, headers: headers);
        Assert.Equal(isTwice ? 401 : 200, (int)layers.StatusCode);
    }

    [Theory]
    [InlineData("issuer", "attention", "somebody", 1, 200)]
    [InlineData("other", "attention", "somebody", 1, 401)]
    [InlineData("issuer", "other", "somebody", 1, 401)]
    [InlineData("issuer", "attention", "somebody", -1, 401)]
    [InlineData("issuer", "attention", null, 1, 403)]
    public async Task A_token_must_be_for_this_service(string issuer, string audience, string? subject, int hours, int status)
    {
        using var service = new GuardedService(Tokens);
        using HttpResponseMessage without = await service.GetAsync(GuardedService.Layers, Token);
        Assert.Equal(401, (int)without.StatusCode);
        string token = CreateToken(_signing, issuer, audience, subject, hours);
        using HttpResponseMessage answer = await GetAsync(token);
        Assert.Equal(status, (int)answer.StatusCode);
        string forged = CreateToken(RandomNumberGenerator.GetBytes(32), "issuer", "attention", "somebody", 1);
        using HttpResponseMessage refusal = await GetAsync(forged);
        Assert.Equal(401, (int)refusal.StatusCode);

        Task<HttpResponseMessage> GetAsync(string sent) =>
            service.GetAsync(GuardedService.Layers, Token, headers: ("Authorization", $"Bearer {sent}"));
    }

    [Theory]
    [InlineData("ApiKey", "apiKey")]
    [InlineData("Bearer", "http")]
    [InlineData("None", null)]
    public async Task The_description_says_how_clients_prove_who_they_are(string scheme, string? type)
    {
        (string, string)[] settings = scheme switch { "ApiKey" => Keys, "Bearer" => Tokens, _ => [] };
        (string, string)[] open = type is null ? [] : [("Access:OperationsAnonymous", "true")];
        using var service = new GuardedService([.. settings, .. open]);
        using HttpResponseMessage answer = await service.GetAsync(GuardedService.Description, Token);
        using JsonDocument description = JsonDocument.Parse(await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(Token));
        bool isThere = description.RootElement.GetProperty("components").TryGetProperty("securitySchemes", out JsonElement schemes);
        Assert.Equal(type is not null, isThere);
        Assert.Equal(isThere, description.RootElement.TryGetProperty("security", out _));
        if (isThere)
            Assert.Equal(type, schemes.GetProperty(scheme).GetProperty("type").GetString());
    }

    [Fact]
    public void A_key_is_found_by_its_text_or_its_hash()
    {
        var keys = new ApiKeys(Keys.Skip(1).Select(key => KeyValuePair.Create(key.Item1, key.Item2)));
        Assert.Equal("Access:Keys:alice", keys.Find(Alice));
        Assert.Equal("Access:Keys:bob", keys.Find(Bob));
        Assert.Null(keys.Find(Keys[2].Item2));
        Assert.Null(keys.Find(Alice.ToUpperInvariant()));
    }

    private static string CreateToken(byte[] key, string issuer, string audience, string? subject, int hours) =>
        new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = issuer,
            Audience = audience,
            Subject = subject is null ? null : new ClaimsIdentity([new Claim("sub", subject)]),
            IssuedAt = DateTime.UtcNow.AddHours(-2),
            Expires = DateTime.UtcNow.AddHours(hours),
            SigningCredentials = new SigningCredentials(new SymmetricSecurityKey(key), SecurityAlgorithms.HmacSha256),
        });
}
