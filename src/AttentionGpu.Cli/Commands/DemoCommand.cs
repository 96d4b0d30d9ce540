using System.CommandLine;
using System.Globalization;
using System.Numerics.Tensors;
using System.Reflection;
using AttentionGpu.Cli.Demo;
using AttentionGpu.Cli.Output;
using Spectre.Console;

namespace AttentionGpu.Cli.Commands;

/// <summary><c>attention demo</c>: which words of a text attend to which, head by head.</summary>
internal static class DemoCommand
{
    private const int DefaultEmbeddingSize = 64;
    private const int DefaultHeads = 4;
    private const int ShownWords = 2;

    // More than this many tokens in a line make no readable table, and a picture of hundreds of megapixels.
    private const int MaxTokens = 128;

    public static Command Create(EngineFactory open)
    {
        var text = new Option<string?>("--text") { Description = "A text file, a sentence a line; three sentences if left out.", HelpName = "FILE" };
        var weights = new Option<string?>("--weights")
        {
            Description = "A checkpoint's layer; seeded random parameters if left out.",
            HelpName = "W.safetensors",
        };
        var prefix = new Option<string?>("--prefix") { Description = "What stands before the layer's tensor names.", HelpName = "P" };
        var heads = new Option<int>("--heads") { Description = "Query heads.", HelpName = "H", DefaultValueFactory = _ => DefaultHeads };
        var seed = new Option<int>("--seed") { Description = "The seed of all that is random.", HelpName = "N", DefaultValueFactory = _ => 1 };
        var causal = new Option<bool>("--causal") { Description = "A word sees itself and the words before it." };
        var pictures = new Option<string?>("--out") { Description = "A folder for a PNG heat map per sentence and head.", HelpName = "DIR" };
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
            ReadLayer(parsed, positions, parsed.GetValue(weights)),
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
        IReadOnlyList<Sentence> sentences = LongWork.Run("reading the text", _ => ReadSentences(settings.Text));
        DeviceSelection selection = AttentionEngine.SelectDevice(settings.Device);
        using AttentionEngine engine = open(selection.Device.Name);
        using MultiHeadAttention<float> layer = CreateLayer(engine, settings);
        Tensor<float> weights = LongWork.Run($"attention on {engine.Device.Name}", _ => Attend(layer, sentences, settings));

        var heads = new HeadWeights(weights, sentences);
        IReadOnlyList<string> files = settings.Pictures is string folder
            ? LongWork.Run("drawing", _ => heads.SavePictures(folder))
            : [];
        string source = settings.Weights is string path
            ? $"Parameters: {path}. Embeddings: untrained, random by token, plus sinusoidal positions, seed {settings.Seed}."
            : $"Parameters and embeddings: untrained, random, seed {settings.Seed}, plus sinusoidal positions. They show the mechanism, not a language.";
        if (settings.Json)
            PrintJson(sentences, heads, selection, source, files);
        else
            PrintTables(sentences, heads, selection, source, files);
        return ExitCode.Success;
    }

    private static IReadOnlyList<Sentence> ReadSentences(string? path)
    {
        using Stream stream = path is null
            ? Assembly.GetExecutingAssembly().GetManifestResourceStream("sentences.txt")!
            : File.OpenRead(path);
        using var reader = new StreamReader(stream);
        IReadOnlyList<Sentence> sentences = Sentence.Parse(reader.ReadToEnd().Split('\n'));
        if (sentences.Count == 0)
            throw new InvalidDataException($"'{path}' holds no text.");
        return sentences.FirstOrDefault(sentence => sentence.Tokens.Count > MaxTokens) is { } tooLong
            ? throw new InvalidDataException($"A line of the text has {tooLong.Tokens.Count} tokens; at most {MaxTokens} can be shown.")
            : sentences;
    }

    private static MultiHeadAttentionLoadOptions ReadLayer(ParseResult parsed, PositionOptions positions, string? weights) =>
        weights is null && positions.FirstGiven(parsed) is string option
            ? throw new ArgumentException($"{option} is for a layer of a checkpoint; --weights is left out.")
            : positions.Read(parsed);

    private static MultiHeadAttention<float> CreateLayer(AttentionEngine engine, Settings settings)
    {
        if (settings.Weights is not null)
        {
            return MultiHeadAttention.Load<float>(
                engine, settings.Weights, settings.Heads, prefix: settings.Prefix, options: settings.Layer);
        }

        var config = new MultiHeadAttentionConfig { EmbeddingSize = DefaultEmbeddingSize, Heads = settings.Heads };
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

    private static void PrintTables(
        IReadOnlyList<Sentence> sentences, HeadWeights heads, DeviceSelection selection, string source, IReadOnlyList<string> files)
    {
        Console.WriteLine($"Device: {selection.Device.Name} ({selection.Reason}).");
        Console.WriteLine(source);
        for (int batch = 0; batch < sentences.Count; batch++)
        {
            Table table = new Table().Title(Markup.Escape(sentences[batch].Text)).AddColumn("word");
            for (int head = 0; head < heads.Heads; head++)
                table.AddColumn(string.Create(CultureInfo.InvariantCulture, $"head {head} attends to"));
            for (int query = 0; query < sentences[batch].Tokens.Count; query++)
            {
                string[] cells = [.. Enumerable.Range(0, heads.Heads).Select(head => string.Join(", ",
                    heads.Top(batch, head, query, ShownWords).Select(key => string.Create(
                        CultureInfo.InvariantCulture, $"{sentences[batch].Tokens[key.Position].Text} {key.Weight:F2}"))))];
                table.AddRow([Markup.Escape(sentences[batch].Tokens[query].Text), .. cells.Select(Markup.Escape)]);
            }

            Tables.Print(table);
        }

        if (files.Count > 0)
            Console.WriteLine($"{files.Count} heat maps: {Path.GetDirectoryName(files[0])}");
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
        });

    private sealed record Settings(
        string? Text, string? Weights, MultiHeadAttentionLoadOptions Layer, string? Prefix, int Heads, int Seed, Causal Causal,
        string? Pictures, string Device, bool Json);
}
