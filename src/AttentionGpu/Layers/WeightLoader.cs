using System.Numerics.Tensors;
using System.Text.Json;
using AttentionGpu.Serialization;
using AttentionGpu.Tensors;

namespace AttentionGpu.Layers;

/// <summary>
/// Finds the parameters of one attention layer in a checkpoint, under any of three sets of names: PyTorch's joined
/// (<c>in_proj_weight</c>), PyTorch's with separate sizes (<c>q_proj_weight</c>), and separate linear layers (<c>q_proj.weight</c>).
/// </summary>
/// <param name="file">The checkpoint.</param>
/// <param name="prefix">What stands before the names; with or without the final dot.</param>
/// <param name="options">What the caller says of the layer.</param>
internal sealed class WeightLoader(Checkpoint file, string? prefix, MultiHeadAttentionLoadOptions options)
{
    private const string QueryLayer = "q_proj";
    private const string QueryNorm = "q_norm.weight";
    private const string KeyNorm = "k_norm.weight";
    private const string Sinks = "sinks";

    // Under each set of names.
    private static readonly string[] _joined = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias", "bias_k", "bias_v"];
    private static readonly string[] _separateSizes =
        ["q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias", "bias_k", "bias_v"];
    private static readonly string[] _separateLayers =
        ["q_proj.weight", "k_proj.weight", "v_proj.weight", "q_proj.bias", "k_proj.bias", "v_proj.bias"];
    private static readonly string[] _besides = [QueryNorm, KeyNorm, Sinks];

    private readonly string _prefix = string.IsNullOrEmpty(prefix) || prefix.EndsWith('.') ? prefix ?? "" : prefix + ".";

    /// <exception cref="InvalidDataException">A tensor is missing, has a wrong shape, or is one that the layer cannot apply.</exception>
    /// <exception cref="ArgumentException">
    /// The options leave out what the file needs, or have what it has no use for; or nobody tells the number of heads.
    /// </exception>
    public (MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights) Load(int? givenHeads, int? keyValueHeads, bool batchFirst)
    {
        if (givenHeads is int some)
            ArgumentOutOfRangeException.ThrowIfLessThan(some, 1, "heads");
        if (keyValueHeads is int given)
            ArgumentOutOfRangeException.ThrowIfLessThan(given, 1, nameof(keyValueHeads));
        options.Validate();

        string[] names = Names();
        bool hasLayers = names != _joined && names != _separateSizes;
        new UnreadParameters(file, _prefix).RequireNone([.. names, .. _besides], options);
        ModelConfiguration? model = hasLayers && !options.StatePositions ? FindModel() : null;
        if (!hasLayers && !options.StatePositions)
            RequireNoPositions();
        RequireNormEpsilon(model);
        int heads = ConfiguredHeads.Choose(file.Path, _prefix, givenHeads);

        Type type = StoredType(names);
        MultiHeadAttentionWeights weights = names == _joined ? LoadJoined(heads, keyValueHeads ?? heads, type)
            : names == _separateSizes ? WithJoinedBias(
                Matrix("q_proj_weight"), Matrix("k_proj_weight"), Matrix("v_proj_weight"), type)
            : LoadLayers(model?.Family.Norms ?? StoredNorms.Plain, type);

        nint queryRows = weights.Query.Lengths[0];
        if (queryRows % heads != 0)
            throw Error($"has queries of {queryRows} elements, which {heads} heads do not divide");
        nint headSize = queryRows / heads;
        if (weights.Key.Lengths[0] % headSize != 0)
            throw Error($"has keys of {weights.Key.Lengths[0]} elements, which the head size {headSize} does not divide");
        options.Rotary?.Validate((int)headSize);
        var config = new MultiHeadAttentionConfig
        {
            EmbeddingSize = (int)weights.Query.Lengths[1],
            Heads = heads,
            KeyValueHeads = keyValueHeads ?? (int)(weights.Key.Lengths[0] / headSize),
            HeadSize = (int)headSize,
            KeySize = (int)weights.Key.Lengths[1],
            ValueSize = (int)weights.Value.Lengths[1],
            Rotary = options.Rotary,
            Window = options.Window,
            Softcap = options.Softcap,
            Scale = options.Scale,
            NormEpsilon = options.NormEpsilon ?? AttentionOptions.DefaultNormEpsilon,
            BatchFirst = batchFirst,
        };
        config = model?.Apply(config, _prefix) ?? config;
        try
        {
            config.Validate();
            weights.Validate(config);
        }
        catch (ArgumentException exception)
        {
            throw new InvalidDataException($"'{file.Path}' does not fit a layer with {heads} heads: {exception.Message}", exception);
        }

        return (config, weights);
    }

