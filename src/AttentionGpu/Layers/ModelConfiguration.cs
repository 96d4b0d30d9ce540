using System.Numerics.Tensors;
using System.Text.Json;
using AttentionGpu.Serialization;

namespace AttentionGpu.Layers;

/// <summary>
/// The <c>config.json</c> of a model, as far as it tells what an attention layer computes. Members that speak of attention and are not
/// known are refused by name; the others belong to other parts of the model.
/// </summary>
internal sealed class ModelConfiguration
{
    private const string TypeMember = "model_type";
    private const string FileName = "config.json";
    private const string PositionType = "position_embedding_type";

    // A member whose name has one of these changes attention, unless it is known not to.
    private static readonly string[] _attentionWords =
        ["attn", "attention", "rope", "rotary", "alibi", "window", "softcap", "head", "qk", "kv", "sink"];

    // Read here, of every family.
    private static readonly string[] _read =
    [
        "rope_theta", "rope_scaling", RopeScalingReader.Parameters, "partial_rotary_factor", "num_attention_heads", "n_head", "n_heads",
        "encoder_attention_heads", "decoder_attention_heads", "num_key_value_heads", "head_dim", "layer_types",
    ];

    // Without influence on a layer that is loaded: how it was trained or is run, what its file tells by itself, and parts outside of it.
    private static readonly string[] _withoutInfluence =
    [
        "attention_dropout", "attention_probs_dropout_prob", "attn_pdrop", "attn_dropout", "attention_bias", "attention_out_bias",
        "use_qkv_bias", "qkv_bias", "_attn_implementation", "_attn_implementation_autoset", "attn_implementation",
        "reorder_and_upcast_attn", "final_logit_softcapping", "output_attentions", "lm_head_bias",
        "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32",
        "_flash_attn_2_enabled", "use_flash_attn", "pooler_num_attention_heads", "pooler_size_per_head", "scalable_attention",
        "full_attn_mod",
    ];

    // Members that are always set in the models that have them; otherwise the layer computes something else.
    private static readonly string[] _mustBeTrue = ["scale_attn_weights", "rotary"];

    // The file, as messages name it.
    private readonly string _name;
    private readonly string _hint;
    private readonly ConfigurationMembers _members;

    /// <param name="name">The object, as messages name it.</param>
    /// <param name="hint">As for <see cref="Beside"/>.</param>
    /// <param name="root">The object.</param>
    /// <param name="part">The part of a model that the object is of; null for a whole model.</param>
    private ModelConfiguration(string name, string hint, JsonElement root, ModelPart? part = null)
    {
        (_name, _hint) = (name, hint);
        if (root.TryGetProperty(TypeMember, out JsonElement type) && type.ValueKind is not (JsonValueKind.String or JsonValueKind.Null))
            throw Error($"has '{TypeMember}' = {Excerpt.Of(type.GetRawText())}; it must be a text");
        ModelType = FindType(root) ?? part?.ModelType ?? throw Error($"has no 'model_type', which must be one of: {ModelFamilies.Names}");
        Family = ModelFamilies.Find(ModelType)
            ?? throw Error(
                $"has the 'model_type' '{Excerpt.Of(ModelType)}', which is not one of those whose layers are known: {ModelFamilies.Names}");
        if (Family.Refusal is string reason)
            throw Error($"has the 'model_type' '{ModelType}', whose layers are not computed: {reason}");
        JsonElement merged = ConfigurationMerge.Of(root, [part?.Defaults ?? "{}", Family.Defaults], Family.Nested, Error);
        _members = new ConfigurationMembers(merged, Error);
        RequireKnown();
    }

    private ModelConfiguration(string name, JsonElement root, ModelFamily family)
    {
        (_name, _hint, ModelType, Family) = (name, "", "", family);
        _members = new ConfigurationMembers(root, Error);
        RequireKnown();
    }

    /// <summary>The <c>model_type</c>; empty for a family that is not in the table.</summary>
    public string ModelType { get; }

