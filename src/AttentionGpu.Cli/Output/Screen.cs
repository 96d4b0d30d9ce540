using Spectre.Console;

namespace AttentionGpu.Cli.Output;

/// <summary>
/// Standard output or standard error. Whatever a command prints goes through here, so that text of files and drivers never reaches the
/// terminal as commands to it.
/// </summary>
internal sealed class Screen
{
    // Of files and pipes, which have no width of their own, and of most terminals.
    private const int DefaultWidth = 80;

    private readonly TextWriter _writer;
    private readonly IAnsiConsole _console;

    private Screen(TextWriter writer, bool isTerminal)
    {
        _writer = writer;
        _console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer) });
        if (!isTerminal)
            _console.Profile.Width = DefaultWidth;
    }

    /// <summary>Standard output as it is now.</summary>
    public static Screen Output => new(Console.Out, Terminal.HasOutput);

    /// <summary>Standard error as it is now.</summary>
    public static Screen Error => new(Console.Error, Terminal.HasError);

    /// <summary>Columns of a line.</summary>
    public int Width => _console.Profile.Width;

    /// <summary>Text for a table's cell or title, which are markup.</summary>
    public static string Cell(string text) => Markup.Escape(Visible.Text(text));

    /// <summary>Prints lines, however long.</summary>
    /// <exception cref="OutputException">They cannot be written.</exception>
    public void Lines(params IEnumerable<string> lines) =>
        Write(() => _writer.WriteLine(string.Join(_writer.NewLine, lines.Select(Visible.Text))));

    /// <summary>Prints a table as wide as a line at most: what is longer is wrapped. Its cells are made by <see cref="Cell"/>.</summary>
    /// <exception cref="OutputException">It cannot be written.</exception>
    public void Table(Table table) => Write(() => _console.Write(table));

    /// <summary>Runs work that may say what it is doing, and shows on a terminal that it goes on.</summary>
    public static T Status<T>(string title, Func<Action<string>, T> work) =>
        Terminal.HasError
            ? Error._console.Status().Start(Cell(title), context => work(step => context.Status(Cell(step))))
            : work(_ => { });

    private static void Write(Action write)
    {
        try
        {
            write();
        }
        catch (IOException exception)
        {
            throw new OutputException($"What was computed cannot be printed: {exception.Message}", exception);
        }
    }
}
