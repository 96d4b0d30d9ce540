using AttentionGpu.Hosting;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Mvc;

namespace AttentionGpu.Service;

/// <summary>Errors as problem details (RFC 9457): what the caller can put right is told, what is ours is not.</summary>
internal sealed class AttentionProblems(IProblemDetailsService problems) : IExceptionHandler
{
    private const int ClientClosedRequest = 499;

    // A message may repeat what was sent.
    private const int MaxDetail = 400;

    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        (int status, string title, string? detail) = exception switch
        {
            BadHttpRequestException bad => (bad.StatusCode, "The request cannot be read.", bad.InnerException?.Message ?? bad.Message),
            ArgumentException or InvalidDataException => (StatusCodes.Status400BadRequest, "The request does not fit.", exception.Message),
            AttentionOverloadedException => (StatusCodes.Status503ServiceUnavailable, "The service has too much to do.", exception.Message),
            BusyException => (StatusCodes.Status503ServiceUnavailable, "The service has too much to do.", exception.Message),
            AttentionMemoryException => (StatusCodes.Status503ServiceUnavailable, "There is not enough memory.", exception.Message),
            AttentionDeviceException => (StatusCodes.Status500InternalServerError, "The device failed.", null),
            ObjectDisposedException => (StatusCodes.Status503ServiceUnavailable, "The service is shutting down.", null),
            OperationCanceledException when httpContext.RequestAborted.IsCancellationRequested => (ClientClosedRequest, "The client has gone.", null),
            _ => (StatusCodes.Status500InternalServerError, "Something went wrong.", (string?)null),
        };
        if (status == StatusCodes.Status503ServiceUnavailable)
            httpContext.Response.Headers.RetryAfter = "1";
        httpContext.Response.StatusCode = status;
        return await problems.TryWriteAsync(new ProblemDetailsContext
        {
            HttpContext = httpContext,
            Exception = exception,
            ProblemDetails = new ProblemDetails { Status = status, Title = title, Detail = Excerpt.Of(detail, MaxDetail) },
        }).ConfigureAwait(false);
    }
}
