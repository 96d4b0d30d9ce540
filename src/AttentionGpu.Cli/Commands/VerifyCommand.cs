using System.CommandLine;
using System.Globalization;
using AttentionGpu.Cli.Output;
using AttentionGpu.Cli.Verify;
using Spectre.Console;

namespace AttentionGpu.Cli.Commands;

/// <summary>
/// <c>attention verify</c>: does this device compute what it should? What a user with a GPU that we never saw runs first.
/// </summary>
internal static class VerifyCommand
{
    public static Command Create(EngineFactory open)
    {
        Option<string?> onnx = CommonOptions.Path<string?>(
            "--onnx", "DIR", "A folder of published ONNX Attention cases, to run instead of the built-in ones.");
        Option<string> device = CommonOptions.Device();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("verify", "Compare a device with the float64 reference, or with published ONNX cases.") { onnx, device, json };
        command.SetAction(parsed => Run(parsed.GetValue(onnx), parsed.GetRequiredValue(device), parsed.GetValue(json), open));
        return command;
    }

    private static int Run(string? folder, string device, bool json, EngineFactory open)
    {
        IReadOnlyList<VerifyCase> cases = folder is null
            ? [.. BuiltInCases.All, .. BuiltInVariants.All, .. BuiltInHalves.All, .. BuiltInLayers.All, .. BuiltInCaches.All]
            : OnnxCases.Load(folder);
        using AttentionEngine engine = open(device);
        List<VerifyOutcome> outcomes = Screen.Status($"verifying {engine.Device.Name}", report =>
        {
            List<VerifyOutcome> finished = [];
            foreach (VerifyCase one in cases)
            {
                report(string.Create(CultureInfo.InvariantCulture, $"{finished.Count + 1} of {cases.Count}: {one.Name}"));
                finished.Add(Run(one, engine));
            }

            return finished;
        });

        int passed = outcomes.Count(outcome => outcome.Status == VerifyStatus.Passed);
        int failed = outcomes.Count(outcome => outcome.Status == VerifyStatus.Failed);
        int skipped = outcomes.Count - passed - failed;
        if (json)
            Json.Print(
                new { device = engine.Device, tolerance = VerifyOutcome.Tolerance, cases = outcomes, passed, failed, skipped }, Screen.Output);
        else
            PrintTable(engine.Device, outcomes, $"{passed} passed, {failed} failed, {skipped} skipped");
        return failed == 0 ? ExitCode.Success : ExitCode.Failed;
    }

    private static VerifyOutcome Run(VerifyCase one, AttentionEngine engine)
    {
        if (engine.Device.Kind is DeviceKind.IlgpuCpu or DeviceKind.OpenCL && BuiltInHalves.All.Contains(one))
            return new VerifyOutcome(one.Name, VerifyStatus.Skipped, null, 0.0, BuiltInHalves.SkipReason);
        try
        {
            return one.Run(engine);
        }
        catch (Exception exception)
        {
            // A device that throws has failed this case; the others may tell where it goes wrong.
            return new VerifyOutcome(one.Name, VerifyStatus.Failed, null, 0.0, exception.Message);
        }
    }

    private static void PrintTable(DeviceInfo device, List<VerifyOutcome> outcomes, string summary)
    {
        Table table = new Table().Title(Screen.Cell($"{device.Name}: {device.Description}"));
        table.AddColumn("Case");
        foreach (string figure in (string[])["Result", "Error", "ms"])
            table.AddColumn(new TableColumn(figure).NoWrap());
        foreach (VerifyOutcome outcome in outcomes)
        {
            string color = outcome.Status switch
            {
                VerifyStatus.Passed => "green",
                VerifyStatus.Failed => "red",
                _ => "yellow",
            };
            table.AddRow(
                Screen.Cell(outcome.Name) + (outcome.Note is null ? "" : "\n" + Screen.Cell(outcome.Note)),
                $"[{color}]{outcome.Status.ToString().ToLowerInvariant()}[/]",
                outcome.Error?.ToString("0.0e+0", CultureInfo.InvariantCulture) ?? "",
                outcome.Milliseconds.ToString("F1", CultureInfo.InvariantCulture));
        }

        Screen screen = Screen.Output;
        screen.Table(table);
        screen.Lines(summary);
    }
}
