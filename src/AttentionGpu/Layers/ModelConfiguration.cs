using System.Globalization;
using System.Text.Json;

namespace AttentionGpu.Layers;

/// <summary>
/// The <c>config.json</c> of a model, as far as it tells what an attention layer computes. Members that speak of attention and are not
/// known are refused by name; the others belong to other parts of the model.
/// </summary>
internal sealed class ModelConfiguration
{
    private const string FileName = "config.json";
    private const long MostBytes = 1 << 24;

    // A member whose name has one of these changes attention, unless it is known not to.
    private static readonly string[] _attentionWords =
        ["attn", "attention", "rope", "rotary", "alibi", "window", "softcap", "head", "qk", "kv", "sink"];

    // Read here, of every family.
    private static readonly string[] _members =
    [
        "rope_theta", "rope_scaling", RopeScalingReader.Parameters, "partial_rotary_factor", "num_attention_heads", "n_head",
        "num_key_value_heads", "head_dim", "layer_types",
    ];

    // Without influence on a layer that is loaded: how it was trained or is run, what its file tells by itself, and parts outside of it.
    private static readonly string[] _withoutInfluence =
    [
        "attention_dropout", "attention_probs_dropout_prob", "attn_pdrop", "attn_dropout", "attention_bias", "attention_out_bias",
        "use_qkv_bias", "_attn_implementation", "_attn_implementation_autoset", "attn_implementation", "encoder_attention_heads",
        "decoder_attention_heads", "final_logit_softcapping", "output_attentions", "lm_head_bias",
    ];

    // Members that are always set in the models that have them; otherwise the layer computes something else.
    private static readonly string[] _mustBeTrue = ["scale_attn_weights", "rotary"];

    private readonly string _path;
    private readonly JsonElement _root;
    private readonly ModelFamily _family;

    private ModelConfiguration(string path, JsonElement root)
    {
        _path = path;
        _root = root;
        string type = _root.TryGetProperty("model_type", out JsonElement name) && name.ValueKind == JsonValueKind.String
            ? name.GetString()!
            : throw Error("has no 'model_type'");
        _family = ModelFamily.Find(type)
            ?? throw Error($"has the 'model_type' '{type}', which is not one of those whose layers are known: {ModelFamily.Names}");
        foreach (JsonProperty member in _root.EnumerateObject())
            RequireKnown(member);
    }

    /// <summary>Where the file of a checkpoint is, if there is one.</summary>
    public static string PathBeside(string checkpoint) => Path.Combine(Path.GetDirectoryName(Path.GetFullPath(checkpoint))!, FileName);

    /// <summary>Reads the file in the folder of a checkpoint; null where there is none.</summary>
    /// <param name="checkpoint">The checkpoint's path.</param>
    /// <exception cref="InvalidDataException">It is malformed, or has something that this layer does not do.</exception>
    public static ModelConfiguration? Beside(string checkpoint)
    {
        string path = PathBeside(checkpoint);
        var file = new FileInfo(path);
        if (!file.Exists)
            return null;
        if (file.Length > MostBytes)
            throw new InvalidDataException($"'{path}' has {file.Length} bytes; a model's configuration has at most {MostBytes}.");
        try
        {
            using FileStream stream = File.OpenRead(path);
            using var document = JsonDocument.Parse(stream);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? new ModelConfiguration(path, document.RootElement.Clone())
                : throw new InvalidDataException($"'{path}' is no JSON object.");
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{path}' is no valid JSON: {exception.Message}", exception);
        }
    }

    /// <summary>What a layer of the model computes.</summary>
    /// <param name="sizes">The layer's sizes, as the caller and the shapes of the parameters have them.</param>
    /// <param name="prefix">What stands before its parameters' names, the layer's number included.</param>
    /// <exception cref="InvalidDataException">The sizes are others, or a member is missing or malformed.</exception>
    public MultiHeadAttentionConfig Apply(MultiHeadAttentionConfig sizes, string prefix)
    {
        if (!_family.HasRotary)
            return sizes;
        int headSize = sizes.ActualHeadSize;
        RequireSize("num_attention_heads", sizes.Heads);
        RequireSize("n_head", sizes.Heads);
        RequireSize("num_key_value_heads", sizes.ActualKeyValueHeads);
        RequireSize("head_dim", headSize);
        return sizes with
        {
            Rotary = Rotary(headSize),
            Window = HasWindow(prefix) ? new AttentionWindow { Left = (int)Required("sliding_window", 1) - 1 } : null,
            Softcap = _family.Softcap is string cap && IsPresent(cap) ? (float)Required(cap) : null,
            Scale = _family.ScaleSource is string source ? (float)(1.0 / Math.Sqrt(Required(source)))
                : _family.Scale is string scale ? (float)Required(scale)
                : null,
            NormEpsilon = _family.HasNorms ? (float)Required("rms_norm_eps") : sizes.NormEpsilon,
        };
    }

    /// <summary>Whether <c>q_norm.weight</c> and <c>k_norm.weight</c> have a known meaning.</summary>
    public bool HasNorms => _family.HasNorms;

