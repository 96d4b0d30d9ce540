using System.Security.Claims;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace AttentionGpu.Service.Guards;

/// <summary>Authenticates a client by its key in the header <c>X-Api-Key</c>. The key itself is nowhere kept.</summary>
internal sealed class ApiKeyHandler(
    ApiKeys keys, IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public const string Header = "X-Api-Key";

    /// <inheritdoc/>
    protected override Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        StringValues given = Request.Headers[Header];
        if (given.Count == 0)
            return Task.FromResult(AuthenticateResult.NoResult());
        if (given.Count > 1 || keys.Find(given.ToString()) is not { } client)
            return Task.FromResult(AuthenticateResult.Fail("The key is not known."));
        var identity = new ClaimsIdentity([new Claim(ClientIdentity.Subject, client)], Scheme.Name);
        return Task.FromResult(AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(identity), Scheme.Name)));
    }

    /// <inheritdoc/>
    protected override Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        Response.Headers.WWWAuthenticate = $"ApiKey header=\"{Header}\"";
        return Problem.WriteAsync(
            Context, StatusCodes.Status401Unauthorized, "The client is not known.",
            $"A request needs a key of this service in the header {Header}.");
    }
}
