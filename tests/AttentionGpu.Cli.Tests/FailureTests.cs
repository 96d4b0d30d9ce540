using System.Text.Json;
using AttentionGpu.Cli.Output;

namespace AttentionGpu.Cli.Tests;

public class FailureTests
{
    public static TheoryData<Exception, int> Failures => new()
    {
        { new ArgumentException("wrong"), 2 },
        { new ArgumentNullException("name"), 2 },
        { new ArgumentOutOfRangeException("name"), 2 },
        { new FormatException("wrong"), 2 },
        { new IOException("wrong"), 2 },
        { new FileNotFoundException("wrong"), 2 },
        { new DirectoryNotFoundException("wrong"), 2 },
        { new EndOfStreamException("wrong"), 2 },
        { new InvalidDataException("wrong"), 2 },
        { new UnauthorizedAccessException("wrong"), 2 },
        { new NotSupportedException("wrong"), 2 },
        { new PlatformNotSupportedException("wrong"), 2 },
        { new InvalidOperationException("wrong"), 1 },
        { new ObjectDisposedException("engine"), 1 },
        { new AttentionMemoryException(3, 2, 1), 1 },
        { new ArithmeticException("wrong"), 1 },
        { new OperationCanceledException("wrong"), 1 },
        { new TimeoutException("wrong"), 1 },
        { new JsonException("wrong"), 1 },
        { new KeyNotFoundException("wrong"), 1 },
        { new AggregateException(new ArgumentException("wrong")), 1 },
        { new InvalidCastException("wrong"), 1 },
        { new DllNotFoundException("wrong"), 1 },
    };

    [Theory]
    [MemberData(nameof(Failures), DisableDiscoveryEnumeration = true)]
    public void Bad_input_is_exit_code_2_and_everything_else_is_1(Exception exception, int exitCode)
    {
        CliResult result = InProcess.Capture(() => Failure.Report(exception));
        string message = string.Join(' ', exception.Message.Split(Environment.NewLine));
        Assert.Equal(new CliResult(exitCode, "", $"attention: {message}\n"), result);
    }

    [Fact]
    public void The_name_of_a_parameter_is_left_out()
    {
        CliResult result = InProcess.Capture(() => Failure.Report(new ArgumentException("wrong", "index")));
        Assert.Equal(new CliResult(2, "", "attention: wrong\n"), result);
    }

    [Theory]
    [InlineData("one\ntwo\r\nthree", "attention: one two three\n")]
    [InlineData("\n\none\n", "attention: one\n")]
    public void A_message_of_many_lines_is_one_line(string message, string printed) =>
        Assert.Equal(new CliResult(7, "", printed), InProcess.Capture(() => Failure.Report(message, 7)));
}