    private string[] Names() => Has("in_proj_weight") ? _joined
        : Has("q_proj_weight") ? _separateSizes
        : Has("q_proj.weight") ? [.. _separateLayers, OutputLayer + ".weight", OutputLayer + ".bias"]
        : throw Error(
            $"has none of '{_prefix}in_proj_weight', '{_prefix}q_proj_weight' and '{_prefix}q_proj.weight'. It has: "
            + $"{file.Summary()}{OtherNames()}");

    // The way to layers with other names, of models that are known.
    private string OtherNames() =>
        TypeBeside() is string type && ModelFamilies.Find(type) is { Places: [_, ..] places }
            && !places.Any(place => place.Names.Inputs.Contains(QueryLayer))
            ? $". Layers of a model of the type '{type}' have other names: AttentionModel.Open reads them (--model of the command line)"
            : "";

    private string? TypeBeside() =>
        ModelConfiguration.ReadBeside(file.Path) is JsonElement root ? ModelConfiguration.FindType(root) : null;

    private static bool HasPositions(ModelFamily family) =>
        family.HasRotary || family.Alibi != AlibiKind.None || family.Places.Any(place => place.RelativeBias is not null);

    // The elements of matrices.
    private Type StoredType(string[] names) => file.CommonElement(names.Select(name => _prefix + name).Where(IsMatrix));

    private bool IsMatrix(string name) => file.Entries.TryGetValue(name, out SafetensorsEntry? entry) && entry.Lengths.Count == 2;

    private string OutputLayer => Has("out_proj.weight") || !Has("o_proj.weight") ? "out_proj" : "o_proj";

    // Layers with rotary embedding and without have the same names.
    private ModelConfiguration FindModel()
    {
        ModelConfiguration whole = ModelConfiguration.Beside(
            file.Path, "The layer's positions and variants can be stated by the caller instead.")
            ?? throw BadInput.Because(
                nameof(options),
                $"'{file.Path}' has '{_prefix}q_proj.weight', a name of layers with rotary embedding and without, and there is no "
                + "config.json beside it: state the positions, by the option 'Rotary' or by the option 'Positions', None (--rotary of the "
                + "command line).");
        (ModelConfiguration Configuration, LayerPlace Place)[] places =
            [.. whole.Places().Where(one => one.Place.Names.Inputs.Contains(QueryLayer))];
        if (places.Length == 0)
            throw whole.Error($"is of a model whose layers have no '{QueryLayer}.weight', unlike '{file.Path}'");
        ModelConfiguration model = places.FirstOrDefault(one => one.Place.Match(_prefix) is not null).Configuration
            ?? (whole.Family.Parts.Length == 0 ? whole : throw whole.Error(
                $"is of a model of several parts, and the prefix '{_prefix}' is that of no layer: "
                + $"{string.Join(", ", places.Select(one => $"'{one.Place.Pattern}'"))}"));
        if (model.Family.HasSinks && !Has(Sinks))
            throw model.Error($"is of a model whose layers have '{Sinks}', and the layer in '{file.Path}' has none");
        return (options.Window, options.Softcap, options.Scale, options.NormEpsilon) is (null, null, null, null)
            ? model
            : throw BadInput.Because(
                nameof(options),
                "The options 'Window', 'Softcap', 'Scale' and 'NormEpsilon' must be left out where config.json configures the layer; state "
                + $"the positions as well, and nothing of it but its heads is read. The file is '{file.Path}'.");
    }

    // PyTorch's own layer has no positions; a model that has them stores it under other names, or changes it.
    private void RequireNoPositions()
    {
        if (TypeBeside() is string type && ModelFamilies.Find(type) is { Places: [_, ..] } family && HasPositions(family))
        {
            throw BadInput.Because(
                nameof(options),
                $"'{file.Path}' has the names of nn.MultiheadAttention, which has no positions, and "
                + $"'{ModelConfiguration.PathBeside(file.Path)}' the 'model_type' '{type}', whose layers have: state the positions, by the "
                + "option 'Rotary' or by the option 'Positions', None (--rotary of the command line).");
        }
    }

    private void RequireNormEpsilon(ModelConfiguration? model)
    {
        string? norm = Has(QueryNorm) ? QueryNorm : Has(KeyNorm) ? KeyNorm : null;
        if (norm is null && options.NormEpsilon is float epsilon)
            throw BadInput.Because(
                nameof(options),
                $"The option 'NormEpsilon' is {epsilon}, but '{file.Path}' has neither '{_prefix}{QueryNorm}' nor '{_prefix}{KeyNorm}'.");
        if (norm is null)
            model?.RequireNoNorms(file.Path);
        else if (options.NormEpsilon is null && model?.HasNorms != true)
            throw BadInput.Because(
                nameof(options),
                $"'{file.Path}' has '{_prefix}{norm}': the option 'NormEpsilon' must be given where it is the factor of a root-mean-square "
                + "norm of each head; this layer has no other norm.");
    }

