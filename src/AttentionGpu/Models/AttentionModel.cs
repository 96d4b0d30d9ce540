using System.Globalization;
using System.Numerics.Tensors;
using AttentionGpu.Elements;
using AttentionGpu.Layers;
using AttentionGpu.Models;
using AttentionGpu.Serialization;

namespace AttentionGpu;

/// <summary>
/// A model's checkpoint in a folder of the Hugging Face Hub: <c>config.json</c> with <c>model.safetensors</c>, with the files of
/// <c>model.safetensors.index.json</c>, or with an ONNX model, <c>model.onnx</c> or <c>onnx/model.onnx</c>. Its attention layers are listed
/// when it is opened, from the headers of the files or from the graph alone; loading one reads that layer's bytes.
/// <c>docs/models.md</c> has the known architectures. May be used from many threads at once.
/// </summary>
public sealed partial class AttentionModel : IDisposable
{
    private const string MappingHint =
        "A mapping, a JSON file that describes the layers (docs/models.md; --mapping of the command line), can take its place.";

    private readonly Checkpoint _checkpoint;

    // The file that says what the layers compute.
    private readonly string _description;
    private int _disposed;

    private AttentionModel(Checkpoint checkpoint, string? mapping)
    {
        _checkpoint = checkpoint;
        TensorNames = [.. checkpoint.Entries.Keys.Order(StringComparer.Ordinal)];
        (ModelConfiguration Configuration, LayerPlace Place)[] places;
        if (mapping is not null)
        {
            ModelType = "";
            places = ModelMapping.Read(mapping);
            _description = mapping;
        }
        else
        {
            _description = ModelConfiguration.PathBeside(checkpoint.Path);
            ModelConfiguration configuration = ModelConfiguration.Beside(checkpoint.Path, MappingHint)
                ?? throw new InvalidDataException(
                    $"There is no '{_description}', which says what the layers of '{checkpoint.Path}' compute. {MappingHint}");
            ModelType = configuration.ModelType;
            Refusals =
            [
                .. configuration.Family.Parts.Where(part => part.Refusal is not null).Select(part => $"'{part.Section}': {part.Refusal}"),
            ];
            places = [.. configuration.Places()];
        }

        Layers = [.. places.SelectMany(one => Find(one.Configuration, one.Place))];
        if (Layers.Count == 0)
        {
            string names = string.Join(", ", places.Select(one => $"'{one.Place.FirstTensor}'"));
            throw new InvalidDataException(
                $"'{checkpoint.Path}' has no attention layer that '{_description}' describes, N a number: {names}. It has: "
                + $"{checkpoint.Summary()}.");
        }
    }

    /// <summary>The file with the parameters, or the index of the files.</summary>
    public string Path => _checkpoint.Path;

    /// <summary>The <c>model_type</c> of <c>config.json</c>; empty for a model that a mapping describes.</summary>
    public string ModelType { get; }

    /// <summary>The attention layers, part by part and in the order of their numbers; self-attention before cross-attention.</summary>
    public IReadOnlyList<AttentionModelLayer> Layers { get; }

    /// <summary>
    /// Parts of the model whose attention layers are not among <see cref="Layers"/>, each with the reason; empty for most models.
    /// </summary>
    public IReadOnlyList<string> Refusals { get; } = [];

    /// <summary>
    /// The names of all tensors, those outside of attention included. A matrix of an ONNX model has the name of the bias that the graph
    /// adds to the product.
    /// </summary>
    public IReadOnlyCollection<string> TensorNames { get; }

    internal IEnumerable<string> Files => _checkpoint.Files.Append(_description);

