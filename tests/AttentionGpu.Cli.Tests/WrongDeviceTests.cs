using System.Text.Json;
using AttentionGpu.Cli.Verify;

namespace AttentionGpu.Cli.Tests;

/// <summary><c>attention verify</c> on devices that are made wrong.</summary>
public class WrongDeviceTests
{
    private static readonly string[] _linear = [.. Names("linear "), .. Names("layer, ")];
    private static readonly string[] _attention = [.. All.Where(name => !name.StartsWith("linear ", StringComparison.Ordinal))];
    private static readonly string[] _layersWithWeights = [.. All.Where(name => name.EndsWith("log-sum-exp", StringComparison.Ordinal))];

    // Their extra keys join by the log-sum-exp.
    private static readonly string[] _layersWithExtraKeys =
        [.. Names("layer, ").Where(name => name.Contains("extra key", StringComparison.Ordinal))];

    private static readonly string[] _scores =
    [
        .. Names("weights"), "masked scores", "additive mask with fewer keys", "float16", "bfloat16", .. _layersWithWeights,
        .. _layersWithExtraKeys,
    ];

    private static readonly string[] _rows =
    [
        "past and present", "norm and rotary embedding", "rotary tables of each batch entry",
        "norm of rows whose squares overflow", "float16", "bfloat16",
        .. BuiltInLayers.All.Select(one => one.Name).Except(_layersWithWeights).Except(_layersWithExtraKeys), .. Caches,
    ];

    // Keys and values that attention has read are a cache's rows too.
    private static readonly string[] _past = ["past and present", "float16", "bfloat16", .. Caches];

    private static string[] Caches => [.. BuiltInCaches.All.Select(one => one.Name)];

    private static string[] Halves => [.. BuiltInHalves.All.Select(one => one.Name)];

    private static string[] All =>
        [.. BuiltInCases.All.Concat(BuiltInVariants.All).Concat(BuiltInHalves.All).Concat(BuiltInLayers.All).Concat(BuiltInCaches.All).Select(one => one.Name)];

    [Fact]
    public void The_device_that_is_made_wrong_is_right_without_a_fault() => Expect([], Wrong.Nothing);

    [Theory]
    [InlineData(Fault.Differs)]
    [InlineData(Fault.LeavesUnwritten)]
    [InlineData(Fault.Throws)]
    internal void No_case_passes_on_a_device_that_is_always_wrong(Fault fault) => Expect(All, Wrong.Everything, fault);

    [Fact]
    public void A_wrong_linear_layer_fails_its_cases_and_those_of_layers() => Expect(_linear, Wrong.Linear);

    [Fact]
    public void A_wrong_attention_fails_every_case_but_those_of_the_linear_layer() => Expect(_attention, Wrong.Output);

    [Fact]
    public void Wrong_scores_fail_every_case_that_asks_for_them() => Expect(_scores, Wrong.Scores);

    [Fact]
    public void A_wrong_log_sum_exp_fails_every_variant_and_cache_and_the_layers_that_are_asked_for_it() => Expect(
        [
            .. BuiltInVariants.All.Select(one => one.Name), .. Halves.Where(
                name => name.StartsWith("float16", StringComparison.Ordinal) && !name.Contains("16, head size", StringComparison.Ordinal)),
            .. Caches, .. _layersWithWeights, .. _layersWithExtraKeys,
        ],
        Wrong.LogSumExp);

    [Fact]
    public void Wrong_rows_fail_the_cases_with_a_past_or_a_rotary_embedding_or_a_cache() => Expect(_rows, Wrong.Rows);

    [Theory]
    [InlineData(Wrong.PresentKey)]
    [InlineData(Wrong.PresentValue)]
    internal void Wrong_present_tensors_fail_the_cases_with_a_past_or_a_cache(Wrong wrong) => Expect(_past, wrong);

    [Fact]
    public void Products_in_place_of_scores_of_another_stage_fail_every_case_that_asks_for_it() => Expect(_scores, Wrong.ScoreStage);