    /// <summary>The layers that it describes, for messages.</summary>
    public string Owner => ModelType.Length == 0 ? $"layers of {_name}" : $"layers of a model of the type '{ModelType}'";

    /// <summary>What all models of the type have in common.</summary>
    public ModelFamily Family { get; }

    /// <summary>Whether <c>q_norm.weight</c> and <c>k_norm.weight</c> have a known meaning.</summary>
    public bool HasNorms => Family.Norms != StoredNorms.None;

    /// <summary>Where the file of a checkpoint is, if there is one: beside it, or above a folder <c>onnx</c>, as on the Hub.</summary>
    public static string PathBeside(string checkpoint)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(checkpoint))!;
        string path = Path.Combine(folder, FileName);
        return !File.Exists(path) && Path.GetFileName(folder) == Checkpoint.OnnxFolder && Path.GetDirectoryName(folder) is string above
            ? Path.Combine(above, FileName)
            : path;
    }

    /// <summary>Reads the file in the folder of a checkpoint; null where there is none.</summary>
    /// <param name="checkpoint">The checkpoint's path.</param>
    /// <param name="hint">What the user can do where the file cannot be used: a sentence behind each error, or nothing.</param>
    /// <exception cref="InvalidDataException">It is malformed, or has something that this layer does not do.</exception>
    public static ModelConfiguration? Beside(string checkpoint, string hint) =>
        ReadBeside(checkpoint) is JsonElement root ? new ModelConfiguration($"'{PathBeside(checkpoint)}'", hint, root) : null;

    /// <summary>The object in the file in the folder of a checkpoint, unchecked; null where there is no file.</summary>
    /// <exception cref="InvalidDataException">It is too long, or no JSON object.</exception>
    public static JsonElement? ReadBeside(string checkpoint) =>
        File.Exists(PathBeside(checkpoint)) ? ConfigurationFile.Read(PathBeside(checkpoint)) : null;

    /// <summary>The type of the model of a configuration, known or not; null where it has none. timm names it by another member.</summary>
    public static string? FindType(JsonElement root) =>
        root.TryGetProperty(TypeMember, out JsonElement type) && type.ValueKind == JsonValueKind.String && type.GetString()!.Length > 0
            ? type.GetString()
            : TimmArchitecture.IsIn(root) ? TimmArchitecture.ModelType : null;

    /// <summary>A configuration of a family that is not in the table.</summary>
    /// <param name="name">The object, as messages name it.</param>
    /// <param name="root">The object.</param>
    /// <param name="family">The family.</param>
    /// <exception cref="InvalidDataException">It has something that a layer does not do.</exception>
    public static ModelConfiguration Of(string name, JsonElement root, ModelFamily family) => new(name, root, family);

    /// <summary>Where the model has layers, each with the configuration of its part of the model.</summary>
    /// <exception cref="InvalidDataException">A part is missing, or has something that a layer does not do.</exception>
    public IEnumerable<(ModelConfiguration Configuration, LayerPlace Place)> Places()
    {
        foreach (LayerPlace place in Family.Places)
            yield return (this, place);
        foreach (ModelPart part in Family.Parts.Where(part => part.Refusal is null))
        {
            ModelConfiguration own = _members.Find(part.Section) is { ValueKind: JsonValueKind.Object } section
                ? new ModelConfiguration($"'{part.Section}' of {_name}", _hint, section, part)
                : throw Error($"has no object '{part.Section}'");
            foreach ((ModelConfiguration configuration, LayerPlace place) in own.Places())
                yield return (configuration, part.Root is null ? place : place with { Root = part.Root });
        }
    }

    /// <summary>Query heads of the layers of a place.</summary>
    /// <exception cref="InvalidDataException">The member is missing or no whole number of at least 1.</exception>
    public int Heads(LayerPlace place) =>
        ModelType == TimmArchitecture.ModelType
            ? TimmArchitecture.Heads(_members)
            : _members.Required(place.Heads.FirstOrDefault(_members.IsPresent) ?? place.Heads[0], 1);

    /// <summary>Key/value heads where queries, keys and values are one matrix, whose shape does not tell them.</summary>
    /// <param name="place">Where the layer is.</param>
    /// <param name="heads">Query heads.</param>
    /// <exception cref="InvalidDataException">A member is missing or malformed.</exception>
    public int KeyValueHeads(LayerPlace place, int heads)
    {
        if (!Family.HasMultiQueryFlag)
            return _members.IsPresent(place.KeyValueHeads) ? _members.Required(place.KeyValueHeads, 1) : heads;
        if (_members.IsSet("new_decoder_architecture"))
            return _members.Required("num_kv_heads", 1);
        if (!_members.IsPresent("multi_query"))
            throw Error("has no 'multi_query'");
        return _members.IsSet("multi_query") ? 1 : heads;
    }

    /// <summary>What a layer of the model computes.</summary>
    /// <param name="sizes">The layer's sizes, as the caller and the shapes of the parameters have them.</param>
    /// <param name="prefix">What stands before its parameters' names, the layer's number included.</param>
    /// <exception cref="InvalidDataException">The sizes are others, or a member is missing or malformed.</exception>
    public MultiHeadAttentionConfig Apply(MultiHeadAttentionConfig sizes, string prefix)
    {
        int headSize = sizes.ActualHeadSize;
        foreach (string heads in (string[])["num_attention_heads", "n_head", "n_heads"])
            RequireSize(heads, sizes.Heads);
        RequireSize("num_key_value_heads", sizes.ActualKeyValueHeads);
        RequireSize(Family.HeadSize ?? "head_dim", headSize);
        float? scale = Family.ScaleSource is string source ? (float)(1.0 / Math.Sqrt(_members.Required(source)))
            : Family.Scale is string own && _members.IsPresent(own) ? (float)_members.Required(own)
            : Family.FixedScale;
        if (Family.ScaleByLayer is string byLayer && _members.IsSet(byLayer))
            scale = (scale ?? (float)(1.0 / Math.Sqrt(headSize))) / (1 + LayerNumber.Of(prefix, byLayer, Error));
        AttentionWindow? window = new WindowReader(_members, Family).Read(prefix);
        return sizes with
        {
            Rotary = Family.HasRotary ? Rotary(headSize, window is not null) : null,
            Window = window,
            Softcap = Family.Softcap is string cap && _members.IsPresent(cap) ? (float)_members.Required(cap) : null,
            Scale = scale,
            NormEpsilon = HasNorms ? (float)_members.Required("rms_norm_eps") : sizes.NormEpsilon,
        };
    }

    /// <summary>The slopes of ALiBi; null where the model has none.</summary>
    /// <exception cref="InvalidDataException">A member is missing or malformed.</exception>
    public Tensor<float>? Slopes(int heads) => Family.Alibi switch
    {
        AlibiKind.Bloom => AlibiSlopes.OfBloom(heads),
        AlibiKind.Mpt => AlibiSlopes.OfMpt(heads, _members.Required("alibi_bias_max")),
        _ => null,
    };

    /// <summary>The buckets of a table of relative bias.</summary>
    /// <exception cref="InvalidDataException">A member is missing or malformed.</exception>
    public RelativeBuckets Buckets(LayerPlace place)
    {
        const string count = "relative_attention_num_buckets";
        int largest = _members.Required(ModelFamily.DistanceMember, 1);
        var buckets = new RelativeBuckets(_members.Required(count, 1), largest, toBothSides: !place.IsCausal);
        return buckets.IsValid
            ? buckets
            : throw Error(
                $"has '{count}' = {_members.Required(count, 1)} and '{ModelFamily.DistanceMember}' = {largest}, which make no buckets of "
                + $"distances up to {RelativeBuckets.MostDistance}");
    }

    /// <summary>Requires that the model's layers may have biases of queries, keys and values.</summary>
    /// <param name="checkpoint">The file of a layer that has them.</param>
    /// <exception cref="InvalidDataException">A member says that they have none.</exception>
    public void RequireInputBiases(string checkpoint)
    {
        foreach (string member in (string[])["qkv_bias", "use_qkv_bias"])
        {
            if (_members.IsPresent(member) && !_members.IsSet(member))
                throw Error($"has '{member}' = false, and the layer in '{checkpoint}' has such biases");
        }
    }

    /// <summary>Requires that the model's layers have no norms of queries and keys.</summary>
    /// <param name="checkpoint">The file of a layer without.</param>
    /// <exception cref="InvalidDataException">They have.</exception>
    public void RequireNoNorms(string checkpoint)
    {
        if (HasNorms)
        {
            throw Error(
                $"is of a model whose layers have 'q_norm.weight' and 'k_norm.weight', and the layer in '{checkpoint}' has neither");
        }
    }

    /// <summary>The exception for a file or a member that cannot be used.</summary>
    public InvalidDataException Error(string what) => new($"{_name} {what}.{(_hint.Length == 0 ? "" : " ")}{_hint}");

    private RotaryEmbedding Rotary(int headSize, bool hasWindow)
    {
        var reader = new RopeScalingReader(_members, hasWindow);
        if (Family.NeedsScaling && !reader.HasScaling)
            throw Error($"has neither 'rope_scaling' nor '{RopeScalingReader.Parameters}'");
        bool isOwn = hasWindow && Family.WindowBase is not null && !reader.IsOfKind;
        return new RotaryEmbedding
        {
            Base = isOwn ? _members.Required(Family.WindowBase!)
                : reader.Number("rope_theta") ?? reader.Number(Family.Base) ?? Family.DefaultBase ?? throw Error($"has no '{Family.Base}'"),
            Size = RotarySize(headSize, reader),
            Interleaved = Family.IsInterleaved,
            Scaling = isOwn ? null : reader.Scaling(),
        };
    }

    private int? RotarySize(int headSize, RopeScalingReader reader)
    {
        if (Family.RotarySize is string size)
            return _members.Required(size, 1);
        double part = reader.Number("partial_rotary_factor") ?? (Family.RotaryPart is string member ? _members.Required(member) : 1.0);
        return part == 1.0 ? null : (int)(headSize * part);
    }

    private void RequireKnown()
    {
        foreach (JsonProperty member in _members.Root.EnumerateObject())
        {
            string text = Excerpt.Of(member.Value.GetRawText());
            if (member.NameEquals("is_causal") && member.Value.ValueKind == JsonValueKind.False
                && Family.Places.Any(place => place.IsCausal))
            {
                throw Error("has 'is_causal' = false, and layers of its type are causal");
            }

            if (Family.MustBe.FirstOrDefault(pair => pair.Member == member.Name) is { Value: string value })
            {
                if (member.Value.GetRawText() != value)
                    throw Error($"has '{member.Name}' = {text}; this layer does {value} alone");
                continue;
            }

            if (_mustBeTrue.Contains(member.Name))
            {
                if (member.Value.ValueKind != JsonValueKind.True)
                    throw Error($"has '{Excerpt.Of(member.Name)}' = {text}, which this layer does not do");
            }
            else if (!IsOff(member.Value) && (Family.MustBeOff.Contains(member.Name) || IsUnknown(member.Name) || IsOtherPosition(member)))
            {
                throw Error($"has '{Excerpt.Of(member.Name)}' = {text}, which this layer does not do");
            }
        }
    }

    private bool IsUnknown(string member) =>
        _attentionWords.Any(word => member.Contains(word, StringComparison.OrdinalIgnoreCase))
        && !_read.Contains(member) && !_withoutInfluence.Contains(member) && !Family.OwnMembers.Contains(member);

    // BERT has kinds whose scores depend on distances.
    private static bool IsOtherPosition(JsonProperty member) =>
        member.Name == PositionType && !(member.Value.ValueKind == JsonValueKind.String && member.Value.ValueEquals("absolute"));

    private static bool IsOff(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.False => true,
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => !value.EnumerateObject().Any(),
        _ => false,
    };

    private void RequireSize(string member, int size)
    {
        if (_members.IsPresent(member) && _members.Required(member, 1) != size)
            throw Error($"has '{member}' = {_members.Required(member, 1)}, but the layer has {size}");
    }
}
