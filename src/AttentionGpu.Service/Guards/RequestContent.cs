using Microsoft.Net.Http.Headers;

namespace AttentionGpu.Service.Guards;

/// <summary>How the body of a request is read.</summary>
internal static class RequestContent
{
    /// <summary>The content types that are read, for messages.</summary>
    public const string Rule = $"The content type must be application/json or {SafetensorsBody.ContentType}.";

    private const string Utf8 = "utf-8";

    /// <summary>Whether the body is a safetensors file; it is JSON otherwise.</summary>
    /// <exception cref="BadHttpRequestException">415: it is neither, is compressed, or is JSON that is not in UTF-8 (RFC 8259).</exception>
    public static bool IsSafetensors(HttpRequest request)
    {
        string coding = request.Headers.ContentEncoding.ToString();
        if (coding.Length != 0 && !coding.Equals("identity", StringComparison.OrdinalIgnoreCase))
            throw Unsupported($"A body must not be compressed; its Content-Encoding was '{Excerpt.Of(coding)}'.");
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out MediaTypeHeaderValue? type))
            throw Unsupported(Rule);
        if (type.MediaType.Equals(SafetensorsBody.ContentType, StringComparison.OrdinalIgnoreCase))
            return true;
        if (!request.HasJsonContentType())
            throw Unsupported(Rule);
        string charset = HeaderUtilities.RemoveQuotes(type.Charset).ToString();
        if (charset.Length != 0 && !charset.Equals(Utf8, StringComparison.OrdinalIgnoreCase))
            throw Unsupported($"JSON must be in {Utf8}; its charset was '{Excerpt.Of(charset)}'.");
        return false;
    }

    private static BadHttpRequestException Unsupported(string message) => new(message, StatusCodes.Status415UnsupportedMediaType);
}