    [Fact]
    public void Rows_that_are_rounded_wrong_fail_the_cases_of_their_type() =>
        Expect([.. Caches.Where(name => name.Contains(", int8", StringComparison.Ordinal))], Wrong.Rounding);

    [Fact]
    public void NaN_where_a_query_sees_no_key_fails_the_cases_that_have_one() => Expect(
        [
            "attention no key", "boolean mask, causal", "causal bottom right, more queries", "fully masked rows", "key lengths, causal",
            "weights, fully masked rows", "ragged sequences with key lengths", "ragged sequences that end before the tokens",
            "layer, extra key and zero attention, weights",
        ],
        Wrong.HiddenRows);

    [Fact]
    public void A_device_that_throws_fails_the_case_with_its_message_and_the_others_are_run()
    {
        foreach (JsonElement one in Expect(_linear, Wrong.Linear, Fault.Throws).EnumerateArray())
        {
            bool failed = one.GetProperty("status").GetString() == "failed";
            Assert.Equal(failed, one.TryGetProperty("note", out JsonElement note));
            Assert.Equal(failed, !one.TryGetProperty("error", out _));
            if (failed)
                Assert.Equal(WrongDevice.Message, note.GetString());
        }
    }

    [Fact]
    public void The_table_names_the_failed_cases_with_the_error_and_ends_with_the_counts()
    {
        CliResult result = InProcess.Run(() => WrongDevice.Open(Wrong.Linear, Fault.Throws), "verify");
        Assert.Equal(1, result.ExitCode);
        string[] lines = result.Output.TrimEnd('\n').Split('\n');
        Assert.Equal($"{All.Length - _linear.Length} passed, {_linear.Length} failed, 0 skipped", lines[^1]);
        Assert.Contains("wrong:0", result.Output, StringComparison.Ordinal);

        // A long name goes on in the next line, as does the note under a name.
        List<(string Case, string Result)> rows = [];
        foreach (string[] cells in lines.Where(line => line.StartsWith('│')).Select(line => line.Split('│', StringSplitOptions.TrimEntries)))
        {
            if (cells[2].Length > 0)
                rows.Add((cells[1], cells[2]));
            else
                rows[^1] = ($"{rows[^1].Case} {cells[1]}", rows[^1].Result);
        }

        Assert.Equal(
            [("Case", "Result"), .. All.Select(name => _linear.Contains(name) ? ($"{name} {WrongDevice.Message}", "failed") : (name, "passed"))],
            rows);
    }

    /// <summary>Runs <c>verify --json</c>, and requires that these cases fail, no others, and that all else says so.</summary>
    private static JsonElement Expect(string[] failing, Wrong wrong, Fault fault = Fault.Differs)
    {
        CliResult result = InProcess.Run(() => WrongDevice.Open(wrong, fault), "verify", "--json", "--device", "wrong:0");
        Assert.Equal("", result.Error);
        JsonElement root = JsonElement.Parse(result.Output);
        Assert.Equal("wrong:0", root.GetProperty("device").GetProperty("name").GetString());
        Assert.Equal(1e-5, root.GetProperty("tolerance").GetDouble());
        JsonElement cases = root.GetProperty("cases");
        Assert.Equal(All, cases.EnumerateArray().Select(one => one.GetProperty("name").GetString()!));
        Assert.Equal(
            failing.Order(),
            cases.EnumerateArray()
                .Where(one => one.GetProperty("status").GetString() != "passed")
                .Select(one => one.GetProperty("name").GetString()!)
                .Order());
        Assert.Equal(failing.Length, root.GetProperty("failed").GetInt32());
        Assert.Equal(All.Length - failing.Length, root.GetProperty("passed").GetInt32());
        Assert.Equal(0, root.GetProperty("skipped").GetInt32());
        Assert.Equal(failing.Length == 0 ? 0 : 1, result.ExitCode);
        return cases;
    }

    private static IEnumerable<string> Names(string prefix) => All.Where(name => name.StartsWith(prefix, StringComparison.Ordinal));
}
