using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace AttentionGpu.Service.Guards;

/// <summary>
/// Keeps what is for operators on a port of its own. The port is that of the connection: the header <c>Host</c>, by which
/// <c>RequireHost</c> tells ports, is whatever a client writes.
/// </summary>
internal sealed class OperationsPort(IServer server, AccessOptions access) : IHostedLifecycleService
{
    /// <summary>Where an endpoint is answered.</summary>
    private enum Place
    {
        /// <summary>On the operations port, if there is one.</summary>
        Operations,

        /// <summary>On every port.</summary>
        Everywhere,
    }

    /// <summary>Marks endpoints that are for operators.</summary>
    public static void MapOperation(IEndpointConventionBuilder endpoint, AccessOptions access)
    {
        endpoint.WithMetadata(Place.Operations);
        if (access.AreOperationsOpen())
            endpoint.AllowAnonymous();
    }

    /// <summary>Marks the endpoint that load balancers ask, on whichever port they reach.</summary>
    public static void MapHealth(IEndpointConventionBuilder endpoint) => endpoint.WithMetadata(Place.Everywhere).AllowAnonymous();

    /// <summary>Whether an endpoint is for operators, the health check included.</summary>
    public static bool IsOperation(HttpContext context) => PlaceOf(context) is not null;

    /// <summary>Answers 404 on the port where an endpoint is not.</summary>
    public static void Use(IApplicationBuilder app, AccessOptions access)
    {
        if (access.OperationsPort is not { } port)
            return;
        app.Use((context, next) =>
        {
            bool isHere = PlaceOf(context) switch
            {
                Place.Everywhere => true,
                Place.Operations => context.Connection.LocalPort == port,
                _ => context.Connection.LocalPort != port,
            };
            if (isHere)
                return next(context);
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        });
    }

    /// <summary>Stops the start if the server does not listen on the port: the endpoints would be nowhere.</summary>
    public Task StartedAsync(CancellationToken cancellationToken)
    {
        // The server of tests has no addresses.
        ICollection<string> addresses = server.Features.Get<IServerAddressesFeature>()?.Addresses ?? [];
        if (access.OperationsPort is { } port && addresses.Count > 0 && addresses.All(one => BindingAddress.Parse(one).Port != port))
        {
            throw new InvalidOperationException(
                $"Access:OperationsPort must be a port that the server listens on; it was {port}, and the server listens on "
                + $"{string.Join(", ", addresses)}. Add it to ASPNETCORE_URLS, such as http://*:8080;http://127.0.0.1:{port}.");
        }

        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private static Place? PlaceOf(HttpContext context) =>
        context.GetEndpoint()?.Metadata.OfType<Place>().Cast<Place?>().FirstOrDefault();
}
