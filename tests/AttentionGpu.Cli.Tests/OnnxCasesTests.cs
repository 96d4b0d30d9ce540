using System.Text.Json;
using AttentionGpu.Cli.Verify;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

/// <summary>
/// <c>attention verify --onnx</c> on folders that the tests make. With one visible key the output is the value of that key, whatever the
/// scores are.
/// </summary>
public class OnnxCasesTests
{
    private static readonly int[] _query = [1, 1, 1, 2];
    private static readonly int[] _twoKeys = [1, 1, 2, 2];
    private static readonly int[] _threeKeys = [1, 1, 3, 2];

    [Fact]
    public void A_case_with_the_published_answers_passes_and_ends_with_exit_code_0()
    {
        CliResult result = Verify(folder => AddPast(folder));
        Assert.Equal(0, result.ExitCode);
        Assert.EndsWith("\n1 passed, 0 failed, 0 skipped\n", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Y")]
    [InlineData("present_key")]
    [InlineData("present_value")]
    [InlineData("qk_matmul_output")]
    public void A_wrong_published_tensor_fails_with_its_name_and_exit_code_1(string wrong)
    {
        CliResult result = Verify(folder => AddPast(folder, wrong), "--json");
        Assert.Equal(1, result.ExitCode);
        JsonElement root = JsonElement.Parse(result.Output);
        Assert.Equal((0, 1, 0), (Count(root, "passed"), Count(root, "failed"), Count(root, "skipped")));
        Assert.Equal(wrong, root.GetProperty("cases")[0].GetProperty("note").GetString());
    }

    [Theory]
    [InlineData(Fault.Differs)]
    [InlineData(Fault.LeavesUnwritten)]
    [InlineData(Fault.Throws)]
    internal void A_wrong_device_fails(Fault fault)
    {
        using var folder = new OnnxFolder();
        AddPast(folder);
        CliResult result = InProcess.Run(() => WrongDevice.Open(Wrong.Output, fault), "verify", "--onnx", folder.Path);
        Assert.Equal(1, result.ExitCode);
        Assert.EndsWith("\n0 passed, 1 failed, 0 skipped\n", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("dropout", "the attribute dropout is not known")]
    [InlineData("bias", "the input bias is not known")]
    public void A_node_that_says_more_than_is_known_is_skipped_with_the_reason_and_exit_code_0(string extra, string reason)
    {
        CliResult result = Verify(folder => folder.Add(
            "node",
            extra == "dropout" ? new { dropout = 1 } : new object(),
            [.. OneKey(StoredTensor.Float32), .. extra == "bias" ? new[] { ("bias", (StoredTensor?)null) } : []],
            [("Y", StoredTensor.Float32(_query, 99f, 99f))]));
        Assert.Equal(0, result.ExitCode);
        Assert.EndsWith("\n0 passed, 0 failed, 1 skipped\n", result.Output, StringComparison.Ordinal);
        Assert.Contains(reason, result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("F32", 1.000009f, true)]
    [InlineData("F32", 1.000011f, false)]
    [InlineData("F16", 1.0019f, true)] // Rounds to 1 + 2/1024.
    [InlineData("F16", 1.0028f, false)]
    [InlineData("BF16", 1.008f, true)] // Rounds to 1 + 1/128.
    [InlineData("BF16", 1.0156f, false)]
    public void The_tolerance_is_that_of_the_type_of_the_queries(string type, float published, bool passes)
    {
        Func<int[], float[], StoredTensor> store = type switch
        {
            "F16" => StoredTensor.Float16,
            "BF16" => StoredTensor.BFloat16,
            _ => StoredTensor.Float32,
        };
        Assert.Equal(passes ? 0 : 1, Verify(folder => folder.Add(
            "node", new object(), OneKey(store), [("Y", store(_query, [published, 0.5f]))])).ExitCode);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Keys_behind_the_end_of_a_mask_are_hidden(bool boolean)
    {
        int[] shape = [1, 1, 1, 2];
        StoredTensor mask = boolean ? StoredTensor.Boolean(shape, false, true) : StoredTensor.Float32(shape, float.NegativeInfinity, 0f);
        Passes(folder => folder.Add(
            "node", new object(), [.. ThreeKeys(), ("attn_mask", mask)], [("Y", StoredTensor.Float32(_query, 3f, 4f))]));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_mask_of_one_key_is_for_all_keys(bool boolean)
    {
        int[] shape = [1, 1, 1, 1];
        StoredTensor mask = boolean ? StoredTensor.Boolean(shape, true) : StoredTensor.Float32(shape, 0f);
        Passes(folder => folder.Add(
            "node", new object(), [.. ThreeKeys(), ("attn_mask", mask)], [("Y", StoredTensor.Float32(_query, 3f, 4f))]));
    }

    [Fact]
    public void The_lengths_without_padding_hide_the_keys_behind_them() => Passes(folder => folder.Add(
        "node", new object(), [.. ThreeKeys(), ("nonpad_kv_seqlen", StoredTensor.Int64([1], 1))],
        [("Y", StoredTensor.Float32(_query, 1f, 2f))]));

    [Fact]
    public void A_causal_query_sees_the_first_key_and_the_last_one_of_the_lengths()
    {
        Passes(folder => folder.Add("node", new { is_causal = 1 }, ThreeKeys(), [("Y", StoredTensor.Float32(_query, 1f, 2f))]));

        // Two keys are there: a window without keys to the left leaves the second one.
        Passes(folder => folder.Add(
            "node", new { is_causal = 1, left_window_size = 0 },
            [.. ThreeKeys(), ("nonpad_kv_seqlen", StoredTensor.Int64([1], 2))],
            [("Y", StoredTensor.Float32(_query, 3f, 4f))]));
    }

    [Fact]
    public void Attributes_become_options()
    {
        AttentionOptions options = Node("""
            {"scale": 0.5, "is_causal": 1, "softcap": 3, "left_window_size": 4, "right_window_size": 5, "q_num_heads": 6, "kv_num_heads": 2}
            """).Options(isThreeAxes: true, hasKeyLengths: true);
        Assert.Equal((0.5f, Causal.BottomRight, 3f), (options.Scale, options.Causal, options.Softcap));
        Assert.Equal(new AttentionWindow { Left = 4, Right = 5, Alignment = QueryAlignment.BottomRight }, options.Window);
        Assert.Equal((AttentionLayout.BatchLengthHeads, 6, 2), (options.Layout, options.Heads, options.KeyValueHeads));

        options = Node("""{"is_causal": 1, "left_window_size": -1, "right_window_size": 0}""")
            .Options(isThreeAxes: false, hasKeyLengths: false);
        Assert.Equal((null, Causal.TopLeft, null), (options.Scale, options.Causal, options.Softcap));
        Assert.Equal(new AttentionWindow { Right = 0, Alignment = QueryAlignment.TopLeft }, options.Window);
        Assert.Equal((AttentionLayout.BatchHeadsLength, null, null), (options.Layout, options.Heads, options.KeyValueHeads));

        options = Node("""{"is_causal": 0, "softcap": 0, "left_window_size": -1, "right_window_size": -1}""")
            .Options(isThreeAxes: false, hasKeyLengths: true);
        Assert.Equal((Causal.None, null, null), (options.Causal, options.Softcap, options.Window));
    }

    [Theory]
    [InlineData("{}", ScoreStage.Products)]
    [InlineData("""{"qk_matmul_output_mode": 0}""", ScoreStage.Products)]
    [InlineData("""{"qk_matmul_output_mode": 1}""", ScoreStage.Softcapped)]
    [InlineData("""{"qk_matmul_output_mode": 2}""", ScoreStage.Masked)]
    [InlineData("""{"qk_matmul_output_mode": 3}""", ScoreStage.Weights)]
    public void The_mode_of_the_scores_is_their_stage(string attributes, ScoreStage stage) =>
        Assert.Equal(stage, (Node(attributes) with { Outputs = ["Y", "", "", "qk_matmul_output"] }).ScoreStage);

    [Fact]
    public void Without_scores_there_is_no_stage() =>
        Assert.Equal(default, Node("""{"qk_matmul_output_mode": 2}""").ScoreStage);

    [Fact]
    public void Every_known_attribute_and_input_can_be_run()
    {
        OnnxNode node = Node("""
            {"scale": 1, "is_causal": 1, "q_num_heads": 1, "kv_num_heads": 1, "qk_matmul_output_mode": 1, "softcap": 1,
             "softmax_precision": 1, "left_window_size": 1, "right_window_size": 1}
            """);
        Assert.Null((node with { Inputs = ["Q", "K", "V", "attn_mask", "", "past_key", "past_value", "nonpad_kv_seqlen"] }).Unsupported);
        Assert.Equal("the input bias is not known", (node with { Inputs = ["Q", "K", "V", "bias"] }).Unsupported);
    }

    [Theory]
    [InlineData("[]", "no cases")]
    [InlineData("null", "no cases")]
    [InlineData("{}", "not a list of cases")]
    [InlineData("[{\"name\": \"node\"}]", "not a list of cases")]
    [InlineData("not JSON", "not a list of cases")]
    public void A_list_that_says_nothing_is_bad_input(string json, string error)
    {
        CliResult result = Verify(folder => folder.WriteIndex(json));
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains(error, result.Error, StringComparison.Ordinal);
    }

    private static void AddPast(OnnxFolder folder, string? wrong = null)
    {
        (string Name, StoredTensor? Tensor) Output(string name, int[] shape, params float[] values)
        {
            if (name == wrong)
                values[^1] += 0.001f;
            return (name, StoredTensor.Float32(shape, values));
        }

        // The past is hidden by the mask: the only key that is seen is the last one. Products: 1 x 3 + 2 x 4 and 1 x 5 + 2 x 6, by 0.5.
        folder.Add(
            "past",
            new { scale = 0.5, qk_matmul_output_mode = 0 },
            [
                ("Q", StoredTensor.Float32(_query, 1f, 2f)),
                ("K", StoredTensor.Float32(_query, 5f, 6f)),
                ("V", StoredTensor.Float32(_query, 7f, 8f)),
                ("attn_mask", StoredTensor.Boolean([1, 2], false, true)),
                ("past_key", StoredTensor.Float32(_query, 3f, 4f)),
                ("past_value", StoredTensor.Float32(_query, 9f, 10f)),
            ],
            [
                Output("Y", _query, 7f, 8f),
                Output("present_key", _twoKeys, 3f, 4f, 5f, 6f),
                Output("present_value", _twoKeys, 9f, 10f, 7f, 8f),
                Output("qk_matmul_output", [1, 1, 1, 2], 5.5f, 8.5f),
            ]);
    }

    private static (string Name, StoredTensor? Tensor)[] OneKey(Func<int[], float[], StoredTensor> store) =>
        [("Q", store(_query, [1f, 2f])), ("K", store(_query, [3f, 4f])), ("V", store(_query, [1f, 0.5f]))];

    private static (string Name, StoredTensor? Tensor)[] ThreeKeys() =>
    [
        ("Q", StoredTensor.Float32(_query, 1f, 2f)),
        ("K", StoredTensor.Float32(_threeKeys, 1f, 1f, 1f, 1f, 1f, 1f)),
        ("V", StoredTensor.Float32(_threeKeys, 1f, 2f, 3f, 4f, 5f, 6f)),
    ];

    private static OnnxNode Node(string attributes) =>
        new("node", 23, JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(attributes)!, ["Q", "K", "V"], ["Y"]);

    private static int Count(JsonElement root, string name) => root.GetProperty(name).GetInt32();

    private static void Passes(Action<OnnxFolder> fill)
    {
        CliResult result = Verify(fill);
        Assert.True(result.ExitCode == 0, result.Output + result.Error);
        Assert.EndsWith("\n1 passed, 0 failed, 0 skipped\n", result.Output, StringComparison.Ordinal);
    }

    private static CliResult Verify(Action<OnnxFolder> fill, params string[] more)
    {
        using var folder = new OnnxFolder();
        fill(folder);
        return InProcess.Run(["verify", "--device", Engines.All[0], "--onnx", folder.Path, .. more]);
    }
}
