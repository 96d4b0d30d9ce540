using AttentionGpu.Hosting;
using AttentionGpu.Serialization;
using Microsoft.AspNetCore.Mvc;

namespace AttentionGpu.Service;

/// <summary>What the service answers.</summary>
internal static class AttentionEndpoints
{
    public static void Map(WebApplication app)
    {
        app.MapGet("/v1/layers", (IAttentionService service) => service.Layers.Values.Select(layer => new LayerDescription(
                layer.Name, layer.Config.EmbeddingSize, layer.Config.Heads, layer.Config.KeyValueHeads ?? layer.Config.Heads,
                LayerCalls.Of(layer).ElementType)))
            .WithSummary("The layers, their sizes and element types.");
        app.MapPost("/v1/attention", HandleAsync)
            .WithSummary("Self-attention of one sequence by a layer.")
            .WithDescription(
                $"JSON, or a safetensors file ({SafetensorsBody.ContentType}) with a tensor 'input' [tokens, embedding size] and the layer "
                + "and causal in the query; the answer is of the same kind. Numbers in JSON are rounded to the layer's element type. A file's "
                + "tensor has that type (F32, F16 or BF16), or is F16 or BF16 for a layer of float32, which keeps their values; the answer's "
                + "tensor has the layer's type.")
            .Accepts<AttentionRequest>("application/json", SafetensorsBody.ContentType)
            .Produces<AttentionResponse>()
            .ProducesProblem(StatusCodes.Status400BadRequest)
            .ProducesProblem(StatusCodes.Status413PayloadTooLarge)
            .ProducesProblem(StatusCodes.Status415UnsupportedMediaType)
            .ProducesProblem(StatusCodes.Status503ServiceUnavailable);
    }

    private static async Task<IResult> HandleAsync(
        HttpContext context, IAttentionService service, ServiceLimits limits, MemoryBudget budget, [FromQuery] string? layer,
        [FromQuery] bool causal = false)
    {
        using MemoryLease lease = budget.Open(context.Request.ContentLength);
        var exchange = new AttentionExchange(context, limits, lease);
        if (context.Request.ContentType?.StartsWith(SafetensorsBody.ContentType, StringComparison.OrdinalIgnoreCase) == true)
        {
            using SafetensorsBody body = await SafetensorsBody.ReadAsync(context, limits, lease).ConfigureAwait(false);
            if (!body.File.Entries.TryGetValue(SafetensorsBody.Input, out SafetensorsEntry? input))
                throw new InvalidDataException($"The body has no tensor '{SafetensorsBody.Input}'.");
            IAttentionLayer named = Find(service, layer);
            IReadOnlyList<nint> lengths = input.Lengths;
            if (lengths.Count != 2 || lengths[1] != named.Config.EmbeddingSize)
                throw new ArgumentException($"'input' must be [tokens, {named.Config.EmbeddingSize}]; it was [{string.Join(", ", lengths)}].");
            RequireTokens((long)lengths[0], limits.MaxTokens);
            await LayerCalls.Of(named).ForwardAsync(named, body, Options(context, causal), exchange).ConfigureAwait(false);
            return Results.Empty;
        }

        if (!context.Request.HasJsonContentType())
            return Results.Problem($"The content type must be application/json or {SafetensorsBody.ContentType}.", statusCode: StatusCodes.Status415UnsupportedMediaType);
        using var request = new JsonRequest(service, limits, lease);
        await new JsonRequestReader(request).ReadAsync(context, limits).ConfigureAwait(false);
        RequireTokens(request.Tokens, request.Weights ? limits.MaxWeightTokens : limits.MaxTokens);
        await LayerCalls.Of(request.Layer!).ForwardAsync(request, Options(context, request.Causal), exchange).ConfigureAwait(false);
        return Results.Empty;
    }

    // Clients take turns; one that names itself may use several connections.
    private static ForwardOptions Options(HttpContext context, bool causal) => new()
    {
        Causal = causal ? Causal.TopLeft : Causal.None,
        Client = context.Request.Headers["X-Api-Key"].ToString() is { Length: > 0 } key ? key : context.Connection.Id,
    };

    /// <summary>The layer of a name; without a name, the only one.</summary>
    internal static IAttentionLayer Find(IAttentionService service, string? name)
    {
        if (name is null && service.Layers.Count == 1)
            return service.Layers.Values.First();
        return name is not null && service.Layers.TryGetValue(name, out IAttentionLayer? layer)
            ? layer
            : throw new ArgumentException($"'layer' must be one of {string.Join(", ", service.Layers.Keys.Order())}; it was '{Excerpt.Of(name)}'.");
    }

    /// <summary>Refuses a longer sequence.</summary>
    internal static void RequireTokens(long tokens, int most)
    {
        if (tokens > most)
            throw new ArgumentException($"'input' must have at most {most} tokens; it has {tokens}.");
    }
}
