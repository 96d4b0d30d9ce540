using System.CommandLine;
using System.Globalization;
using AttentionGpu.Cli.Output;
using Spectre.Console;

namespace AttentionGpu.Cli.Commands;

/// <summary><c>attention devices</c>: what there is, what each can do, and what <c>auto</c> takes.</summary>
internal static class DevicesCommand
{
    public static Command Create()
    {
        Option<bool> json = CommonOptions.Json();
        var command = new Command("devices", "List the devices, what each can do, and which one auto takes.") { json };
        command.SetAction(parsed => Run(parsed.GetValue(json)));
        return command;
    }

    private static int Run(bool json)
    {
        IReadOnlyList<DeviceInfo> devices = AttentionEngine.ListDevices();
        DeviceSelection auto = AttentionEngine.SelectDevice();
        if (json)
        {
            Json.Print(new { devices, auto = auto.Device.Name, reason = auto.Reason }, Screen.Output);
            return ExitCode.Success;
        }

        Table table = new Table();
        foreach (string column in (string[])["Device", "Description", "Memory", "Units", "Warp", "Group", "Shared"])
            table.AddColumn(column == "Description" ? new TableColumn(column) : new TableColumn(column).NoWrap());
        foreach (DeviceInfo device in devices)
        {
            table.AddRow(
                Screen.Cell(device.Name),
                Screen.Cell(device.Capability.Length == 0 ? device.Description : $"{device.Description} ({device.Capability})"),
                device.MemoryBytes == 0 ? "host" : Size(device.MemoryBytes),
                Number(device.Multiprocessors),
                Number(device.WarpSize),
                Number(device.MaxGroupSize),
                device.SharedMemoryBytes == 0 ? "" : Size(device.SharedMemoryBytes));
        }

        Screen screen = Screen.Output;
        screen.Table(table);
        screen.Lines(
        [
            .. devices.Where(device => device.Problem is not null).Select(device => $"{device.Name} cannot be used: {device.Problem}."),
            $"auto takes {auto.Device.Name}: {auto.Reason}.",
        ]);
        return ExitCode.Success;
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    internal static string Size(long bytes)
    {
        const double gibi = 1L << 30;
        const double kibi = 1L << 10;
        return bytes >= gibi
            ? string.Create(CultureInfo.InvariantCulture, $"{bytes / gibi:F1} GiB")
            : string.Create(CultureInfo.InvariantCulture, $"{bytes / kibi:F0} KiB");
    }
}
