using Spectre.Console;

namespace AttentionGpu.Cli.Output;

/// <summary>Tables on standard output.</summary>
internal static class Tables
{
    // Wide enough that no line of ours wraps in a file or a pipe, which have no width of their own.
    private const int RedirectedWidth = 200;

    public static void Print(Table table)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Out) });
        if (!Terminal.HasOutput)
            console.Profile.Width = RedirectedWidth;
        console.Write(table);
    }
}
