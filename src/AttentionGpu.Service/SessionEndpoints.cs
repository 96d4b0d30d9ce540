using AttentionGpu.Hosting;
using AttentionGpu.Service.Guards;
using Microsoft.OpenApi;

namespace AttentionGpu.Service;

/// <summary>Sequences that the service keeps between requests. A session is its client's alone.</summary>
internal static class SessionEndpoints
{
    private const string Sessions = "/v1/sessions";
    private const string One = $"{Sessions}/{{id}}";

    public static void Map(WebApplication app)
    {
        ApiDescription.DescribeQuery(
            Describe(app.MapPost(Sessions, OpenAsync), "Opens a session of a layer.").Produces<SessionDescription>(StatusCodes.Status201Created),
            RequestQuery.LayerName, JsonSchemaType.String, "The layer's name in any case; not needed where there is one layer.");
        Describe(app.MapGet(One, Get), "The session.").Produces<SessionDescription>();
        RouteHandlerBuilder step = Describe(app.MapPost($"{One}/steps", StepAsync), "Adds tokens to a session and answers with their outputs.")
            .WithDescription(
                "As for /v1/attention: JSON with 'input' alone, or a safetensors file. Each token attends to all tokens of the session up to "
                + "itself. A step that fails leaves the session as it was.")
            .Accepts<StepBody>("application/json", SafetensorsBody.ContentType)
            .Produces<StepAnswer>()
            .ProducesProblem(StatusCodes.Status409Conflict)
            .ProducesProblem(StatusCodes.Status410Gone)
            .ProducesProblem(StatusCodes.Status413PayloadTooLarge)
            .ProducesProblem(StatusCodes.Status415UnsupportedMediaType);
        ApiDescription.DescribeStep(step);
        ApiDescription.DescribeQuery(
            step, RequestQuery.TokensName, JsonSchemaType.Integer,
            "Tokens that the session must have before: a step whose answer was lost is not added twice; any where it is left out.");
        ApiDescription.DescribeQuery(
            Describe(app.MapPost($"{One}/fork", ForkAsync), "A new session with the first tokens of this one.")
                .Produces<SessionDescription>(StatusCodes.Status201Created),
            RequestQuery.TokensName, JsonSchemaType.Integer, "Tokens of the new session; all where it is left out.");
        ApiDescription.DescribeQuery(
            Describe(app.MapPost($"{One}/rewind", RewindAsync), "Drops the last tokens of a session.").Produces<SessionDescription>(),
            RequestQuery.TokensName, JsonSchemaType.Integer, "Tokens that stay.", isRequired: true);
        Describe(app.MapDelete(One, CloseAsync), "Closes a session.").Produces(StatusCodes.Status204NoContent);
    }

    private static RouteHandlerBuilder Describe(RouteHandlerBuilder endpoint, string summary) => endpoint
        .RequireRateLimiting(RateLimits.AllTogether)
        .WithSummary(summary)
        .ProducesProblem(StatusCodes.Status400BadRequest)
        .ProducesProblem(StatusCodes.Status404NotFound)
        .ProducesProblem(StatusCodes.Status429TooManyRequests)
        .ProducesProblem(StatusCodes.Status503ServiceUnavailable);

    private static async Task<IResult> OpenAsync(HttpContext context, IAttentionService service)
    {
        RequestQuery.RequireNames(context.Request.Query, RequestQuery.LayerName);
        IAttentionLayer layer = AttentionEndpoints.Find(service, context.Request.Query[RequestQuery.LayerName]);
        AttentionSessions sessions = layer.Sessions
            ?? throw new ArgumentException($"The layer '{layer.Name}' has no sessions: its Cache is left out in the settings.");
        return Created(await sessions.OpenAsync(ClientIdentity.Of(context), context.RequestAborted).ConfigureAwait(false));
    }

    private static SessionDescription Get(HttpContext context, string id, IAttentionService service)
    {
        RequestQuery.RequireNames(context.Request.Query);
        return Describe(Find(context, id, service));
    }

    private static Task StepAsync(HttpContext context, string id, IAttentionService service, ServiceLimits limits, MemoryBudget budget)
    {
        RequestQuery.RequireNames(context.Request.Query, RequestQuery.TokensName);
        AttentionSession session = Find(context, id, service);
        var step = new SessionStep(session, RequestQuery.ReadTokens(context.Request.Query, session.Layer.Sessions!.Capacity));
        return AttentionEndpoints.AnswerAsync(
            context, new RequestQuery(session.Layer.Name, Causal: null), step, service, limits, budget);
    }

    private static async Task<IResult> ForkAsync(HttpContext context, string id, IAttentionService service)
    {
        RequestQuery.RequireNames(context.Request.Query, RequestQuery.TokensName);
        AttentionSession session = Find(context, id, service);
        int? tokens = RequestQuery.ReadTokens(context.Request.Query, session.Length);
        return Created(await session.ForkAsync(tokens, context.RequestAborted).ConfigureAwait(false));
    }

    private static async Task<SessionDescription> RewindAsync(HttpContext context, string id, IAttentionService service)
    {
        RequestQuery.RequireNames(context.Request.Query, RequestQuery.TokensName);
        AttentionSession session = Find(context, id, service);
        int tokens = RequestQuery.ReadTokens(context.Request.Query, session.Length)
            ?? throw new ArgumentException($"'{RequestQuery.TokensName}' must be in the query: the tokens that stay.");
        await session.RewindAsync(tokens, context.RequestAborted).ConfigureAwait(false);
        return Describe(session);
    }

    private static async Task<IResult> CloseAsync(HttpContext context, string id, IAttentionService service)
    {
        RequestQuery.RequireNames(context.Request.Query);
        await Find(context, id, service).CloseAsync().ConfigureAwait(false);
        return Results.NoContent();
    }

    // Another client's is not there either: an id alone opens nothing.
    private static AttentionSession Find(HttpContext context, string id, IAttentionService service)
    {
        string client = ClientIdentity.Of(context);
        foreach (IAttentionLayer layer in service.Layers.Values)
        {
            if (layer.Sessions?.Find(id) is { } session && session.Client == client)
                return session;
        }

        throw new SessionMissingException(id);
    }

    private static IResult Created(AttentionSession session) => Results.Created($"{Sessions}/{session.Id}", Describe(session));

    private static SessionDescription Describe(AttentionSession session) => new(
        session.Id, session.Layer.Name, session.Length, session.Layer.Sessions!.Capacity);
}

/// <summary>A step that is asked for.</summary>
/// <param name="Session">Its session.</param>
/// <param name="Start">Tokens that the session must have before; null for any.</param>
internal sealed record SessionStep(AttentionSession Session, int? Start);

/// <summary>The client has no session of an id.</summary>
internal sealed class SessionMissingException(string id)
    : Exception($"There is no session '{Excerpt.Of(id)}' of this client: it was closed, was not used for too long, or never was.");
