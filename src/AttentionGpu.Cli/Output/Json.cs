using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace AttentionGpu.Cli.Output;

/// <summary>Results as JSON.</summary>
internal static class Json
{
    private static readonly JsonSerializerOptions _options = new()
    {
        WriteIndented = true,
        NewLine = "\n",
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    /// <summary>Prints an object.</summary>
    /// <exception cref="OutputException">It cannot be written.</exception>
    public static void Print(object value, Screen screen) =>
        // What is not visible stands in strings alone, and is written there as JSON has it.
        screen.Lines(JsonSerializer.Serialize(value, _options).Split('\n'));
}
