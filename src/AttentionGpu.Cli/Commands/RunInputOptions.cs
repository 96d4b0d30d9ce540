using System.CommandLine;
using System.Globalization;
using System.Numerics.Tensors;
using AttentionGpu.Cli.Files;

namespace AttentionGpu.Cli.Commands;

/// <summary>The options that name the tensors of <c>attention run</c>.</summary>
internal sealed class RunInputOptions
{
    private const string DefaultTensor = "x";
    private const string KeyPaddingTensor = "key_padding_mask";
    private const string PositionTensor = "position_ids";

    private readonly Option<string?> _input = CommonOptions.Path<string?>(
        "--input", "X",
        "The layer's input [batch, length, embedding], or [tokens, embedding] with --lengths: a .safetensors file, or a .npy file.");

    private readonly Option<string?> _tensor = new("--tensor")
    {
        Description = $"The tensor of a .safetensors --input; '{DefaultTensor}' if left out.",
        HelpName = "NAME",
    };

    private readonly Option<string?> _context = CommonOptions.Path<string?>(
        "--context", "C", "Where keys and values come from, likewise; the input itself if left out.");

    private readonly Option<string?> _contextTensor = new("--context-tensor")
    {
        Description = $"The tensor of a .safetensors --context; '{DefaultTensor}' if left out.",
        HelpName = "NAME",
    };

    private readonly Option<string?> _keyPadding = CommonOptions.Path<string?>(
        "--key-padding", "P",
        "Keys to leave out: bool or uint8 [batch, key length], true where a key is padding (attention_mask of the Hub is the opposite); "
        + $"tensor '{KeyPaddingTensor}' of a .safetensors file, or a .npy file.");

    private readonly Option<string?> _positionIds = CommonOptions.Path<string?>(
        "--position-ids", "I",
        "Positions for the layer's rotary embedding: int32 or int64 [batch, length], or [tokens] with --lengths; tensor "
        + $"'{PositionTensor}' of a .safetensors file, or a .npy file. 0, 1 and on if left out.");

    private readonly Option<string?> _lengths = new("--lengths")
    {
        Description = "A ragged batch: tokens of each sequence, which lie one after another in the input without padding.",
        HelpName = "N,N,...",
    };

