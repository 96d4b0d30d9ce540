using System.Diagnostics;
using System.IO.Compression;
using System.Text.RegularExpressions;

namespace AttentionGpu.Package.Tests;

/// <summary>The packages as users get them: packed into a folder, installed from there into new projects, built and run.</summary>
public sealed partial class PackageTests : IDisposable
{
    private static readonly string[] _projects =
    [
        "kernels/AttentionGpu.Kernels", "src/AttentionGpu", "src/AttentionGpu.Hosting", "src/AttentionGpu.Cli",
    ];

    // A version of its own, so that no cached package is taken for it.
    private readonly string _version = $"0.1.0-test.{DateTime.UtcNow.Ticks}";
    private readonly string _folder = Directory.CreateTempSubdirectory("attention-packages").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Packages_install_and_the_examples_run()
    {
        foreach (string project in _projects)
            Run("pack", Repository.PathOf(project), "-c", "Release", "-o", _folder, $"-p:Version={_version}", "-v", "quiet", "-nologo");
        AssertContents("AttentionGpu", "README.md", "lib/net10.0/AttentionGpu.dll", "lib/net10.0/AttentionGpu.xml");
        AssertContents("AttentionGpu.Hosting", "README.md", "lib/net10.0/AttentionGpu.Hosting.dll", "lib/net10.0/AttentionGpu.Hosting.xml");
        AssertContents("AttentionGpu.Tool", "README.md", "tools/net10.0/any/attention.dll");
        Assert.True(File.Exists(Path.Combine(_folder, $"AttentionGpu.{_version}.snupkg")));

        string readme = File.ReadAllText(Repository.PathOf("README.md"));
        Assert.Contains("the first output is", RunProgram("engine", "AttentionGpu", Example(readme, "Embedding"), "simd"), StringComparison.Ordinal);
        Assert.Contains("the first output is", RunProgram("service", "AttentionGpu.Hosting", Example(readme, "In a service"), "simd"), StringComparison.Ordinal);
        if (File.Exists("/usr/bin/gcc"))
            Assert.Contains("simd: the first output is", RunNative(Example(readme, "Embedding")), StringComparison.Ordinal);
        Run("tool", "install", "AttentionGpu.Tool", "--version", _version, "--tool-path", Path.Combine(_folder, "tools"), "--add-source", _folder);
        Assert.Contains("auto takes", Start(Path.Combine(_folder, "tools", "attention"), _folder, ["devices"]), StringComparison.Ordinal);
    }

    private string RunProgram(string name, string package, string source, string device)
    {
        string project = CreateProject(name, package, source, "");
        Run("build", project, "-v", "quiet", "-nologo");
        return Start("dotnet", project, [Path.Combine(project, "bin", "Debug", "net10.0", $"{name}.dll")], device);
    }

    // Native AOT: without what ILGPU needs there is the processor, and auto takes it.
    private string RunNative(string source)
    {
        string project = CreateProject("native", "AttentionGpu", source, "<PublishAot>true</PublishAot><CppCompilerAndLinker>gcc</CppCompilerAndLinker>");
        string output = Path.Combine(project, "out");
        Run("publish", project, "-c", "Release", "--use-current-runtime", "-o", output, "-v", "quiet", "-nologo");
        return Start(Path.Combine(output, "native"), project, []);
    }

    private string CreateProject(string name, string package, string source, string properties)
    {
        string project = Path.Combine(_folder, name);
        Directory.CreateDirectory(project);
        File.WriteAllText(Path.Combine(project, "Program.cs"), source);
        File.WriteAllText(
            Path.Combine(project, $"{name}.csproj"),
            $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <InvariantGlobalization>true</InvariantGlobalization>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
                <WarningsNotAsErrors>NU1603</WarningsNotAsErrors>
                <RestoreAdditionalProjectSources>{_folder}</RestoreAdditionalProjectSources>
                {properties}
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="{package}" Version="{_version}" />
                {(package == "AttentionGpu" ? "" : """<PackageReference Include="Microsoft.Extensions.Hosting" Version="10.0.15" />""")}
              </ItemGroup>
            </Project>
            """);
        return project;
    }

    private void AssertContents(string package, params string[] files)
    {
        using ZipArchive archive = ZipFile.OpenRead(Path.Combine(_folder, $"{package}.{_version}.nupkg"));
        Assert.Subset(archive.Entries.Select(entry => entry.FullName).ToHashSet(), files.ToHashSet());
    }

    // The first example behind a heading.
    private static string Example(string readme, string heading) =>
        Code().Match(readme[readme.IndexOf($"## {heading}\n", StringComparison.Ordinal)..]).Groups[1].Value;

    private string Run(params string[] arguments) => Start("dotnet", _folder, arguments);

    private static string Start(string program, string folder, string[] arguments, string? device = null)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";

        // What this test's own build has set is nothing to the projects that are built here.
        foreach (string variable in start.Environment.Keys.Where(key => key.StartsWith("MSBuild", StringComparison.Ordinal) || key == "RuntimeIdentifier").ToArray())
            start.Environment.Remove(variable);
        if (device is not null)
            start.Environment["ATTENTION_DEVICE"] = device;
        using var process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {output}{error.Result}");
        return output;
    }

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Code();
}
