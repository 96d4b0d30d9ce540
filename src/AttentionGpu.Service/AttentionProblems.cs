using AttentionGpu.Hosting;
using AttentionGpu.Service.Guards;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Diagnostics;

namespace AttentionGpu.Service;

/// <summary>Errors as problem details (RFC 9457): what the caller can put right is told, what is ours is not.</summary>
internal sealed class AttentionProblems : IExceptionHandler
{
    private const int ClientClosedRequest = 499;

    // A message may repeat what was sent.
    private const int MaxDetail = 400;

    /// <summary>
    /// The framework logs no exception that a handler has answered, and counts none as an error. Faults of the service are logged and
    /// counted.
    /// </summary>
    public static ExceptionHandlerOptions Options { get; } = new()
    {
        SuppressDiagnosticsCallback = handled =>
            handled.Exception is not OutOfMemoryException
            && Describe(handled.HttpContext, handled.Exception).Status != StatusCodes.Status500InternalServerError,
    };

    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        (int status, string title, string? detail) = Describe(httpContext, exception);
        if (status is StatusCodes.Status503ServiceUnavailable or StatusCodes.Status429TooManyRequests)
            httpContext.Response.Headers.RetryAfter = "1";
        await Problem.WriteAsync(httpContext, status, title, Excerpt.Of(detail, MaxDetail), exception).ConfigureAwait(false);
        return true;
    }

    private static (int Status, string Title, string? Detail) Describe(HttpContext context, Exception exception) => exception switch
    {
        BadHttpRequestException bad => (bad.StatusCode, "The request cannot be read.", bad.InnerException?.Message ?? bad.Message),
        ArgumentException argument => (StatusCodes.Status400BadRequest, "The request does not fit.", WithoutParameter(argument)),
        InvalidDataException => (StatusCodes.Status400BadRequest, "The request does not fit.", exception.Message),
        AttentionOverloadedException => (StatusCodes.Status503ServiceUnavailable, "The service has too much to do.", exception.Message),
        AttentionCacheFullException => (StatusCodes.Status429TooManyRequests, "There is no room for more.", exception.Message),
        AttentionSessionEndedException => (StatusCodes.Status410Gone, "The session has ended.", exception.Message),
        AttentionSessionLengthException => (StatusCodes.Status409Conflict, "The session has other tokens.", exception.Message),
        SessionMissingException => (StatusCodes.Status404NotFound, "There is no such session.", exception.Message),
        BusyException => (StatusCodes.Status503ServiceUnavailable, "The service has too much to do.", exception.Message),
        AttentionMemoryException => (StatusCodes.Status503ServiceUnavailable, "There is not enough memory.", exception.Message),
        OutOfMemoryException => (StatusCodes.Status503ServiceUnavailable, "There is not enough memory.", null),
        AttentionDeviceException => (StatusCodes.Status500InternalServerError, "The device failed.", null),
        ObjectDisposedException => (StatusCodes.Status503ServiceUnavailable, "The service is shutting down.", null),
        OperationCanceledException when context.RequestAborted.IsCancellationRequested =>
            (ClientClosedRequest, "The client has gone.", null),

        // While a body is read, the server tells of a lost connection by these before it cancels the request.
        ConnectionResetException or ConnectionAbortedException => (ClientClosedRequest, "The client has gone.", null),
        _ => (StatusCodes.Status500InternalServerError, "Something went wrong.", null),
    };

    // The name of a parameter is that of a method in the code.
    private static string WithoutParameter(ArgumentException exception)
    {
        string added = exception.ParamName is { } name ? $" (Parameter '{name}')" : "";
        return added.Length == 0 ? exception.Message : exception.Message.Replace(added, "", StringComparison.Ordinal);
    }
}
