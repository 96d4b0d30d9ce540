using Microsoft.AspNetCore.Mvc;
using Microsoft.OpenApi;

namespace AttentionGpu.Service.Guards;

/// <summary>What OpenAPI cannot tell from the code, or tells in the code's names.</summary>
internal static class ApiDescription
{
    private const string InBody = "A JSON body may tell it instead; where both do, they must agree.";

    public static void Add(IServiceCollection services, AccessOptions access) => services.AddOpenApi(options =>
    {
        options.AddSchemaTransformer((schema, context, _) =>
        {
            Correct(schema, context.JsonTypeInfo.Type);
            return Task.CompletedTask;
        });
        options.AddDocumentTransformer((document, _, _) =>
        {
            Describe(document, access.Scheme);
            return Task.CompletedTask;
        });
    });

    /// <summary>Describes the query of attention, and its bodies of tensors.</summary>
    public static void Describe(RouteHandlerBuilder endpoint) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        operation.Parameters =
        [
            Parameter(
                RequestQuery.LayerName, JsonSchemaType.String, $"The layer's name in any case; not needed where there is one layer. {InBody}"),
            Parameter(
                RequestQuery.CausalName, JsonSchemaType.Boolean,
                $"Whether a token sees only itself and those before; else what the layer does. {InBody}"),
        ];
        DescribeFiles(operation);
        return Task.CompletedTask;
    });

    /// <summary>Describes a step of a session, whose bodies are tensors.</summary>
    public static void DescribeStep(RouteHandlerBuilder endpoint) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        DescribeFiles(operation);
        return Task.CompletedTask;
    });

    /// <summary>Describes a parameter of the query.</summary>
    public static RouteHandlerBuilder DescribeQuery(
        RouteHandlerBuilder endpoint, string name, JsonSchemaType type, string description, bool isRequired = false) =>
        endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
        {
            operation.Parameters = [.. operation.Parameters ?? [], Parameter(name, type, description, isRequired)];
            return Task.CompletedTask;
        });

    private static void DescribeFiles(OpenApiOperation operation)
    {
        var file = new OpenApiMediaType { Schema = new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" } };
        operation.RequestBody?.Content?[SafetensorsBody.ContentType] = file;
        operation.Responses?[$"{StatusCodes.Status200OK}"].Content?[SafetensorsBody.ContentType] = file;
    }

    private static OpenApiParameter Parameter(string name, JsonSchemaType type, string description, bool isRequired = false) => new()
    {
        Name = name,
        In = ParameterLocation.Query,
        Description = description,
        Required = isRequired,
        Schema = new OpenApiSchema { Type = type },
    };

    private static void Correct(OpenApiSchema schema, Type type)
    {
        // A number, or a text such as NaN, is no object.
        if (type == typeof(float))
            schema.Type = null;

        // Problems have a trace identifier besides.
        if (type == typeof(ProblemDetails))
            schema.AdditionalPropertiesAllowed = true;
    }

    private static void Describe(OpenApiDocument document, AccessScheme scheme)
    {
        document.Info.Title = "Attention";

        // These would be the address that the description was asked at, and names of the program.
        document.Servers?.Clear();
        document.Tags?.Clear();
        foreach (OpenApiOperation operation in document.Paths.Values.SelectMany(path => path.Operations ?? []).Select(pair => pair.Value))
        {
            operation.Tags?.Clear();
            if (scheme != AccessScheme.None)
                operation.Responses?[$"{StatusCodes.Status401Unauthorized}"] = new OpenApiResponse { Description = "Unauthorized" };
        }

        if (scheme == AccessScheme.None)
            return;
        document.Components ??= new OpenApiComponents();
        document.Components.SecuritySchemes ??= new Dictionary<string, IOpenApiSecurityScheme>();
        document.Components.SecuritySchemes[$"{scheme}"] = scheme == AccessScheme.ApiKey
            ? new OpenApiSecurityScheme { Type = SecuritySchemeType.ApiKey, In = ParameterLocation.Header, Name = ApiKeyHandler.Header }
            : new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", BearerFormat = "JWT" };
        document.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference($"{scheme}", document)] = [] }];
    }
}
