using Microsoft.Net.Http.Headers;

namespace AttentionGpu.Service.Guards;

/// <summary>How the body of a request is read.</summary>
internal static class RequestContent
{
    private const string Utf8 = "utf-8";

    /// <summary>Whether the body is a safetensors file; it is JSON otherwise.</summary>
    /// <exception cref="BadHttpRequestException">415: it is neither, or JSON that is not in UTF-8 (RFC 8259).</exception>
    public static bool IsSafetensors(HttpRequest request)
    {
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out MediaTypeHeaderValue? type))
            throw Unsupported($"The content type must be application/json or {SafetensorsBody.ContentType}.");
        if (type.MediaType.Equals(SafetensorsBody.ContentType, StringComparison.OrdinalIgnoreCase))
            return true;
        if (!request.HasJsonContentType())
            throw Unsupported($"The content type must be application/json or {SafetensorsBody.ContentType}.");
        string charset = HeaderUtilities.RemoveQuotes(type.Charset).ToString();
        if (charset.Length != 0 && !charset.Equals(Utf8, StringComparison.OrdinalIgnoreCase))
            throw Unsupported($"JSON must be in {Utf8}; its charset was '{Excerpt.Of(charset)}'.");
        return false;
    }

    private static BadHttpRequestException Unsupported(string message) => new(message, StatusCodes.Status415UnsupportedMediaType);
}
