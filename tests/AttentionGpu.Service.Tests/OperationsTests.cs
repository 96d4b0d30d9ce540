using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Mvc.Testing;

namespace AttentionGpu.Service.Tests;

/// <summary>Where metrics and the description are answered.</summary>
public class OperationsTests
{
    private const int Public = 8080;
    private const int Operations = 9090;

    private static readonly (string, string) _port = ("Access:OperationsPort", $"{Operations}");

    private static readonly (string, string)[] _keys =
        [("Access:Scheme", "ApiKey"), ("Access:Keys:alice", "the key of alice, 32 characters.")];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(GuardedService.Metrics, 404, 200)]
    [InlineData(GuardedService.Description, 404, 200)]
    [InlineData(GuardedService.Health, 200, 200)]
    [InlineData(GuardedService.Layers, 200, 404)]
    [InlineData("/", 200, 404)]
    [InlineData("/index.html", 200, 404)]
    [InlineData("/v1/nothing", 404, 404)]
    public async Task A_port_of_their_own_has_what_is_for_operators_and_nothing_else(string path, int onPublic, int onOperations)
    {
        using var service = new GuardedService(_port);
        foreach ((int port, int status) in ((int, int)[])[(Public, onPublic), (Operations, onOperations)])
        {
            using HttpResponseMessage answer = await service.GetAsync(path, Token, port: port);
            Assert.Equal(status, (int)answer.StatusCode);

            // The port in a header is what a client likes it to be.
            using HttpResponseMessage pretended = await service.GetAsync(
                path, Token, port: port, headers: ("Host", $"localhost:{(port == Public ? Operations : Public)}"));
            Assert.Equal(status, (int)pretended.StatusCode);
        }
    }

    [Theory]
    [InlineData(false, null, 401)]
    [InlineData(false, true, 200)]
    [InlineData(false, false, 401)]
    [InlineData(true, null, 200)]
    [InlineData(true, true, 200)]
    [InlineData(true, false, 401)]
    public async Task Operators_need_a_key_unless_a_setting_or_a_port_lets_them_in(bool hasPort, bool? isAnonymous, int status)
    {
        (string, string)[] settings = isAnonymous is null ? _keys : [.. _keys, ("Access:OperationsAnonymous", $"{isAnonymous}")];
        using var service = new GuardedService(hasPort ? [.. settings, _port] : settings);
        foreach (string path in (string[])[GuardedService.Metrics, GuardedService.Description])
        {
            using HttpResponseMessage answer = await service.GetAsync(path, Token, port: Operations);
            Assert.Equal(status, (int)answer.StatusCode);
        }

        using HttpResponseMessage layers = await service.GetAsync(GuardedService.Layers, Token, port: Public);
        Assert.Equal(401, (int)layers.StatusCode);
    }

    [Fact]
    public async Task A_port_that_the_server_listens_on_has_the_metrics_alone()
    {
        await using var small = new SmallService();
        int port = FreePort();
        await using WebApplicationFactory<Program> host = small.WithWebHostBuilder(builder => builder
            .UseSetting("Access:OperationsPort", $"{port}"));
        host.UseKestrel(options =>
        {
            options.Listen(IPAddress.Loopback, 0);
            options.Listen(IPAddress.Loopback, port);
        });
        host.StartServer();
        using var client = new HttpClient();
        using HttpResponseMessage metrics = await client.GetAsync(new Uri($"http://127.0.0.1:{port}/metrics"), Token);
        Assert.Equal(HttpStatusCode.OK, metrics.StatusCode);
        using HttpResponseMessage layers = await client.GetAsync(new Uri($"http://127.0.0.1:{port}/v1/layers"), Token);
        Assert.Equal(HttpStatusCode.NotFound, layers.StatusCode);
    }

    [Fact]
    public async Task A_port_that_the_server_does_not_listen_on_stops_the_start()
    {
        Exception exception = await RefusedStart.RunAsync(("Access:OperationsPort", "1"));
        Assert.IsType<InvalidOperationException>(exception);
        Assert.StartsWith(
            "Access:OperationsPort must be a port that the server listens on; it was 1, and the server listens on http://",
            exception.Message, StringComparison.Ordinal);
    }

    // Below the ports that systems give to those who name none: another test, or a connection, could get the port before the service does.
    private static int FreePort()
    {
        while (true)
        {
            int port = Random.Shared.Next(20_000, 30_000);
            using var listener = new TcpListener(IPAddress.Loopback, port);
            try
            {
                listener.Start();
                return port;
            }
            catch (SocketException)
            {
                // Somebody has it.
            }
        }
    }
}
