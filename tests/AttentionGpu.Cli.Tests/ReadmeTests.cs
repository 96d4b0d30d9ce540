namespace AttentionGpu.Cli.Tests;

public class ReadmeTests
{
    [Fact]
    public void The_example_is_the_program_that_is_built_and_it_runs()
    {
        string readme = File.ReadAllText(Repository.PathOf("README.md"));
        string program = File.ReadAllText(Repository.PathOf("tests", "AttentionGpu.ReadmeExample", "Program.cs"));
        Assert.Contains($"```csharp\n{program}```", readme, StringComparison.Ordinal);
        CliResult result = Cli.RunAssembly("AttentionGpu.ReadmeExample.dll");
        Assert.Equal(0, result.ExitCode);
        Assert.Matches(@": the first output is -?\d", result.Output);
    }

    [Fact]
    public void The_test_command_is_what_CI_runs()
    {
        string readme = File.ReadAllText(Repository.PathOf("README.md"));
        string ci = File.ReadAllText(Repository.PathOf(".ci", "run"));
        Assert.Contains("dotnet run --project src/AttentionGpu.Cli -- demo\n", readme, StringComparison.Ordinal);
        Assert.Contains("\ndotnet test\n", readme, StringComparison.Ordinal);
        Assert.Contains("dotnet test", ci, StringComparison.Ordinal);
    }
}
