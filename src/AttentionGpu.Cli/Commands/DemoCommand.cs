using System.CommandLine;
using System.Numerics.Tensors;
using AttentionGpu.Cli.Demo;
using AttentionGpu.Cli.Files;
using AttentionGpu.Cli.Output;

namespace AttentionGpu.Cli.Commands;

/// <summary><c>attention demo</c>: which words of a text attend to which, head by head.</summary>
internal static class DemoCommand
{
    private const int DefaultEmbeddingSize = 64;
    private const int DefaultHeads = 4;

    public static Command Create(EngineFactory open)
    {
        Option<string?> text =
            CommonOptions.Path<string?>("--text", "FILE", "A text file, a sentence a line; three sentences if left out.");
        Option<string?> weights = CommonOptions.Path<string?>(
            "--weights", "W.safetensors", "A checkpoint's layer; seeded random parameters if left out.");
        var prefix = new Option<string?>("--prefix") { Description = "What stands before the layer's tensor names.", HelpName = "P" };
        var heads = new Option<int?>("--heads")
        {
            Description = $"Query heads; {DefaultHeads} if left out, or with --weights those of the config.json beside the checkpoint.",
            HelpName = "H",
        };
        var seed = new Option<int>("--seed")
        {
            Description = "The seed of all that is random.",
            HelpName = "N",
            DefaultValueFactory = _ => 1,
        };
        var causal = new Option<bool>("--causal") { Description = "A word sees itself and the words before it." };
        Option<string?> pictures = CommonOptions.Path<string?>("--out", "DIR", "A folder for a PNG heat map per sentence and head.");
        Option<string> device = CommonOptions.Device();
        Option<bool> json = CommonOptions.Json();
        var positions = new PositionOptions();
        var command = new Command("demo", "Show which words attend to which, head by head.")
        {
            text, weights, prefix, heads, seed, causal, pictures, device, json,
        };
        positions.AddTo(command);
        command.SetAction(parsed => Run(new Settings(
            parsed.GetValue(text),
            parsed.GetValue(weights),
            ReadLayer(parsed, positions, parsed.GetValue(weights), prefix),
            parsed.GetValue(prefix),
            parsed.GetValue(heads),
            parsed.GetValue(seed),
            parsed.GetValue(causal) ? Causal.TopLeft : Causal.None,
            parsed.GetValue(pictures),
            parsed.GetRequiredValue(device),
            parsed.GetValue(json)), open));
        return command;
    }

    private static int Run(Settings settings, EngineFactory open)
    {
        IReadOnlyList<Sentence> sentences = Screen.Status("reading the text", _ => DemoText.Read(settings.Text));
        DeviceSelection selection = AttentionEngine.SelectDevice(settings.Device);
        using AttentionEngine engine = open(selection.Device.Name);
        using MultiHeadAttention<float> layer = CreateLayer(engine, settings);
        if (settings.Pictures is string pictures)
        {
            OutputFile.RequireInFolder(
                "--out", pictures,
                from batch in Enumerable.Range(0, sentences.Count)
                from head in Enumerable.Range(0, layer.Config.Heads)
                select HeadWeights.PictureFile(pictures, batch, head),
                InputFile.List(settings.Weights, ("--text", settings.Text)));
        }

        Tensor<float> weights = Screen.Status($"attention on {engine.Device.Name}", _ => Attend(layer, sentences, settings));

        var heads = new HeadWeights(weights, sentences);
        IReadOnlyList<string> files = settings.Pictures is string folder
            ? Screen.Status("drawing", _ => heads.SavePictures(folder))
            : [];
        string source = settings.Weights is string path
            ? $"Parameters: {path}. Embeddings: untrained, random by token, plus sinusoidal positions, seed {settings.Seed}."
            : $"Parameters and embeddings: untrained, random, seed {settings.Seed}, plus sinusoidal positions. "
                + "They show the mechanism, not a language.";
        if (settings.Json)
            PrintJson(sentences, heads, selection, source, files);
        else
            DemoTables.Print(sentences, heads, selection, source, files);
        return ExitCode.Success;
    }

    private static MultiHeadAttentionLoadOptions ReadLayer(
        ParseResult parsed, PositionOptions positions, string? weights, Option prefix) =>
        weights is null && (positions.FirstGiven(parsed) ?? PositionOptions.FirstGiven(parsed, prefix)) is string option
            ? throw new ArgumentException($"{option} is for a layer of a checkpoint; --weights is left out.")
            : positions.Read(parsed);

    private static MultiHeadAttention<float> CreateLayer(AttentionEngine engine, Settings settings)
    {
        if (settings.Weights is not null)
        {
            return MultiHeadAttention.Load<float>(
                engine, settings.Weights, settings.Heads, prefix: settings.Prefix, options: settings.Layer);
        }

        var config = new MultiHeadAttentionConfig { EmbeddingSize = DefaultEmbeddingSize, Heads = settings.Heads ?? DefaultHeads };
        return new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(config, settings.Seed));
    }

    private static Tensor<float> Attend(MultiHeadAttention<float> layer, IReadOnlyList<Sentence> sentences, Settings settings)
    {
        Tensor<float> input = TokenEmbedding.Embed(sentences, layer.Config.EmbeddingSize, settings.Seed);
        nint length = input.Lengths[1];
        bool[] padding = [.. sentences.SelectMany(sentence =>
            Enumerable.Range(0, (int)length).Select(position => position >= sentence.Tokens.Count))];
        Tensor<float> output = Tensor.CreateFromShape<float>(input.Lengths);
        Tensor<float> weights = Tensor.CreateFromShape<float>([sentences.Count, layer.Config.Heads, length, length]);
        ReadOnlyTensorSpan<float> embedded = input.AsReadOnlyTensorSpan();
        layer.ForwardWithWeights(
            embedded, embedded, embedded, output.AsTensorSpan(), weights.AsTensorSpan(), causal: settings.Causal,
            keyPaddingMask: new ReadOnlyTensorSpan<bool>(padding, [sentences.Count, length]));
        return weights;
    }

    private static void PrintJson(
        IReadOnlyList<Sentence> sentences, HeadWeights heads, DeviceSelection selection, string source, IReadOnlyList<string> files) =>
        Json.Print(new
        {
            device = selection.Device.Name,
            reason = selection.Reason,
            source,
            sentences = sentences.Select((sentence, batch) => new
            {
                text = sentence.Text,
                words = sentence.Tokens.Select(token => token.Text),
                heads = Enumerable.Range(0, heads.Heads).Select(head => heads.Rows(batch, head)),
            }),
            files,
        }, Screen.Output);

    private sealed record Settings(
        string? Text, string? Weights, MultiHeadAttentionLoadOptions Layer, string? Prefix, int? Heads, int Seed, Causal Causal,
        string? Pictures, string Device, bool Json);
}
