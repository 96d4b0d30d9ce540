using System.Globalization;
using AttentionGpu.Hosting;
using AttentionGpu.Serialization;
using AttentionGpu.Service.Guards;
using Microsoft.Extensions.Options;

namespace AttentionGpu.Service;

/// <summary>What the service answers.</summary>
internal static class AttentionEndpoints
{
    public static void Map(WebApplication app)
    {
        app.MapGet("/v1/layers", (IAttentionService service, IOptions<AttentionServiceOptions> options) =>
                service.Layers.Values.Select(layer => Describe(layer, options.Value)))
            .WithSummary("The layers: sizes, element types, whether they are causal, and the models that they are of.");
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

    /// <summary>Reads a sequence and answers with its output: of a request by itself, or of a session's step.</summary>
    /// <param name="context">The request.</param>
    /// <param name="query">The layer and the causal rule, as far as the query tells them.</param>
    /// <param name="step">The step; null for a request by itself.</param>
    /// <param name="service">The layers.</param>
    /// <param name="limits">What the request may ask for.</param>
    /// <param name="budget">The memory of all requests.</param>
    public static async Task AnswerAsync(
        HttpContext context, RequestQuery query, SessionStep? step, IAttentionService service, ServiceLimits limits,
        MemoryBudget budget)
    {
        bool isFile = RequestContent.IsSafetensors(context.Request);
        using MemoryLease lease = budget.Open(context.Request.ContentLength);
        var exchange = new AttentionExchange(context, limits, lease);
        if (isFile)
        {
            using SafetensorsBody body = await SafetensorsBody.ReadAsync(context, limits, lease).ConfigureAwait(false);
            if (!body.File.Entries.TryGetValue(SafetensorsBody.Input, out SafetensorsEntry? input))
                throw new InvalidDataException($"The body has no tensor '{SafetensorsBody.Input}'.");
            IAttentionLayer named = Find(service, query.Layer);
            IReadOnlyList<nint> lengths = input.Lengths;
            if (lengths.Count != 2 || lengths[1] != named.Config.EmbeddingSize)
            {
                throw new ArgumentException(
                    $"'input' must be [tokens, {named.Config.EmbeddingSize}]; it was [{string.Join(", ", lengths)}].");
            }

            RequireTokens((long)lengths[0], limits.MaxTokens);
            TensorType.Require(input, named);
            await LayerCalls.Of(named).ForwardAsync(named, body, Options(context, query.Causal), step, exchange).ConfigureAwait(false);
            return;
        }

        using var request = new JsonRequest(service, limits, lease, query);
        await new JsonRequestReader(request).ReadAsync(context, limits).ConfigureAwait(false);
        RequireTokens(request.Tokens, request.Weights ? limits.MaxWeightTokens : limits.MaxTokens);
        if (step is not null && (request.Causal is not null || request.Weights))
            throw new ArgumentException("'causal' and 'weights' must be left out in a step of a session: its tokens see those before.");
        bool? causal = query.Join(layer: null, request.Causal).Causal;
        await LayerCalls.Of(request.Layer!).ForwardAsync(request, Options(context, causal), step, exchange).ConfigureAwait(false);
    }

    private static Task HandleAsync(HttpContext context, IAttentionService service, ServiceLimits limits, MemoryBudget budget) =>
        AnswerAsync(context, RequestQuery.Read(context.Request.Query), step: null, service, limits, budget);

    // Of a model its folder's name alone: clients need not know where files are.
    private static LayerDescription Describe(IAttentionLayer layer, AttentionServiceOptions options)
    {
        AttentionLayerOptions? configured = options.Layers.TryGetValue(layer.Name, out AttentionLayerOptions? own) ? own : null;
        string? model = configured?.Model is string path
            ? Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)))
            : null;
        return new LayerDescription(
            layer.Name, layer.Config.EmbeddingSize, layer.Config.Heads, layer.Config.KeyValueHeads ?? layer.Config.Heads,
            LayerCalls.Of(layer).ElementType, layer.Causal != Causal.None, model, model is null ? null : NameInModel(configured!),
            layer.Sessions?.Capacity);
    }

    private static string? NameInModel(AttentionLayerOptions layer) =>
        layer.Layer is not int index ? layer.Prefix
        : layer.Stack is ModelStack stack ? $"{stack.ToString().ToLowerInvariant()} {index.ToString(CultureInfo.InvariantCulture)}"
        : index.ToString(CultureInfo.InvariantCulture);

    // Clients take turns.
    private static ForwardOptions Options(HttpContext context, bool? causal) => new()
    {
        Causal = causal is bool isCausal ? isCausal ? Causal.TopLeft : Causal.None : null,
        Client = ClientIdentity.Of(context),
    };

    /// <summary>The layer of a name; without a name, the only one.</summary>
    internal static IAttentionLayer Find(IAttentionService service, string? name)
    {
        if (name is null && service.Layers.Count == 1)
            return service.Layers.Values.First();
        return name is not null && service.Layers.TryGetValue(name, out IAttentionLayer? layer)
            ? layer
            : throw new ArgumentException(
                $"'layer' must be one of {string.Join(", ", service.Layers.Keys.Order())}; it was '{Excerpt.Of(name)}'.");
    }

    /// <summary>Refuses a longer sequence.</summary>
    internal static void RequireTokens(long tokens, int most)
    {
        if (tokens > most)
            throw new ArgumentException($"'input' must have at most {most} tokens; it has {tokens}.");
    }
}
