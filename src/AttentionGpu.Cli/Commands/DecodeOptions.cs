using System.CommandLine;

namespace AttentionGpu.Cli.Commands;

/// <summary>The options of <c>attention bench --op decode</c> that no other operation has.</summary>
internal sealed class DecodeOptions
{
    private static readonly Dictionary<string, KeyValueElement> _elements = new()
    {
        ["float32"] = KeyValueElement.Float32,
        ["float16"] = KeyValueElement.Float16,
        ["bfloat16"] = KeyValueElement.BFloat16,
        ["int8"] = KeyValueElement.Int8,
        ["int4"] = KeyValueElement.Int4,
        ["float8"] = KeyValueElement.Float8E4M3,
    };

    private static readonly Dictionary<string, KeyValueCacheKind> _kinds = new()
    {
        ["contiguous"] = KeyValueCacheKind.Contiguous,
        ["paged"] = KeyValueCacheKind.Paged,
        ["window"] = KeyValueCacheKind.Window,
    };

    private readonly Option<string?> _element = new("--cache-type")
    {
        Description = $"How the cache stores keys and values: {string.Join(", ", _elements.Keys)} (decode; float32).",
        HelpName = "TYPE",
    };

    private readonly Option<string?> _kind = new("--cache")
    {
        Description = $"How the cache keeps rows: {string.Join(", ", _kinds.Keys)} (decode; contiguous).",
        HelpName = "KIND",
    };

    private readonly Option<int?> _pageSize = new("--page-size")
    {
        Description = $"Rows of a page of a paged cache (decode; {KeyValueCacheOptions.DefaultPageSize}).",
        HelpName = "P",
    };

    private readonly Option<int?> _window = new("--window")
    {
        Description = "Keys that a query of a window cache sees (decode).",
        HelpName = "W",
    };

    private readonly Option<int?> _steps = new("--steps")
    {
        Description = $"Steps that are timed at once (decode; {DecodeValues.DefaultSteps}).",
        HelpName = "N",
    };

    public DecodeOptions()
    {
        _element.AcceptOnlyFromAmong([.. _elements.Keys]);
        _kind.AcceptOnlyFromAmong([.. _kinds.Keys]);
    }

    private Option[] All => [_element, _kind, _pageSize, _window, _steps];

    public void AddTo(Command command)
    {
        foreach (Option option in All)
            command.Options.Add(option);
    }

    public DecodeValues Get(ParseResult parsed) => new(
        All.FirstOrDefault(option => parsed.GetResult(option) is not null)?.Name,
        parsed.GetValue(_element) is string element ? _elements[element] : KeyValueElement.Float32,
        parsed.GetValue(_kind) is string kind ? _kinds[kind] : KeyValueCacheKind.Contiguous,
        parsed.GetValue(_pageSize),
        parsed.GetValue(_window),
        parsed.GetValue(_steps) ?? DecodeValues.DefaultSteps);
}