    public RunInputOptions() => _input.Required = true;

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_input, _tensor, _context, _contextTensor, _keyPadding, _positionIds, _lengths])
            command.Options.Add(option);
    }

    /// <summary>Whether keys and values come from elsewhere.</summary>
    public bool HasContext(ParseResult parsed) => parsed.GetValue(_context) is not null;

    /// <summary>Whether the batch is ragged.</summary>
    public bool HasLengths(ParseResult parsed) => parsed.GetValue(_lengths) is not null;

    /// <summary>The files that <see cref="Read"/> reads.</summary>
    public IReadOnlyList<InputFile> Files(ParseResult parsed) =>
    [
        .. new[] { _input, _context, _keyPadding, _positionIds }
            .Select(option => (option.Name, Path: parsed.GetValue(option)))
            .Where(file => file.Path is not null).Select(file => new InputFile(file.Name, file.Path!)),
    ];

    /// <summary>Checks what can be checked before a file is read.</summary>
    /// <exception cref="ArgumentException">Options exclude each other.</exception>
    public void Require(ParseResult parsed)
    {
        RequireName(parsed, _tensor, _input);
        RequireName(parsed, _contextTensor, _context);
        if (HasLengths(parsed) && PositionOptions.FirstGiven(parsed, _context, _keyPadding) is string other)
            throw new ArgumentException($"{other} must be left out beside --lengths, which has self-attention without padding.");
        if (HasContext(parsed) && parsed.GetValue(_positionIds) is not null)
            throw new ArgumentException("--position-ids must be left out beside --context, whose positions it does not have.");
    }

    /// <summary>Reads the tensors.</summary>
    /// <exception cref="ArgumentException">Options exclude each other, or one is malformed.</exception>
    /// <exception cref="InvalidDataException">A file is malformed, or a tensor does not fit the others.</exception>
    public RunInputs Read(ParseResult parsed)
    {
        Require(parsed);
        int[]? lengths = parsed.GetValue(_lengths) is string text ? ParseLengths(text) : null;
        string path = parsed.GetRequiredValue(_input)!;
        Tensor<float> input = ReadTensor(_input, path, parsed.GetValue(_tensor), lengths is null);
        if (lengths is not null && lengths.Sum(length => (long)length) is long tokens && tokens != input.Lengths[0])
            throw new ArgumentException($"--lengths adds up to {tokens} tokens; the tensor of --input '{path}' has {input.Lengths[0]}.");
        Tensor<float>? context = parsed.GetValue(_context) is string other
            ? ReadTensor(_context, other, parsed.GetValue(_contextTensor), isBatch: true)
            : null;
        return new RunInputs
        {
            Input = input,
            Context = context,
            KeyPadding = parsed.GetValue(_keyPadding) is string padding ? ReadPadding(padding, context ?? input) : null,
            PositionIds = parsed.GetValue(_positionIds) is string positions ? ReadPositions(positions, input) : null,
            SequenceLengths = lengths,
        };
    }

    // A .npy file has one tensor without a name.
    private static void RequireName(ParseResult parsed, Option<string?> name, Option<string?> file)
    {
        if (parsed.GetValue(name) is null)
            return;
        if (parsed.GetValue(file) is not string path)
            throw new ArgumentException($"{name.Name} needs {file.Name}.");
        if (TensorFile.IsNumPy(path))
            throw new ArgumentException($"{name.Name} must be left out: {file.Name} '{path}' is a .npy file, whose tensor has no name.");
    }

    private static int[] ParseLengths(string text)
    {
        string[] parts = text.Split(',', StringSplitOptions.TrimEntries);
        var lengths = new int[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            if (!int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out lengths[i]) || lengths[i] == 0)
                throw new ArgumentException($"--lengths is '{text}'; it must be whole numbers of at least 1 with commas between them.");
        }

        return lengths;
    }

    private static Tensor<float> ReadTensor(Option option, string path, string? name, bool isBatch)
    {
        Tensor<float> tensor = TensorFile.Read(path, name ?? DefaultTensor);
        string axes = isBatch ? "[batch, length, embedding]" : "[tokens, embedding], with --lengths";
        return tensor.Rank == (isBatch ? 3 : 2)
            ? tensor
            : throw new InvalidDataException($"The tensor of {option.Name} '{path}' must be {axes}; it has rank {tensor.Rank}.");
    }

    private Tensor<bool> ReadPadding(string path, Tensor<float> keys)
    {
        Tensor<bool> padding = TensorFile.ReadBooleans(path, KeyPaddingTensor);
        RequireShape(_keyPadding, path, padding.Lengths, "[batch, key length]", keys.Lengths[0], keys.Lengths[1]);
        return padding;
    }

    private Tensor<int> ReadPositions(string path, Tensor<float> input)
    {
        Tensor<int> positions = TensorFile.ReadWholeNumbers(path, PositionTensor);
        foreach (int position in positions)
        {
            if (position < 0)
                throw new InvalidDataException($"{_positionIds.Name} '{path}' has the position {position}; it must be at least 0.");
        }

        if (input.Rank == 3)
        {
            RequireShape(_positionIds, path, positions.Lengths, "[batch, length]", input.Lengths[0], input.Lengths[1]);
            return positions;
        }

        RequireShape(_positionIds, path, positions.Lengths, "[tokens]", input.Lengths[0]);
        return Tensor.Reshape(positions, [1, input.Lengths[0]]);
    }

    private static void RequireShape(
        Option option, string path, ReadOnlySpan<nint> lengths, string axes, params ReadOnlySpan<nint> expected)
    {
        if (!lengths.SequenceEqual(expected))
        {
            throw new InvalidDataException(
                $"{option.Name} '{path}' has the shape [{string.Join(", ", lengths.ToArray())}]; it must be {axes}, "
                + $"[{string.Join(", ", expected.ToArray())}].");
        }
    }
}
