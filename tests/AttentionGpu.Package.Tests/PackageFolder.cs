using System.Diagnostics;
using System.IO.Compression;
using System.Runtime.InteropServices;

namespace AttentionGpu.Package.Tests;

/// <summary>All packages, packed into a folder once, and programs that install them from there.</summary>
public sealed class PackageFolder : IDisposable
{
    private static readonly string[] _projects =
    [
        "kernels/AttentionGpu.Kernels", "src/AttentionGpu", "src/AttentionGpu.Hosting", "src/AttentionGpu.Cli",
    ];

    /// <summary>Packs them.</summary>
    public PackageFolder()
    {
        foreach (string project in _projects)
        {
            Run(
                "pack", Repository.PathOf(project), "-c", "Release", "-o", Path, $"-p:Version={Version}",
                $"-p:ToolPlatforms=\"{string.Join(';', Platforms)}\"", "-v", "quiet", "-nologo");
        }
    }

    /// <summary>The platforms that the tool is packed for: this one, and the one with the largest natives.</summary>
    public static string[] Platforms { get; } = [.. new[] { RuntimeInformation.RuntimeIdentifier, "win-x64" }.Distinct()];

    /// <summary>A version of its own, so that no cached package is taken for it.</summary>
    public string Version { get; } = $"0.1.0-test.{DateTime.UtcNow.Ticks}";

    /// <summary>Where the packages and programs are.</summary>
    public string Path { get; } = Directory.CreateTempSubdirectory("attention-packages").FullName;

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(Path, recursive: true);

    /// <summary>A package's file.</summary>
    public string FileOf(string package) => System.IO.Path.Combine(Path, $"{package}.{Version}.nupkg");

    /// <summary>The names and sizes of the files in a package.</summary>
    public Dictionary<string, long> Contents(string package)
    {
        using ZipArchive archive = ZipFile.OpenRead(FileOf(package));
        return archive.Entries.ToDictionary(entry => entry.FullName, entry => entry.Length);
    }

    /// <summary>The text of a file in a package.</summary>
    public string Read(string package, string file)
    {
        using ZipArchive archive = ZipFile.OpenRead(FileOf(package));
        using var reader = new StreamReader(archive.GetEntry(file)!.Open());
        return reader.ReadToEnd();
    }

    /// <summary>Makes a program that has installed one package, and nothing besides; returns its folder.</summary>
    public string CreateProgram(string name, string package, string source, string properties = "")
    {
        string project = System.IO.Path.Combine(Path, name);
        Directory.CreateDirectory(project);
        File.WriteAllText(System.IO.Path.Combine(project, "Program.cs"), source);
        File.WriteAllText(
            System.IO.Path.Combine(project, $"{name}.csproj"),
            $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <InvariantGlobalization>true</InvariantGlobalization>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
                <WarningsNotAsErrors>NU1603;IL2104</WarningsNotAsErrors>
                <RestoreAdditionalProjectSources>{Path}</RestoreAdditionalProjectSources>
                {properties}
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="{package}" Version="{Version}" />
              </ItemGroup>
            </Project>
            """);
        return project;
    }

    /// <summary>Runs <c>dotnet</c> to success and returns its output.</summary>
    public string Run(params string[] arguments) => Start("dotnet", Path, arguments);

    /// <summary>Runs a program to success and returns its output.</summary>
    /// <param name="program">The program.</param>
    /// <param name="folder">Where it runs.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="device">What <c>auto</c> is; null for the machine's choice.</param>
    public static string Start(string program, string folder, string[] arguments, string? device = null)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";

        // What this test's own build has set is nothing to the projects that are built here.
        string[] inherited =
            [.. start.Environment.Keys.Where(key => key.StartsWith("MSBuild", StringComparison.Ordinal) || key == "RuntimeIdentifier")];
        foreach (string variable in inherited)
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
}