    /// <summary>Requires that the model's layers have no norms of queries and keys.</summary>
    /// <param name="checkpoint">The file of a layer without.</param>
    /// <exception cref="InvalidDataException">They have.</exception>
    public void RequireNoNorms(string checkpoint)
    {
        if (HasNorms)
            throw Error($"is of a model whose layers have 'q_norm.weight' and 'k_norm.weight', and the layer in '{checkpoint}' has neither");
    }

    /// <summary>The exception for a file or a member that cannot be used.</summary>
    private InvalidDataException Error(string what) =>
        new($"'{_path}' {what}. The layer's positions and variants can be stated by the caller instead.");

    private RotaryEmbedding Rotary(int headSize)
    {
        var reader = new RopeScalingReader(_root, Error);
        double part = reader.Number("partial_rotary_factor") ?? 1.0;
        return new RotaryEmbedding
        {
            Base = reader.Number("rope_theta") ?? _family.DefaultBase ?? throw Error("has no 'rope_theta'"),
            Size = _family.RotarySize is string size ? (int)Required(size, 1) : part == 1.0 ? null : (int)(headSize * part),
            Interleaved = _family.IsInterleaved,
            Scaling = reader.Scaling(),
        };
    }

    private bool HasWindow(string prefix)
    {
        if (Find("layer_types") is JsonElement list)
        {
            string[] types = list.ValueKind == JsonValueKind.Array ? [.. list.EnumerateArray().Select(one => one.ToString())] : [];
            int layer = types.Distinct(StringComparer.Ordinal).Count() == 1 ? 0 : LayerNumber(prefix, "layer_types");
            if (layer >= types.Length)
                throw Error($"has 'layer_types' for {types.Length} layers; this is layer {layer}");
            return types[layer] switch
            {
                "full_attention" => false,
                "sliding_attention" when _family.Window != WindowedLayers.None => true,
                "sliding_attention" => throw Error("has windows in 'layer_types', unlike other models of its type"),
                string other => throw Error($"has layers of the type '{other}'"),
            };
        }

        switch (_family.Window)
        {
            case WindowedLayers.None:
                return false;
            case WindowedLayers.FromMaxWindowLayers:
                return IsSet("use_sliding_window") && IsPresent("sliding_window")
                    && LayerNumber(prefix, "max_window_layers") >= Required("max_window_layers", 0);
            default:
                // It is always written; a model whose file lacks it may have one nevertheless.
                if (!_root.TryGetProperty("sliding_window", out _))
                    throw Error("has no 'sliding_window'");
                return IsPresent("sliding_window")
                    && (_family.Window == WindowedLayers.All || LayerNumber(prefix, "sliding_window") % 2 == 0);
        }
    }

    // The last number between dots: model.layers.3.self_attn is layer 3.
    private int LayerNumber(string prefix, string member)
    {
        foreach (string part in prefix.Split('.').Reverse())
        {
            if (int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
                return number;
        }

        throw Error($"has a '{member}' that depends on the layer, and the prefix '{prefix}' has no number");
    }

    private void RequireKnown(JsonProperty member)
    {
        if (_mustBeTrue.Contains(member.Name))
        {
            if (member.Value.ValueKind != JsonValueKind.True)
                throw Error($"has '{member.Name}' = {member.Value.GetRawText()}, which this layer does not do");
        }
        else if (_attentionWords.Any(word => member.Name.Contains(word, StringComparison.OrdinalIgnoreCase))
            && !_members.Contains(member.Name) && !_withoutInfluence.Contains(member.Name) && !_family.OwnMembers.Contains(member.Name)
            && !IsOff(member.Value))
        {
            throw Error($"has '{member.Name}' = {Shorten(member.Value.GetRawText())}, which this layer does not do");
        }
    }

    private static bool IsOff(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.False => true,
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => !value.EnumerateObject().Any(),
        _ => false,
    };

    private static string Shorten(string text)
    {
        const int shown = 60;
        return text.Length <= shown ? text : text[..shown] + "...";
    }

    private void RequireSize(string member, int size)
    {
        if (IsPresent(member) && Required(member, 1) != size)
            throw Error($"has '{member}' = {Required(member, 1)}, but the layer has {size}");
    }

    private JsonElement? Find(string member) =>
        _root.TryGetProperty(member, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private bool IsPresent(string member) => Find(member) is not null;

    private bool IsSet(string member) => Find(member) is JsonElement value && value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Error($"has '{member}' = {value.GetRawText()}; it must be true or false"),
    };

    private double Required(string member) =>
        Find(member) is not JsonElement value ? throw Error($"has no '{member}'")
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number > 0.0 && float.IsFinite((float)number)
            ? number
        : throw Error($"has '{member}' = {Shorten(value.GetRawText())}; it must be a number of more than 0");

    // A whole number.
    private long Required(string member, int least) =>
        Find(member) is not JsonElement value ? throw Error($"has no '{member}'")
        : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= least ? number
        : throw Error($"has '{member}' = {Shorten(value.GetRawText())}; it must be a whole number of at least {least}");
}
