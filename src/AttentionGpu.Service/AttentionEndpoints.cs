using System.Text.Json;
using AttentionGpu.Hosting;
using AttentionGpu.Serialization;
using AttentionGpu.Service.Guards;

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
        ApiDescription.Describe(app.MapPost("/v1/attention", HandleAsync)
            .RequireRateLimiting(RateLimits.AllTogether)
            .WithSummary("Self-attention of one sequence by a layer.")
            .WithDescription(
                $"JSON, or a safetensors file ({SafetensorsBody.ContentType}) with a tensor 'input' [tokens, embedding size]; the answer "
                + "is of the same kind. Numbers in JSON are rounded to the layer's element type. A file's tensor has that type (F32, F16 or "
                + "BF16), or is F16 or BF16 for a layer of float32, which keeps their values; the answer's tensor has the layer's type.")
            .Accepts<AttentionRequest>("application/json", SafetensorsBody.ContentType)
            .Produces<AttentionResponse>()
            .ProducesProblem(StatusCodes.Status400BadRequest)
            .ProducesProblem(StatusCodes.Status413PayloadTooLarge)
            .ProducesProblem(StatusCodes.Status415UnsupportedMediaType)
            .ProducesProblem(StatusCodes.Status429TooManyRequests)
            .ProducesProblem(StatusCodes.Status503ServiceUnavailable));
    }

    private static async Task<IResult> HandleAsync(HttpContext context, IAttentionService service, ServiceLimits limits)
    {
        CancellationToken aborted = context.RequestAborted;
        var query = RequestQuery.Read(context.Request.Query);
        if (RequestContent.IsSafetensors(context.Request))
        {
            using SafetensorsFile file = await SafetensorsBody.ReadAsync(context.Request, aborted).ConfigureAwait(false);
            if (!file.Entries.TryGetValue(SafetensorsBody.Input, out SafetensorsEntry? input))
                throw new InvalidDataException($"The body has no tensor '{SafetensorsBody.Input}'.");
            IAttentionLayer named = Find(service, query.Layer);
            IReadOnlyList<nint> lengths = input.Lengths;
            if (lengths.Count != 2 || lengths[1] != named.Config.EmbeddingSize)
            {
                throw new ArgumentException(
                    $"'input' must be [tokens, {named.Config.EmbeddingSize}]; it was [{string.Join(", ", lengths)}].");
            }

            RequireTokens((long)lengths[0], limits.MaxTokens);
            TensorType.Require(input.Type, named);
            await LayerCalls.Of(named)
                .ForwardAsync(named, file, Options(context, query), context.Response, aborted).ConfigureAwait(false);
            return Results.Empty;
        }

        AttentionRequest request = await ReadAsync(context).ConfigureAwait(false);
        query = query.Join(request.Layer, request.Causal);
        return Results.Ok(
            await ForwardAsync(request, Find(service, query.Layer), limits, Options(context, query), aborted).ConfigureAwait(false));
    }

    private static async Task<AttentionRequest> ReadAsync(HttpContext context)
    {
        try
        {
            return await JsonSerializer
                .DeserializeAsync<AttentionRequest>(context.Request.Body, ServiceJson.Requests, context.RequestAborted).ConfigureAwait(false)
                ?? throw new ArgumentException("The body must be an object.");
        }
        catch (JsonException exception)
        {
            throw new BadHttpRequestException(JsonFault.Describe(exception), StatusCodes.Status400BadRequest);
        }
    }

    private static async Task<AttentionResponse> ForwardAsync(
        AttentionRequest request, IAttentionLayer layer, ServiceLimits limits, ForwardOptions options, CancellationToken aborted)
    {
        int tokens = request.Input.Length;
        RequireTokens(tokens, request.Weights ? limits.MaxWeightTokens : limits.MaxTokens);
        return await LayerCalls.Of(layer).ForwardAsync(layer, request.Input, options, request.Weights, aborted).ConfigureAwait(false);
    }

    // Clients take turns.
    private static ForwardOptions Options(HttpContext context, RequestQuery query) => new()
    {
        Causal = query.Causal == true ? Causal.TopLeft : Causal.None,
        Client = ClientIdentity.Of(context),
    };

    private static IAttentionLayer Find(IAttentionService service, string? name)
    {
        if (name is null && service.Layers.Count == 1)
            return service.Layers.Values.First();
        return name is not null && service.Layers.TryGetValue(name, out IAttentionLayer? layer)
            ? layer
            : throw new ArgumentException($"'layer' must be one of {string.Join(", ", service.Layers.Keys.Order())}; it was '{Short.Text(name ?? "")}'.");
    }

    private static void RequireTokens(long tokens, int most)
    {
        if (tokens > most)
            throw new ArgumentException($"'input' must have at most {most} tokens; it has {tokens}.");
    }
}
