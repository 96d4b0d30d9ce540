using Spectre.Console;

namespace AttentionGpu.Cli.Output;

/// <summary>Shows on a terminal's standard error that long work goes on; prints nothing where it is redirected.</summary>
internal static class LongWork
{
    /// <summary>Runs work that may say what it is doing.</summary>
    public static T Run<T>(string title, Func<Action<string>, T> work)
    {
        if (!Terminal.HasError)
            return work(_ => { });
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return console.Status().Start(Markup.Escape(title), context => work(step => context.Status(Markup.Escape(step))));
    }
}
