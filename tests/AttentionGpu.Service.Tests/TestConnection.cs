using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace AttentionGpu.Service.Tests;

/// <summary>Gives requests the connection that their headers say: the server of tests has none.</summary>
internal sealed class TestConnection : IStartupFilter
{
    private const string Address = "test-address";
    private const string Port = "test-port";

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use((context, following) =>
        {
            string address = context.Request.Headers[Address].ToString();
            context.Connection.RemoteIpAddress = address.Length == 0 ? null : IPAddress.Parse(address);
            _ = int.TryParse(context.Request.Headers[Port], CultureInfo.InvariantCulture, out int port);
            context.Connection.LocalPort = port;
            return following(context);
        });
        next(app);
    };

    /// <summary>Puts what is given into a request.</summary>
    public static void Set(HttpRequestMessage request, string? address, int? port = null)
    {
        if (address is not null)
            request.Headers.Add(Address, address);
        if (port is not null)
            request.Headers.Add(Port, port.Value.ToString(CultureInfo.InvariantCulture));
    }
}