    /// <summary>Opens a model and lists its layers. No parameter is read.</summary>
    /// <param name="path">
    /// The folder; or a safetensors file, an index or an ONNX model, with <c>config.json</c> beside it (or above, if its folder is
    /// <c>onnx</c>).
    /// </param>
    /// <param name="mapping">
    /// A JSON file that describes the layers of a model that is not in the table, and takes the place of <c>config.json</c>; null for none.
    /// <c>docs/models.md</c> has its members.
    /// </param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is missing or malformed; the architecture is not known, or has what a layer does not do; or the shapes contradict the
    /// configuration.
    /// </exception>
    public static AttentionModel Open(string path, string? mapping = null)
    {
        var checkpoint = Checkpoint.Open(path);
        try
        {
            return new AttentionModel(checkpoint, mapping);
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>The layer with a number.</summary>
    /// <param name="index">Its number in its part of the model.</param>
    /// <param name="stack">The part; null where only one has attention of the kind.</param>
    /// <param name="isCross">Whether it is cross-attention.</param>
    /// <exception cref="ArgumentException">There is none, or several parts have one; the message lists what there is.</exception>
    public AttentionModelLayer FindLayer(int index, ModelStack? stack = null, bool isCross = false)
    {
        AttentionModelLayer[] found =
        [
            .. Layers.Where(layer => layer.Index == index && layer.IsCross == isCross && (stack is null || layer.Stack == stack)),
        ];
        if (found is [AttentionModelLayer layer])
            return layer;
        if (found.Length > 0 && found.All(one => one.Stack == found[0].Stack))
        {
            throw new ArgumentException(
                $"A prefix must be given in place of the number {index}, which several layers have: "
                + $"{string.Join(", ", found.Select(one => $"'{Excerpt.Of(one.Prefix)}'"))}.",
                nameof(index));
        }

        IEnumerable<string> there = Layers.GroupBy(one => (one.Stack, one.IsCross)).Select(group =>
            $"{group.Key.Stack.ToString().ToLowerInvariant()} {(group.Key.IsCross ? "cross-attention" : "self-attention")} "
            + Range(group.First().Index.ToString(CultureInfo.InvariantCulture), group.Last().Index.ToString(CultureInfo.InvariantCulture)));
        string kind = isCross ? "cross-attention" : "self-attention";
        string problem = found.Length == 0
            ? $"There is no {kind} {index}{(stack is null ? "" : $" in the {stack.ToString()!.ToLowerInvariant()}")}"
            : $"The stack must be given, because several have a {kind} {index}";
        throw new ArgumentException(
            $"{problem}. '{Path}' has: {string.Join("; ", there)}.{string.Concat(Refusals.Select(text => $" Not computed: {text}."))}",
            found.Length == 0 ? nameof(index) : nameof(stack));
    }

    /// <summary>The layer whose tensors' names start with a prefix.</summary>
    /// <param name="prefix"><see cref="AttentionModelLayer.Prefix"/>; with or without the final dot.</param>
    /// <exception cref="ArgumentException">
    /// There is none, and the message lists some that there are; or a mapping describes several with the prefix.
    /// </exception>
    public AttentionModelLayer FindLayer(string prefix)
    {
        ArgumentException.ThrowIfNullOrEmpty(prefix);
        string name = prefix.EndsWith('.') ? prefix[..^1] : prefix;
        IEnumerable<string> there = Layers.GroupBy(layer => (layer.Stack, layer.IsCross)).Select(group =>
            Range($"'{Excerpt.Of(group.First().Prefix)}'", $"'{Excerpt.Of(group.Last().Prefix)}'"));
        AttentionModelLayer[] found = [.. Layers.Where(layer => layer.Prefix == name)];
        return found.Length > 1
            ? throw new ArgumentException(
                $"A number must be given in place of the prefix '{Excerpt.Of(prefix)}', which several layers have.", nameof(prefix))
            : found.FirstOrDefault() ?? throw new ArgumentException(
                $"There is no attention layer '{Excerpt.Of(prefix)}'. '{Path}' has: {string.Join("; ", there)}.", nameof(prefix));
    }

    /// <summary>Loads a layer in the element type of the file, <see cref="AttentionModelLayer.ElementType"/>.</summary>
    /// <inheritdoc cref="LoadLayer{T}(AttentionEngine, AttentionModelLayer, bool)" path="/param"/>
    /// <inheritdoc cref="LoadLayer{T}(AttentionEngine, AttentionModelLayer, bool)" path="/exception"/>
    public MultiHeadAttention LoadLayer(AttentionEngine engine, AttentionModelLayer layer, bool batchFirst = true)
    {
        ArgumentNullException.ThrowIfNull(engine);
        (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) = ReadLayer(layer, batchFirst);
        return MultiHeadAttention.Create(engine, config, weights, layer.ElementType);
    }

    /// <summary>Loads a layer with everything that the configuration says, but for causality, which is an argument of each call.</summary>
    /// <typeparam name="T">
    /// The element type of the layer: <see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>. Parameters of another type are
    /// converted, and rounded where the type does not have them.
    /// </typeparam>
    /// <param name="engine">Runs the layer; it must outlive it.</param>
    /// <param name="layer">One of <see cref="Layers"/>.</param>
    /// <param name="batchFirst">Whether tensors are [batch, length, size] rather than [length, batch, size].</param>
    /// <exception cref="ArgumentException">The layer is another model's.</exception>
    /// <exception cref="InvalidDataException">
    /// A tensor is missing, or below the layer's prefix is one that the layer would ignore, and its results would be wrong.
    /// </exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="ObjectDisposedException">The model or the engine is disposed.</exception>
    public MultiHeadAttention<T> LoadLayer<T>(AttentionEngine engine, AttentionModelLayer layer, bool batchFirst = true)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(engine);
        ElementTypes.Of<T>();
        (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) = ReadLayer(layer, batchFirst);
        return new MultiHeadAttention<T>(engine, config, weights);
    }

    /// <summary>Reads the parameters of a layer, in float32 whatever the file has.</summary>
    /// <param name="layer">One of <see cref="Layers"/>.</param>
    /// <param name="batchFirst">Whether tensors are [batch, length, size] rather than [length, batch, size].</param>
    /// <exception cref="ArgumentException">The layer is another model's.</exception>
    /// <exception cref="InvalidDataException">As for <see cref="LoadLayer{T}(AttentionEngine, AttentionModelLayer, bool)"/>.</exception>
    /// <exception cref="ObjectDisposedException">The model is disposed.</exception>
    public (MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights) ReadLayer(AttentionModelLayer layer, bool batchFirst = true)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if (!Layers.Any(own => ReferenceEquals(own, layer)))
        {
            throw new ArgumentException(
                $"'layer' must be one of the layers of '{Path}'; it is '{layer.Prefix}' of another model.", nameof(layer));
        }

        MultiHeadAttentionConfig config = layer.Config with { BatchFirst = batchFirst };
        return (config, layer.Reader.Read(config));
    }

