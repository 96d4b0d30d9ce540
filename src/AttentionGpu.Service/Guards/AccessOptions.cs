using System.ComponentModel.DataAnnotations;
using System.Net;

namespace AttentionGpu.Service.Guards;

/// <summary>How clients prove who they are.</summary>
internal enum AccessScheme
{
    /// <summary>They do not: everybody may call.</summary>
    None,

    /// <summary>By a key in the header <c>X-Api-Key</c>.</summary>
    ApiKey,

    /// <summary>By a JSON web token of an OAuth 2.0 or OpenID Connect server, in the header <c>Authorization</c>.</summary>
    Bearer,
}

/// <summary>Who may call the service, and where it is operated. The section <c>Access</c> of the configuration.</summary>
internal sealed class AccessOptions : IValidatableObject
{
    /// <summary>How clients prove who they are.</summary>
    [EnumDataType(typeof(AccessScheme))]
    public AccessScheme Scheme { get; set; }

    /// <summary>
    /// Keys by the names of their clients, for <see cref="AccessScheme.ApiKey"/>: <c>sha256:</c> and the SHA-256 of the key's UTF-8 bytes
    /// in hexadecimal digits, or the key itself. Each name is a client.
    /// </summary>
    public IDictionary<string, string> Keys { get; } = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);

    /// <summary>
    /// The port that alone answers <c>/metrics</c> and <c>/openapi</c>, and nothing besides but <c>/health</c>; null to answer them where
    /// the rest is answered. The server must listen there.
    /// </summary>
    [Range(1, ushort.MaxValue)]
    public int? OperationsPort { get; set; }

    /// <summary>
    /// Whether everybody may read <c>/metrics</c> and <c>/openapi</c>; null for those who reach <see cref="OperationsPort"/>, and without
    /// that port for those who may call the service.
    /// </summary>
    public bool? OperationsAnonymous { get; set; }

    /// <summary>
    /// Addresses, or networks such as <c>10.0.0.0/8</c>, of the proxies whose <c>X-Forwarded-For</c> and <c>X-Forwarded-Proto</c> are
    /// believed. Empty to believe none.
    /// </summary>
    public IList<string> TrustedProxies { get; } = [];

    /// <summary>Whether an operator's endpoint answers everybody who reaches it.</summary>
    public bool AreOperationsOpen() => OperationsAnonymous ?? OperationsPort is not null;

    /// <summary>The networks of the proxies.</summary>
    public IEnumerable<IPNetwork> ProxyNetworks() => TrustedProxies.Select(proxy => ToNetwork(proxy)!.Value);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (string proxy in TrustedProxies.Where(proxy => ToNetwork(proxy) is null))
            yield return new($"TrustedProxies must be addresses or networks such as 10.0.0.0/8; one was '{proxy}'.");
        if (Scheme == AccessScheme.ApiKey && Keys.Count == 0)
            yield return new("Scheme ApiKey needs Keys; there are none.");
        if (Scheme != AccessScheme.ApiKey && Keys.Count > 0)
            yield return new($"Keys have an effect with Scheme ApiKey alone; it was {Scheme}.");
        if (Scheme == AccessScheme.None && OperationsAnonymous == false)
            yield return new("OperationsAnonymous can be false only with a Scheme; it was None.");
        foreach (string problem in ApiKeys.Problems(Keys))
            yield return new(problem);
    }

    private static IPNetwork? ToNetwork(string text)
    {
        if (IPAddress.TryParse(text, out IPAddress? address))
            return new IPNetwork(address, 8 * address.GetAddressBytes().Length);
        return IPNetwork.TryParse(text, out IPNetwork network) ? network : null;
    }
}
