using System.Numerics.Tensors;
using System.Text.Json;
using AttentionGpu.Cli.Files;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Layers;
using AttentionGpu.Tests.Models;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Cli.Tests;

/// <summary>The tensors that <c>attention run</c> takes, and the element types that it computes in, on a small Llama.</summary>
public sealed class RunInputTests : IDisposable
{
    private const int Batch = 2;
    private const int Length = 6;
    private const int Width = 32;

    private static readonly PublishedModel _llama = PublishedModels.All["Llama 2"];

    private readonly TemporaryFolder _folder = new();
    private readonly LayerCall _call = _llama.Call(seed: 5, Length);

    public RunInputTests()
    {
        _llama.Write(_folder[""], "llama", _call.Weights);
        SafetensorsFile.Write(
            _folder["x.safetensors"], new Dictionary<string, Tensor<float>> { ["x"] = _call.Query, ["hidden"] = Data.Random(new Random(6), Batch, Length, Width) });
        StoredTensor.WriteNumPy(_folder["x.npy"], "<f4", Data.Flat(_call.Query), $"({Batch}, {Length}, {Width})");
        StoredTensor.WriteNumPy(_folder["tokens.npy"], "<f4", Data.Flat(_call.Query), $"({Batch * Length}, {Width})");
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_input_is_the_tensor_that_is_named()
    {
        using var file = SafetensorsFile.Open(_folder["x.safetensors"]);
        Check(_call with { Query = file.Read("hidden") }, "--input", _folder["x.safetensors"], "--tensor", "hidden");
        Check(_call, "--input", _folder["x.safetensors"]);
    }

    [Fact]
    public void The_context_is_the_tensor_that_is_named()
    {
        PublishedModel cross = PublishedModels.All["encoder and decoder: cross-attention"];
        LayerCall call = cross.Call(seed: 7, Length);
        cross.Write(_folder[""], "whisper", call.Weights);
        SafetensorsFile.Write(_folder["both.safetensors"], new Dictionary<string, Tensor<float>> { ["q"] = call.Query, ["kv"] = call.Key! });
        string both = _folder["both.safetensors"];
        Run("--layer", "1", "--cross", "--input", both, "--tensor", "q", "--context", both, "--context-tensor", "kv");
        Close.Assert(LayerDefinition.Run(call).Output, Output(), "whisper");
    }

    [Theory]
    [InlineData("|b1")]
    [InlineData("|u1")]
    [InlineData("BOOL")]
    [InlineData("U8")]
    public void Keys_that_are_padding_are_left_out(string type)
    {
        bool[] padding = [.. Enumerable.Range(0, Batch * Length).Select(i => i is 4 or 5 or 11)];
        byte[] bytes = Array.ConvertAll(padding, value => value ? (byte)1 : (byte)0);
        string path = _folder[type is "BOOL" or "U8" ? "padding.safetensors" : "padding.npy"];
        switch (type)
        {
            case "BOOL":
                StoredTensor.Write(path, ("key_padding_mask", StoredTensor.Boolean([Batch, Length], padding)));
                break;
            case "U8":
                StoredTensor.Write(path, ("key_padding_mask", StoredTensor.UInt8([Batch, Length], bytes)));
                break;
            default:
                StoredTensor.WriteNumPy(path, type, bytes, $"({Batch}, {Length})");
                break;
        }

        Check(_call with { Padding = Tensor.Create(padding, [Batch, Length]) }, "--input", _folder["x.npy"], "--key-padding", path);
    }

    [Theory]
    [InlineData("<i4")]
    [InlineData("<i8")]
    [InlineData(">i8")]
    [InlineData("I32")]
    [InlineData("I64")]
    public void Positions_are_those_of_the_file(string type)
    {
        int[] positions = [.. Enumerable.Range(0, Batch * Length).Select(i => (i * 7 + 3) % 40)];
        string path = Positions(type, positions, $"({Batch}, {Length})", Batch, Length);
        Check(
            _call with { QueryPositions = Tensor.Create(positions, [Batch, Length]) }, "--input", _folder["x.npy"], "--position-ids", path);
    }

    [Fact]
    public void A_ragged_batch_is_computed_sequence_by_sequence()
    {
        Tensor<float> tokens = Tensor.Create(Data.Flat(_call.Query), [Batch * Length, Width]);
        LayerCall ragged = _call with { Query = tokens, Starts = [0, 3, 4, 12] };
        string json = Check(ragged, "--input", _folder["tokens.npy"], "--lengths", "3,1,8", "--json");

        // Causal pairs: 6 + 1 + 36 of 4 heads, of 8 multiply-adds, twice. Projections: 12 x (32 x 32 x 2 + 16 x 64).
        Assert.Equal(2.0 * (12 * 3072 + 43 * 4 * 8 * 2), JsonElement.Parse(json).GetProperty("operations").GetDouble());
        int[] positions = [9, 4, 7, 0, 1, 2, 3, 5, 8, 13, 21, 34];
        Check(
            ragged with { QueryPositions = Tensor.Create(positions, [1, Batch * Length]) }, "--input", _folder["tokens.npy"], "--lengths",
            "3,1,8", "--position-ids", Positions("<i8", positions, $"({Batch * Length},)"));
    }

    [Theory]
    [InlineData("F32", null, "float32")]
    [InlineData("F16", null, "float16")]
    [InlineData("BF16", null, "bfloat16")]
    [InlineData("BF16", "float32", "float32")]
    [InlineData("F16", "bfloat16", "bfloat16")]
    [InlineData("F32", "float16", "float16")]
    public void A_layer_is_computed_in_the_type_of_the_checkpoint_unless_another_is_asked_for(string stored, string? asked, string type)
    {
        LayerCall call = Stored(stored);
        LayerCall rounded = call with { Element = type == "float16" ? ElementForm.F16 : type == "bfloat16" ? ElementForm.BF16 : ElementForm.F32 };
        double tolerance = type == "float16" ? 2e-3 : type == "bfloat16" ? 1e-2 : Close.Tolerance;
        string[] options = asked is null ? [] : ["--type", asked];
        foreach (string[] source in new string[][]
        {
            ["--model", _folder[""], "--layer", "3"],
            ["--weights", _folder["model.safetensors"], "--prefix", _llama.Prefix, "--causal"],
        })
        {
            string json = Succeed(["run", .. source, "--input", _folder["x.npy"], .. options, "--output", _folder["y.safetensors"], "--json"]);
            Assert.Equal(type, JsonElement.Parse(json).GetProperty("type").GetString());
            using (var file = SafetensorsFile.Open(_folder["y.safetensors"]))
                Assert.Equal(type == "float16" ? "F16" : type == "bfloat16" ? "BF16" : "F32", file.Entries["y"].TypeName);
            Tensor<float> output = Output();
            Close.Assert(LayerDefinition.Run(rounded).Output, output, json, tolerance);
            Succeed(["run", .. source, "--input", _folder["x.npy"], .. options, "--output", _folder["y.npy"]]);
            Assert.Equal(Data.Flat(output), Data.Flat(TensorFile.Read(_folder["y.npy"], "y")));
        }
    }

    [Fact]
    public void A_number_that_the_layer_s_type_does_not_have_is_refused()
    {
        Stored("F16");
        float[] numbers = Data.Flat(_call.Query);
        numbers[17] = 70_000f;
        StoredTensor.WriteNumPy(_folder["x.npy"], "<f4", numbers, $"({Batch}, {Length}, {Width})");
        Refuse("--input has the number 70000, which float16 does not have; --type float32", "--input", _folder["x.npy"]);
        Check(
            _call with { Query = Tensor.Create(numbers, [Batch, Length, Width]), Weights = Stored("F16").Weights }, "--input", _folder["x.npy"],
            "--type", "float32");
    }

    [Theory]
    [InlineData("has no tensor 'z'. It has: hidden, x", "--input", "x.safetensors", "--tensor", "z")]
    [InlineData("--tensor must be left out: --input", "--input", "x.npy", "--tensor", "x")]
    [InlineData("--context-tensor needs --context", "--input", "x.npy", "--context-tensor", "x")]
    [InlineData("must be [batch, length, embedding]; it has rank 2", "--input", "tokens.npy")]
    [InlineData("must be [tokens, embedding], with --lengths; it has rank 3", "--input", "x.npy", "--lengths", "6,6")]
    [InlineData("--lengths adds up to 11 tokens", "--input", "tokens.npy", "--lengths", "5,6")]
    [InlineData("--lengths adds up to 4294967294 tokens", "--input", "tokens.npy", "--lengths", "2147483647,2147483647")]
    [InlineData("--lengths is '12,'", "--input", "tokens.npy", "--lengths", "12,")]
    [InlineData("--lengths is '0,12'", "--input", "tokens.npy", "--lengths", "0,12")]
    [InlineData("--lengths is '-1,13'", "--input", "tokens.npy", "--lengths", "-1,13")]
    [InlineData("--key-padding must be left out beside --lengths", "--input", "tokens.npy", "--lengths", "12", "--key-padding", "p.npy")]
    [InlineData("--need-weights must be left out beside --lengths", "--input", "tokens.npy", "--lengths", "12", "--need-weights")]
    [InlineData("--context must be left out beside --lengths", "--input", "tokens.npy", "--lengths", "12", "--context", "x.npy")]
    [InlineData("p.npy' has the shape [6, 2]; it must be [batch, key length], [2, 6]", "--input", "x.npy", "--key-padding", "p.npy")]
    [InlineData("has the element 2; it must be 0 or 1", "--input", "x.npy", "--key-padding", "two.npy")]
    [InlineData("are of the type '<i8'; bool or uint8 is needed", "--input", "x.npy", "--key-padding", "long.npy")]
    [InlineData("has no tensor 'key_padding_mask'", "--input", "x.npy", "--key-padding", "x.safetensors")]
    [InlineData("has the shape [6, 2]; it must be [batch, length], [2, 6]", "--input", "x.npy", "--position-ids", "turned.npy")]
    [InlineData("it must be [tokens], [12]", "--input", "tokens.npy", "--lengths", "12", "--position-ids", "long.npy")]
    [InlineData("has the position -1; it must be 0 to ", "--input", "x.npy", "--position-ids", "negative.npy")]
    [InlineData("has the element 4294967296, which int32 does not have", "--input", "x.npy", "--position-ids", "huge.npy")]
    [InlineData("are of the type '<f4'; int32 or int64 is needed", "--input", "x.npy", "--position-ids", "x.npy")]
    [InlineData("far.npy' has the position 2147483647; it must be 0 to ", "--input", "x.npy", "--position-ids", "far.npy")]
    [InlineData("--position-ids must be left out beside --context", "--input", "x.npy", "--position-ids", "long.npy", "--context", "x.npy")]
    [InlineData("'double' not recognized. Must be one of: 'float32' 'float16'", "--input", "x.npy", "--type", "double")]
    [InlineData("--input has the shape [2, 6, 31]; its last axis must be 32, the layer's embedding size.", "--input", "narrow.npy")]
    public void What_cannot_be_computed_is_refused(string message, params string[] options)
    {
        WriteNumPy("p", "|b1", new byte[12], "(6, 2)");
        WriteNumPy("narrow", "<f4", new float[2 * 6 * 31], "(2, 6, 31)");
        WriteNumPy("two", "|u1", new byte[] { 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0 }, "(2, 6)");
        WriteNumPy("long", "<i8", new long[12], "(2, 6)");
        WriteNumPy("turned", "<i8", new long[12], "(6, 2)");
        WriteNumPy("negative", "<i4", new[] { 0, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, "(2, 6)");
        WriteNumPy("huge", "<i8", new long[] { 1L << 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, "(2, 6)");
        WriteNumPy("far", "<i4", new[] { int.MaxValue, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, "(2, 6)");
        Refuse(message, [.. options.Select(option => File.Exists(_folder[option]) ? _folder[option] : option)]);
    }

    [Theory]
    [InlineData("--context has the shape [2, 6, 31]; its last axis must be 32, the layer's key size.", "(2, 6, 31)", 2 * 6 * 31)]
    [InlineData("--context has the shape [3, 6, 32]; its first axis must be 2, the batch of --input.", "(3, 6, 32)", 3 * 6 * 32)]
    public void A_context_that_does_not_fit_is_refused(string message, string shape, int count)
    {
        PublishedModel cross = PublishedModels.All["encoder and decoder: cross-attention"];
        cross.Write(_folder[""], "whisper", cross.Call(seed: 7, Length).Weights);
        WriteNumPy("context", "<f4", new float[count], shape);
        Assert.Contains(
            message,
            InProcess.Fail(
                2, "run", "--model", _folder[""], "--layer", "1", "--cross", "--input", _folder["x.npy"], "--context",
                _folder["context.npy"], "--output", _folder["bad.npy"]),
            StringComparison.Ordinal);
        Assert.False(File.Exists(_folder["bad.npy"]), "Something was written.");
    }

    [Theory]
    [InlineData("y.txt")]
    [InlineData("y.npz")]
    [InlineData("y.gguf")]
    public void An_output_of_a_format_that_is_not_written_is_refused(string name)
    {
        Assert.Contains(
            $"{name}'; it must be a .safetensors or a .npy file.",
            InProcess.Fail(
                2, "run", "--model", _folder[""], "--layer", $"{_llama.Index}", "--input", _folder["x.npy"], "--output", _folder[name]),
            StringComparison.Ordinal);
        Assert.False(File.Exists(_folder[name]), "Something was written.");
    }

    [Fact]
    public void Positions_of_a_layer_without_rotary_embedding_are_refused()
    {
        PublishedModel opt = PublishedModels.All["OPT"];
        opt.Write(_folder[""], "opt", opt.Call(seed: 1, Length).Weights);
        WriteNumPy("long", "<i8", new long[12], "(2, 6)");
        string error = InProcess.Fail(
            2, "run", "--model", _folder[""], "--layer", $"{opt.Index}", "--input", _folder["x.npy"], "--position-ids", _folder["long.npy"],
            "--output", _folder["bad.npy"]);
        Assert.Contains("--position-ids must be left out: the layer has no rotary embedding", error, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder["bad.npy"]), "Something was written.");
    }

    [Theory]
    [InlineData("--key-padding")]
    [InlineData("--position-ids")]
    public void A_file_that_is_read_is_not_overwritten(string option)
    {
        WriteNumPy("read", "|b1", new byte[12], "(2, 6)");
        Assert.Contains(
            "an input is not overwritten",
            InProcess.Fail(2, Arguments(["--input", _folder["x.npy"], option, _folder["read.npy"], "--output", _folder["read.npy"]])),
            StringComparison.Ordinal);
    }

    // The layer with its numbers rounded to a type, and so written.
    private LayerCall Stored(string type)
    {
        var rounded = _llama.Tensors(_call.Weights).ToDictionary(pair => pair.Key, pair => (Data.Flat(pair.Value), pair.Value.Lengths.ToArray()));
        StoredTensor.Write(_folder["model.safetensors"], [.. rounded.Select(pair => (pair.Key, Store(type, pair.Value.Item1, pair.Value.Item2)))]);
        using var model = AttentionModel.Open(_folder[""]);
        return _call with { Weights = model.ReadLayer(model.FindLayer(_llama.Index)).Weights };
    }

    private static StoredTensor Store(string type, float[] values, nint[] lengths)
    {
        int[] shape = Array.ConvertAll(lengths, length => (int)length);
        return type == "F16" ? StoredTensor.Float16(shape, values)
            : type == "BF16" ? StoredTensor.BFloat16(shape, values)
            : StoredTensor.Float32(shape, values);
    }

    private string Positions(string type, int[] positions, string shape, params int[] lengths)
    {
        string path = _folder[type is "I32" or "I64" ? "positions.safetensors" : "positions.npy"];
        long[] longs = Array.ConvertAll(positions, position => (long)position);
        switch (type)
        {
            case "I32":
                StoredTensor.Write(path, ("position_ids", StoredTensor.Int32(lengths, positions)));
                break;
            case "I64":
                StoredTensor.Write(path, ("position_ids", StoredTensor.Int64(lengths, longs)));
                break;
            case "<i4":
                StoredTensor.WriteNumPy(path, type, positions, shape);
                break;
            case ">i8":
                StoredTensor.WriteNumPy(path, type, Array.ConvertAll(longs, System.Buffers.Binary.BinaryPrimitives.ReverseEndianness), shape);
                break;
            default:
                StoredTensor.WriteNumPy(path, type, longs, shape);
                break;
        }

        return path;
    }

    private void WriteNumPy<T>(string name, string type, T[] values, string shape)
        where T : unmanaged => StoredTensor.WriteNumPy(_folder[$"{name}.npy"], type, values, shape);

    private string Check(LayerCall call, params string[] options)
    {
        string output = Run(["--layer", "3", .. options]);
        Close.Assert(LayerDefinition.Run(call).Output, Output(), string.Join(' ', options));
        return output;
    }

    private string Run(params string[] options) =>
        Succeed(["run", "--model", _folder[""], .. options, "--device", "simd", "--output", _folder["y.safetensors"]]);

    private Tensor<float> Output()
    {
        using var file = SafetensorsFile.Open(_folder["y.safetensors"]);
        return file.Read("y");
    }

    private string[] Arguments(string[] options) =>
    [
        "run", "--model", _folder[""], "--layer", "3", "--device", "simd", .. options,
        .. options.Contains("--output") ? Array.Empty<string>() : ["--output", _folder["bad.safetensors"]],
    ];

    private void Refuse(string message, params string[] options)
    {
        Assert.Contains(message, InProcess.Fail(2, Arguments(options)), StringComparison.Ordinal);
        Assert.False(File.Exists(_folder["bad.safetensors"]), "Something was written.");
    }

    private static string Succeed(string[] arguments)
    {
        CliResult result = InProcess.Run(arguments);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return result.Output;
    }
}
