using System.Security.Cryptography;
using System.Text;

namespace AttentionGpu.Service.Guards;

/// <summary>The keys that clients may send, kept as their SHA-256.</summary>
internal sealed class ApiKeys(IEnumerable<KeyValuePair<string, string>> keys)
{
    /// <summary>Characters that a key in the configuration must have: a hash does not hide a short one.</summary>
    public const int LeastLength = 16;

    private const string Hashed = "sha256:";

    private readonly (string Client, byte[] Hash)[] _keys = [.. keys.Select(key => (key.Key, ToHash(key.Value)!))];

    /// <summary>What is wrong with keys of the configuration. No message has a key.</summary>
    public static IEnumerable<string> Problems(IDictionary<string, string> keys)
    {
        foreach ((string client, string key) in keys)
        {
            if (string.IsNullOrWhiteSpace(client))
                yield return "Each of Keys must have a name; one has none.";
            if (ToHash(key) is null)
            {
                yield return $"The key '{client}' must have at least {LeastLength} characters, or be '{Hashed}' "
                    + "and 64 hexadecimal digits; it is neither.";
            }
        }

        foreach (IGrouping<string, string> same in keys.Where(key => ToHash(key.Value) is not null)
            .GroupBy(key => Convert.ToHexString(ToHash(key.Value)!), key => key.Key).Where(same => same.Count() > 1))
        {
            yield return $"Each client must have a key of its own; those of {string.Join(", ", same.Order())} are the same.";
        }
    }

    /// <summary>
    /// The client whose key this is; null for none. It takes the same time whichever key it is, and however much of it is right.
    /// </summary>
    public string? Find(string key)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(key));
        string? found = null;
        foreach ((string client, byte[] one) in _keys)
        {
            if (CryptographicOperations.FixedTimeEquals(hash, one))
                found = client;
        }

        return found;
    }

    private static byte[]? ToHash(string key)
    {
        if (!key.StartsWith(Hashed, StringComparison.OrdinalIgnoreCase))
            return key.Length < LeastLength ? null : SHA256.HashData(Encoding.UTF8.GetBytes(key));
        string digits = key[Hashed.Length..];
        return digits.Length == 2 * SHA256.HashSizeInBytes && digits.All(char.IsAsciiHexDigit) ? Convert.FromHexString(digits) : null;
    }
}
