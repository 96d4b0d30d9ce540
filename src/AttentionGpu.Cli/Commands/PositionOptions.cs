using System.CommandLine;
using System.Globalization;

namespace AttentionGpu.Cli.Commands;

/// <summary>What a checkpoint does not tell of its layer: rotary embedding, window and the like.</summary>
internal sealed class PositionOptions
{
    private const string None = "none";
    private const string ScalingForms = "linear,FACTOR; llama3,FACTOR,LOW,HIGH,CONTEXT; yarn,FACTOR,CONTEXT";

    private readonly Option<string?> _rotary = new("--rotary")
    {
        Description =
            "Positions of a layer with 'q_proj.weight': the base of its rotary embedding (Llama 2: 10000), or none (OPT, BART). "
            + "Left out, the config.json beside the checkpoint must say it.",
        HelpName = "BASE|none",
    };

    private readonly Option<int?> _size = new("--rotary-size")
    {
        Description = "Elements of a head that are rotated, if not all.",
        HelpName = "N",
    };

    private readonly Option<bool> _interleaved = new("--rotary-interleaved")
    {
        Description = "The elements of a pair are neighbours (GPT-J).",
    };

    private readonly Option<string?> _scaling = new("--rotary-scaling")
    {
        Description = $"How frequencies are changed for long contexts: {ScalingForms}.",
        HelpName = "KIND,N,...",
    };

    private readonly Option<int?> _window = new("--window")
    {
        Description = "Keys before its own that a query sees, if not all.",
        HelpName = "N",
    };

    private readonly Option<float?> _softcap = new("--softcap") { Description = "The cap c of scores: c tanh(s / c).", HelpName = "C" };

    private readonly Option<float?> _scale = new("--scale")
    {
        Description = "The scale of scores, if not 1 / sqrt(head size).",
        HelpName = "S",
    };

    private readonly Option<float?> _epsilon = new("--norm-epsilon")
    {
        Description = "'q_norm.weight' and 'k_norm.weight' are root-mean-square norms with this epsilon.",
        HelpName = "E",
    };

    public void AddTo(Command command)
    {
        foreach (Option option in All)
            command.Options.Add(option);
    }

    /// <summary>The first of the options that is given; null where none is.</summary>
    public string? FirstGiven(ParseResult parsed) => FirstGiven(parsed, All);

    /// <summary>What the options say.</summary>
    /// <exception cref="ArgumentException">They contradict each other, or one is malformed.</exception>
    public MultiHeadAttentionLoadOptions Read(ParseResult parsed)
    {
        string? rotary = parsed.GetValue(_rotary);
        if (rotary is null or None && FirstGiven(parsed, _size, _interleaved, _scaling) is string extra)
            throw new ArgumentException($"{extra} needs --rotary with a base; it is {rotary ?? "left out"}.");

        return new MultiHeadAttentionLoadOptions
        {
            Positions = rotary == None ? LayerPositions.None : LayerPositions.Unstated,
            Rotary = rotary is null or None
                ? null
                : new RotaryEmbedding
                {
                    Base = Base(rotary),
                    Size = parsed.GetValue(_size),
                    Interleaved = parsed.GetValue(_interleaved),
                    Scaling = parsed.GetValue(_scaling) is string scaling ? Scaling(scaling) : null,
                },
            Window = parsed.GetValue(_window) is int left ? Window(left) : null,
            Softcap = parsed.GetValue(_softcap),
            Scale = parsed.GetValue(_scale),
            NormEpsilon = parsed.GetValue(_epsilon),
        };
    }

    private Option[] All => [_rotary, _size, _interleaved, _scaling, _window, _softcap, _scale, _epsilon];

    /// <summary>The first of some options that is given; null where none is.</summary>
    public static string? FirstGiven(ParseResult parsed, params Option[] options) =>
        options.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false })?.Name;

    private static AttentionWindow Window(int left) =>
        left >= 0 ? new AttentionWindow { Left = left } : throw new ArgumentException($"--window is {left}; it must be at least 0.");

    private static double Base(string text) =>
        Number(text) is double number && number > 0.0
            ? number
            : throw new ArgumentException($"--rotary is '{text}'; it must be {None}, or a base of more than 0.");

    private static RotaryScaling Scaling(string text)
    {
        string[] parts = text.Split(',');
        double[] numbers = [.. parts.Skip(1).Select(part => Number(part) ?? double.NaN)];
        bool valid = numbers.All(double.IsFinite);
        return (parts[0], numbers) switch
        {
            ("linear", [double factor]) when valid => RotaryScaling.Linear(factor),
            ("llama3", [double factor, double low, double high, double context]) when valid && IsContext(context) =>
                RotaryScaling.Llama3(factor, low, high, (int)context),
            ("yarn", [double factor, double context]) when valid && IsContext(context) => RotaryScaling.Yarn(factor, (int)context),
            _ => throw new ArgumentException($"--rotary-scaling is '{text}'; it must be one of: {ScalingForms}."),
        };
    }

    private static bool IsContext(double number) => number is >= 1 and <= int.MaxValue && Math.Floor(number) == number;

    private static double? Number(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number)
            ? number
            : null;
}
