using System.Text.Json;
using AttentionGpu.Hosting;
using AttentionGpu.Serialization;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using JsonOptions = Microsoft.AspNetCore.Http.Json.JsonOptions;

namespace AttentionGpu.Service;

/// <summary>What the service answers.</summary>
internal static class AttentionEndpoints
{
    public static void Map(WebApplication app)
    {
        app.MapGet("/v1/layers", (AttentionService service) => service.Layers.Values.Select(layer => new LayerDescription(
                layer.Name, layer.Config.EmbeddingSize, layer.Config.Heads, layer.Config.KeyValueHeads ?? layer.Config.Heads)))
            .WithSummary("The layers and their sizes.");
        app.MapPost("/v1/attention", HandleAsync)
            .WithSummary("Self-attention of one sequence by a layer.")
            .WithDescription(
                $"JSON, or a safetensors file ({SafetensorsBody.ContentType}) with a tensor 'input' [tokens, embedding size] and the layer and causal in the "
                + "query; the answer is of the same kind.")
            .Accepts<AttentionRequest>("application/json", SafetensorsBody.ContentType)
            .Produces<AttentionResponse>()
            .ProducesProblem(StatusCodes.Status400BadRequest)
            .ProducesProblem(StatusCodes.Status413PayloadTooLarge)
            .ProducesProblem(StatusCodes.Status415UnsupportedMediaType)
            .ProducesProblem(StatusCodes.Status503ServiceUnavailable);
    }

    private static async Task<IResult> HandleAsync(
        HttpContext context, AttentionService service, ServiceLimits limits, IOptions<JsonOptions> json, [FromQuery] string? layer,
        [FromQuery] bool causal = false)
    {
        CancellationToken aborted = context.RequestAborted;
        if (context.Request.ContentType?.StartsWith(SafetensorsBody.ContentType, StringComparison.OrdinalIgnoreCase) == true)
        {
            using SafetensorsFile file = await SafetensorsBody.ReadAsync(context.Request, aborted).ConfigureAwait(false);
            if (!file.Entries.TryGetValue(SafetensorsBody.Input, out SafetensorsEntry? input))
                throw new InvalidDataException($"The body has no tensor '{SafetensorsBody.Input}'.");
            AttentionLayer named = Find(service, layer);
            IReadOnlyList<nint> lengths = input.Lengths;
            if (lengths.Count != 2 || lengths[1] != named.Config.EmbeddingSize)
                throw new ArgumentException($"'input' must be [tokens, {named.Config.EmbeddingSize}]; it was [{string.Join(", ", lengths)}].");
            RequireTokens((long)lengths[0], limits.MaxTokens);
            await SafetensorsBody.ForwardAsync(named, causal ? Causal.TopLeft : Causal.None, file, context.Response, aborted).ConfigureAwait(false);
            return Results.Empty;
        }

        if (!context.Request.HasJsonContentType())
            return Results.Problem($"The content type must be application/json or {SafetensorsBody.ContentType}.", statusCode: StatusCodes.Status415UnsupportedMediaType);
        return Results.Ok(await ForwardAsync(await ReadAsync(context, json.Value).ConfigureAwait(false), service, limits, aborted).ConfigureAwait(false));
    }

    private static async Task<AttentionRequest> ReadAsync(HttpContext context, JsonOptions json)
    {
        try
        {
            return await context.Request.ReadFromJsonAsync<AttentionRequest>(json.SerializerOptions, context.RequestAborted).ConfigureAwait(false)
                ?? throw new ArgumentException("The body must be an object.");
        }
        catch (JsonException exception)
        {
            throw new BadHttpRequestException(exception.Message, StatusCodes.Status400BadRequest, exception);
        }
    }

    private static async Task<AttentionResponse> ForwardAsync(
        AttentionRequest request, AttentionService service, ServiceLimits limits, CancellationToken aborted)
    {
        AttentionLayer layer = Find(service, request.Layer);
        int size = layer.Config.EmbeddingSize;
        int tokens = request.Input.Length;
        RequireTokens(tokens, request.Weights ? limits.MaxWeightTokens : limits.MaxTokens);
        var input = new float[tokens * size];
        for (int i = 0; i < tokens; i++)
        {
            float[]? row = request.Input[i];
            if (row?.Length != size)
                throw new ArgumentException($"Row {i} of 'input' must have {size} numbers, the embedding size of '{layer.Name}'; it has {row?.Length ?? 0}.");
            row.CopyTo(input, i * size);
        }

        Causal causal = request.Causal ? Causal.TopLeft : Causal.None;
        var output = new float[input.Length];
        if (!request.Weights || tokens == 0)
        {
            await layer.ForwardAsync(input, output, causal, aborted).ConfigureAwait(false);
            return new AttentionResponse([.. output.Chunk(size)]);
        }

        var weights = new float[layer.Config.Heads * tokens * tokens];
        await layer.ForwardWithWeightsAsync(input, output, weights, causal, aborted).ConfigureAwait(false);
        return new AttentionResponse([.. output.Chunk(size)], [.. weights.Chunk(tokens * tokens).Select(head => head.Chunk(tokens).ToArray())]);
    }

    private static AttentionLayer Find(AttentionService service, string? name)
    {
        if (name is null && service.Layers.Count == 1)
            return service.Layers.Values.First();
        return name is not null && service.Layers.TryGetValue(name, out AttentionLayer? layer)
            ? layer
            : throw new ArgumentException($"'layer' must be one of {string.Join(", ", service.Layers.Keys.Order())}; it was '{name}'.");
    }

    private static void RequireTokens(long tokens, int most)
    {
        if (tokens > most)
            throw new ArgumentException($"'input' must have at most {most} tokens; it has {tokens}.");
    }
}