    private MultiHeadAttentionWeights LoadJoined(int heads, int keyValueHeads, Type type)
    {
        Tensor<float> joined = Matrix("in_proj_weight");
        long parts = heads + 2L * keyValueHeads;
        nint rows = joined.Lengths[0];
        if (rows % parts != 0)
        {
            throw Error(
                $"has '{_prefix}in_proj_weight' with {rows} rows, which {heads} heads and {keyValueHeads} key/value heads do not divide");
        }

        nint queryRows = (nint)(rows / parts * heads);
        nint keyRows = (nint)(rows / parts * keyValueHeads);
        return WithJoinedBias(
            TensorRows.Take(joined, (0, queryRows)), TensorRows.Take(joined, (queryRows, keyRows)),
            TensorRows.Take(joined, (queryRows + keyRows, keyRows)), type);
    }

    private MultiHeadAttentionWeights WithJoinedBias(Tensor<float> query, Tensor<float> key, Tensor<float> value, Type type)
    {
        (nint queryRows, nint keyRows, nint valueRows) = (query.Lengths[0], key.Lengths[0], value.Lengths[0]);
        Tensor<float>? bias = Vector("in_proj_bias");
        if (bias is not null && bias.Lengths[0] != queryRows + keyRows + valueRows)
        {
            throw Error(
                $"has '{_prefix}in_proj_bias' of {bias.Lengths[0]} elements; its weights have {queryRows + keyRows + valueRows} rows");
        }

        return new MultiHeadAttentionWeights
        {
            Query = query,
            Key = key,
            Value = value,
            Output = Matrix("out_proj.weight"),
            QueryBias = bias is null ? null : TensorRows.Take(bias, (0, queryRows)),
            KeyBias = bias is null ? null : TensorRows.Take(bias, (queryRows, keyRows)),
            ValueBias = bias is null ? null : TensorRows.Take(bias, (queryRows + keyRows, valueRows)),
            OutputBias = Vector("out_proj.bias"),
            ExtraKey = Flat("bias_k"),
            ExtraValue = Flat("bias_v"),
            QueryNorm = Vector(QueryNorm),
            KeyNorm = Vector(KeyNorm),
            Sinks = Vector(Sinks),
            StoredType = type,
        };
    }

    private MultiHeadAttentionWeights LoadLayers(StoredNorms norms, Type type)
    {
        string output = OutputLayer;
        return new MultiHeadAttentionWeights
        {
            Query = Matrix("q_proj.weight"),
            Key = Matrix("k_proj.weight"),
            Value = Matrix("v_proj.weight"),
            Output = Matrix(output + ".weight"),
            QueryBias = Vector("q_proj.bias"),
            KeyBias = Vector("k_proj.bias"),
            ValueBias = Vector("v_proj.bias"),
            OutputBias = Vector(output + ".bias"),
            QueryNorm = NormFactors.Read(Vector(QueryNorm), norms),
            KeyNorm = NormFactors.Read(Vector(KeyNorm), norms),
            Sinks = Vector(Sinks),
            StoredType = type,
        };
    }

    private bool Has(string name) => file.Entries.ContainsKey(_prefix + name);

    private Tensor<float> Matrix(string name) => Ranked(name, 2);

    private Tensor<float>? Vector(string name) => Has(name) ? Ranked(name, 1) : null;

    // [1, 1, size], as one vector.
    private Tensor<float>? Flat(string name)
    {
        if (!Has(name))
            return null;
        Tensor<float> rows = Ranked(name, 3);
        var values = new float[rows.FlattenedLength];
        rows.FlattenTo(values);
        return Tensor.Create(values, [rows.FlattenedLength]);
    }

    private Tensor<float> Ranked(string name, int rank)
    {
        if (file.Entries.TryGetValue(_prefix + name, out SafetensorsEntry? entry)
            && (entry.Lengths.Count != rank || entry.Lengths.Any(length => length is < 1 or > int.MaxValue)))
        {
            throw Error($"has '{_prefix}{name}' of shape [{string.Join(", ", entry.Lengths)}]; it must have rank {rank} and no empty axis");
        }

        return file.Read(_prefix + name);
    }

    private InvalidDataException Error(string what) => new($"'{file.Path}' {what}.");
}
