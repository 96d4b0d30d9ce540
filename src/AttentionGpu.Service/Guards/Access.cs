using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.IdentityModel.Tokens;

namespace AttentionGpu.Service.Guards;

/// <summary>Authentication, and the addresses that trusted proxies tell.</summary>
internal static class Access
{
    public static void Add(IServiceCollection services, AccessOptions access)
    {
        services.AddSingleton(access);
        services.AddHostedService<OperationsPort>();
        services.Configure<ForwardedHeadersOptions>(options =>
        {
            options.ForwardedHeaders = access.TrustedProxies.Count == 0
                ? ForwardedHeaders.None
                : ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto;
            options.ForwardLimit = null;
            options.KnownProxies.Clear();
            options.KnownIPNetworks.Clear();
            foreach (System.Net.IPNetwork network in access.ProxyNetworks())
                options.KnownIPNetworks.Add(network);
        });
        AuthorizationBuilder authorization = services.AddAuthorizationBuilder();
        if (access.Scheme == AccessScheme.None)
        {
            // The whole of authentication would write keys for cookies into the home folder.
            services.AddAuthenticationCore();
            return;
        }

        // An endpoint that does not say otherwise is for clients that are known, one that is added later too.
        authorization.SetFallbackPolicy(new AuthorizationPolicyBuilder($"{access.Scheme}").RequireAuthenticatedUser()
            .RequireClaim(ClientIdentity.Subject).Build());
        AuthenticationBuilder authentication = services.AddAuthentication($"{access.Scheme}");
        if (access.Scheme == AccessScheme.ApiKey)
        {
            services.AddSingleton(new ApiKeys(access.Keys));
            authentication.AddScheme<AuthenticationSchemeOptions, ApiKeyHandler>($"{access.Scheme}", configureOptions: null);
            return;
        }

        // The framework reads the rest from the section Authentication:Schemes:Bearer.
        authentication.AddJwtBearer($"{access.Scheme}", options =>
        {
            options.MapInboundClaims = false;
            options.TokenValidationParameters.ValidateIssuer = true;
            options.TokenValidationParameters.ValidateAudience = true;
        });
        services.AddOptions<JwtBearerOptions>($"{access.Scheme}")
            .Validate(
                HasServer, "Authentication:Schemes:Bearer must have an Authority, or SigningKeys with their Issuer and a ValidIssuer.")
            .Validate(HasAudience, "Authentication:Schemes:Bearer must have a ValidAudience: tokens for other services would be taken.")
            .ValidateOnStart();
    }

    private static bool HasServer(JwtBearerOptions options)
    {
        TokenValidationParameters rules = options.TokenValidationParameters;
        return !string.IsNullOrEmpty(options.Authority)
            || (rules.IssuerSigningKeys?.Any() == true && (!string.IsNullOrEmpty(rules.ValidIssuer) || rules.ValidIssuers?.Any() == true));
    }

    private static bool HasAudience(JwtBearerOptions options) =>
        !string.IsNullOrEmpty(options.TokenValidationParameters.ValidAudience)
            || options.TokenValidationParameters.ValidAudiences?.Any() == true;
}