    /// <summary>
    /// Reads a tensor as float32: F16 and BF16 elements keep their values, F64 elements are rounded. Its axes are those of the file;
    /// matrices that the graph of an ONNX model multiplies with are [outputs, inputs]. A scalar has the shape [1].
    /// </summary>
    /// <param name="name">One of <see cref="TensorNames"/>.</param>
    /// <exception cref="InvalidDataException">There is no such tensor, or its elements cannot be read.</exception>
    /// <exception cref="ObjectDisposedException">The model is disposed.</exception>
    public Tensor<float> ReadTensor(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        return _checkpoint.Read(name);
    }

    /// <summary>Closes the files. Layers that are loaded stay.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
            _checkpoint.Dispose();
    }

    private static string Range(string first, string last) => first == last ? first : $"{first} to {last}";

    private IEnumerable<AttentionModelLayer> Find(ModelConfiguration configuration, LayerPlace place)
    {
        foreach (LayerName layer in LayerFinder.Find(_checkpoint, place))
        {
            var reader = new ModelLayerReader(_checkpoint, configuration, place, layer);
            MultiHeadAttentionConfig config = reader.Config();
            yield return new AttentionModelLayer(reader)
            {
                Stack = place.Stack,
                Index = layer.Index,
                IsCross = place.IsCross,
                IsCausal = place.IsCausal,
                Prefix = layer.Prefix.TrimEnd('.'),
                ElementType = reader.Element(),
                Config = config,
                Variant = VariantText.Of(config, configuration.Family, place.IsCausal, place.RelativeBias is not null),
            };
        }
    }
}
