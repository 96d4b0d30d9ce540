using System.Text.Json;
using AttentionGpu.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace AttentionGpu.Service.Tests;

/// <summary>The status of each kind of exception; the caller is told only of mistakes that a caller can put right.</summary>
public class ProblemTests
{
    public static TheoryData<Exception, bool, int, string, string?> Exceptions => new()
    {
        { new BadHttpRequestException("too large", 413), false, 413, "The request cannot be read.", "too large" },
        { new BadHttpRequestException("outer", 400, new JsonException("inner")), false, 400, "The request cannot be read.", "inner" },
        { new ArgumentException("argument"), false, 400, "The request does not fit.", "argument" },
        { new ArgumentException("named", "parameter"), false, 400, "The request does not fit.", "named" },
        { new ArgumentOutOfRangeException(null, "range"), false, 400, "The request does not fit.", "range" },
        { new InvalidDataException("data"), false, 400, "The request does not fit.", "data" },
        {
            new AttentionOverloadedException("QueueLimit", 3), false, 503, "The service has too much to do.",
            "As many requests are waiting as may: QueueLimit is 3. Try again later."
        },
        { new AttentionDeviceException("gpu", new InvalidOperationException("lost")), false, 500, "The device failed.", null },
        { new InsufficientMemoryException("inside"), false, 503, "There is not enough memory.", null },
        { new ObjectDisposedException("service"), false, 503, "The service is shutting down.", null },
        { new OperationCanceledException(), true, 499, "The client has gone.", null },
        { new TaskCanceledException(), true, 499, "The client has gone.", null },
        { new OperationCanceledException(), false, 500, "Something went wrong.", null },
        { new InvalidOperationException("inside"), false, 500, "Something went wrong.", null },
        { new InvalidOperationException("inside"), true, 500, "Something went wrong.", null },
    };

    [Theory]
    [MemberData(nameof(Exceptions), DisableDiscoveryEnumeration = true)]
    public async Task An_exception_has_its_status(Exception exception, bool clientHasGone, int status, string title, string? detail)
    {
        await using ServiceProvider provider = new ServiceCollection().AddLogging().AddProblemDetails().BuildServiceProvider();
        using var body = new MemoryStream();
        var context = new DefaultHttpContext { RequestServices = provider, RequestAborted = new CancellationToken(clientHasGone) };
        context.Response.Body = body;
        var problems = new AttentionProblems();
        Assert.True(await problems.TryHandleAsync(context, exception, TestContext.Current.CancellationToken));
        Assert.Equal(status, context.Response.StatusCode);
        Assert.Equal(status == 503 ? "1" : "", context.Response.Headers.RetryAfter.ToString());
        if (clientHasGone)
            return;
        using JsonDocument problem = JsonDocument.Parse(body.ToArray());
        Assert.Equal(status, problem.RootElement.GetProperty("status").GetInt32());
        Assert.Equal(title, problem.RootElement.GetProperty("title").GetString());
        Assert.Equal(detail, problem.RootElement.TryGetProperty("detail", out JsonElement element) ? element.GetString() : null);
    }
}
