using System.Text.RegularExpressions;
using AttentionGpu.Hosting;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace AttentionGpu.Service.Tests;

/// <summary>What an operator sees.</summary>
[Collection<AloneTests>]
public class ObservabilityTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(500, true)]
    [InlineData(503, false)]
    [InlineData(503, true)]
    [InlineData(400, false)]
    public async Task What_is_the_fault_of_the_service_is_logged_once_and_all_is_counted(int status, bool isLogged)
    {
        Exception exception = (status, isLogged) switch
        {
            (500, _) => new InvalidOperationException("an inner fault"),
            (503, true) => new InsufficientMemoryException("an inner fault"),
            (503, _) => new AttentionOverloadedException("QueueLimit", 1),
            _ => new ArgumentException("an argument"),
        };
        var log = new ErrorLog();
        using var service = new GuardedService(
            services => services.AddSingleton<IAttentionService>(new RecordingService(exception)).AddSingleton<ILoggerProvider>(log),
            ("Logging:LogLevel:Default", "Warning"), ("Logging:LogLevel:Microsoft.AspNetCore", "Warning"));
        using HttpResponseMessage answer = await service.SendAsync(GuardedService.Attention(SmallService.Input(1)), Token);
        await Answers.AssertProblemAsync(answer, status, Token);
        Assert.Equal(isLogged ? [exception] : [], log.Exceptions);

        // The measurement comes when the answer has gone. The type of the exception is a label before those of the answer.
        string error = $"error_type=\"{Regex.Escape($"{exception.GetType()}")}\"[^}}]*";
        string counted = $"http_response_status_code=\"{status}\"[^}}]*http_route=\"/v1/attention\"";
        string metrics = "";
        await Wait.UntilAsync(() =>
        {
            using HttpResponseMessage scraped = service.GetAsync(GuardedService.Metrics, Token).GetAwaiter().GetResult();
            metrics = scraped.Content.ReadAsStringAsync(Token).GetAwaiter().GetResult();
            return Regex.IsMatch(metrics, $"http_server_request_duration_seconds_count{{[^}}]*{(isLogged ? error : "")}{counted}");
        });
        Assert.Equal(isLogged, Regex.IsMatch(metrics, $"{error}{counted}"));
    }

    [Fact]
    public async Task A_connection_that_is_lost_while_a_body_is_read_is_no_fault_of_the_service()
    {
        foreach (Exception exception in (Exception[])[new ConnectionResetException("reset"), new ConnectionAbortedException("aborted")])
        {
            var log = new ErrorLog();
            using var service = new GuardedService(
                services => services.AddSingleton<IAttentionService>(new RecordingService(exception)).AddSingleton<ILoggerProvider>(log),
                ("Logging:LogLevel:Default", "Warning"), ("Logging:LogLevel:Microsoft.AspNetCore", "Warning"));
            using HttpResponseMessage answer = await service.SendAsync(GuardedService.Attention(SmallService.Input(1)), Token);
            await Answers.AssertProblemAsync(answer, 499, Token);
            Assert.Empty(log.Exceptions);
        }
    }

    [Fact]
    public async Task Meters_of_the_framework_and_the_runtime_are_exported_beside_our_own()
    {
        using var service = new GuardedService();
        using HttpResponseMessage answer = await service.SendAsync(GuardedService.Attention(SmallService.Input(1)), Token);
        answer.EnsureSuccessStatusCode();
        using HttpResponseMessage scraped = await service.GetAsync(GuardedService.Metrics, Token);
        string metrics = await scraped.Content.ReadAsStringAsync(Token);
        foreach (string name in (string[])
            [
                "attention_requests_total", "http_server_active_requests", "aspnetcore_rate_limiting_requests_total",
                "dotnet_process_memory_working_set_bytes", "attention_queue_wait_seconds_bucket",
            ])
        {
            Assert.Contains(name, metrics, StringComparison.Ordinal);
        }
    }
}
