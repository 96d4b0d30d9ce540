using Microsoft.AspNetCore.Mvc;

namespace AttentionGpu.Service.Guards;

/// <summary>Answers with problem details (RFC 9457).</summary>
internal static class Problem
{
    /// <summary>Writes a problem. The answer must not have started.</summary>
    public static async Task WriteAsync(HttpContext context, int status, string title, string? detail, Exception? exception = null)
    {
        context.Response.StatusCode = status;

        // A client that accepts safetensors files alone must still be told what is wrong.
        context.Request.Headers.Accept = default;
        await context.RequestServices.GetRequiredService<IProblemDetailsService>().WriteAsync(new ProblemDetailsContext
        {
            HttpContext = context,
            ProblemDetails = new ProblemDetails { Status = status, Title = title, Detail = detail },
            Exception = exception,
        }).ConfigureAwait(false);
    }
}
