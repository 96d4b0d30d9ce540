using System.Text.RegularExpressions;

namespace AttentionGpu.Package.Tests;

/// <summary>The packages as users get them: packed into a folder, installed from there into new projects, built and run.</summary>
public sealed partial class PackageTests(PackageFolder folder) : IClassFixture<PackageFolder>
{
    private const long MaxLibraryBytes = 1_000_000;
    private const long MaxToolBytes = 15_000_000;

    [Fact]
    public void Each_package_has_its_files_and_its_own_README_and_is_small()
    {
        string[] libraries = ["AttentionGpu.Kernels", "AttentionGpu", "AttentionGpu.Hosting"];
        string[] tools = ["AttentionGpu.Tool", .. PackageFolder.Platforms.Select(platform => $"AttentionGpu.Tool.{platform}")];
        foreach (string package in libraries)
        {
            AssertContents(package, $"lib/net10.0/{package}.dll", $"lib/net10.0/{package}.xml");
            Assert.True(File.Exists(Path.ChangeExtension(folder.FileOf(package), "snupkg")));
            AssertSize(package, MaxLibraryBytes);
        }

        foreach (string platform in PackageFolder.Platforms)
        {
            AssertContents($"AttentionGpu.Tool.{platform}", $"tools/net10.0/{platform}/attention.dll");

            // Symbols are those of this repository's own assemblies.
            Assert.All(
                folder.Contents($"AttentionGpu.Tool.{platform}").Keys.Where(file => file.EndsWith(".pdb", StringComparison.Ordinal)),
                file => Assert.Matches("/(attention|AttentionGpu.*)\\.pdb$", file));
        }

        foreach (string package in tools)
            AssertSize(package, MaxToolBytes);
        foreach (string package in (string[])[.. libraries, .. tools])
        {
            AssertContents(package, "README.md", "icon.png");
            string heading = package.StartsWith("AttentionGpu.Tool", StringComparison.Ordinal) ? "AttentionGpu.Tool" : package;
            Assert.StartsWith($"# {heading}\n", folder.Read(package, "README.md"), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("AttentionGpu.Kernels", "weights: ", null)]
    [InlineData("AttentionGpu", "simd: the first output is ", "Embedding")]
    [InlineData("AttentionGpu.Hosting", "simd: the first output is ", "In a service")]
    public void The_example_of_a_package_runs_with_that_package_alone(string package, string output, string? heading)
    {
        string source = Example(folder.Read(package, "README.md"));
        if (heading is not null)
        {
            string readme = File.ReadAllText(Repository.PathOf("README.md"));
            Assert.Equal(Example(readme[readme.IndexOf($"## {heading}\n", StringComparison.Ordinal)..]), source);
        }

        string name = $"example-{package}";
        string program = folder.CreateProgram(name, package, source);
        folder.Run("build", program, "-v", "quiet", "-nologo");
        Assert.Contains(
            output, PackageFolder.Start("dotnet", program, [Path.Combine(program, "bin", "Debug", "net10.0", $"{name}.dll")], "simd"),
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_trimmed_program_in_a_single_file_has_every_device_and_a_service()
    {
        string output = Publish(
            "trimmed", "<PublishTrimmed>true</PublishTrimmed><PublishSingleFile>true</PublishSingleFile>", out string warnings);
        AssertProgram(output, "ilgpu-cpu: agrees True, True, True");
        Assert.DoesNotContain(output.Split('\n'), line => line.Contains("ILGPU, which", StringComparison.Ordinal));

        // ILGPU's assemblies are kept whole; whatever else a trimmer could break would be a warning of another assembly.
        Assert.All(
            warnings.Split('\n').Where(line => line.Contains("warning IL", StringComparison.Ordinal)),
            line => Assert.Contains("Assembly 'ILGPU", line, StringComparison.Ordinal));
    }

    // Native AOT: without what ILGPU needs there is the processor, and auto takes it.
    [Fact]
    public void A_native_program_has_the_processor_and_a_service_and_says_why_nothing_else()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/gcc"), "A native program is linked with gcc.");
        string output = Publish(
            "native", "<PublishAot>true</PublishAot><CppCompilerAndLinker>gcc</CppCompilerAndLinker>", out string warnings);
        const string reason =
            "ILGPU, which drives this device and those of CUDA and OpenCL, compiles at run time, which a native program cannot do";
        AssertProgram(output, $"ilgpu-cpu: {reason}");
        Assert.StartsWith($"auto: no GPU: {reason}; the processor's vector instructions\n", output, StringComparison.Ordinal);
        Assert.DoesNotContain("warning IL", warnings, StringComparison.Ordinal);
    }

    [Fact]
    public void The_tool_installs_and_the_commands_of_its_README_run()
    {
        string[] commands = Commands().Match(folder.Read("AttentionGpu.Tool", "README.md")).Groups[1].Value.Trim().Split('\n');
        Assert.Equal("dotnet tool install --global AttentionGpu.Tool", commands[0]);
        string tools = Path.Combine(folder.Path, "tools");
        folder.Run("tool", "install", "AttentionGpu.Tool", "--version", folder.Version, "--tool-path", tools, "--add-source", folder.Path);
        string attention = Path.Combine(tools, "attention");
        string[] outputs = [.. commands[1..].Select(command => PackageFolder.Start(attention, tools, command.Split(' ')[1..]))];
        Assert.Contains("auto takes", outputs[0], StringComparison.Ordinal);
        Assert.Contains("heat maps: maps", outputs[1], StringComparison.Ordinal);
        Assert.NotEmpty(Directory.GetFiles(Path.Combine(tools, "maps"), "*.png"));
        Assert.Contains(" 0 failed, 0 skipped", outputs[2], StringComparison.Ordinal);
    }

    private string Publish(string name, string properties, out string warnings)
    {
        string source = File.ReadAllText(Repository.PathOf("tests/AttentionGpu.Package.Tests/Programs/Published.cs"));
        string program = folder.CreateProgram(name, "AttentionGpu.Hosting", source, properties);
        string output = Path.Combine(program, "out");
        warnings = folder.Run("publish", program, "-c", "Release", "--use-current-runtime", "-o", output, "-v", "quiet", "-nologo");
        Assert.DoesNotContain(Directory.GetFiles(output), file => file.EndsWith(".dll", StringComparison.Ordinal));
        return PackageFolder.Start(Path.Combine(output, name), program, []);
    }

    private static void AssertProgram(string output, string emulator)
    {
        string[] expected =
        [
            emulator,
            "simd: agrees True, True, True",
            "reference: agrees True, True, True",
            "bound: 7, 00:00:30, Refuse",
            "service: agrees True",
        ];
        Assert.Subset(output.Split('\n').ToHashSet(), expected.ToHashSet());
        string[] refused = [.. output.Split('\n').Where(line => line.StartsWith("refused: ", StringComparison.Ordinal))];
        Assert.Equal(4, refused.Length);
        Assert.Contains("QueueLimit must be between 1 and 1048576", refused[0], StringComparison.Ordinal);
        Assert.Contains("BatchDelay must be between 00:00:00 and 00:00:10", refused[1], StringComparison.Ordinal);
        Assert.Contains("Heads of the layer 'x' must be at least 1; it was 0.", refused[2], StringComparison.Ordinal);
        Assert.Contains("'Nothing'", refused[3], StringComparison.Ordinal);
    }

    private void AssertContents(string package, params string[] files) =>
        Assert.Subset(folder.Contents(package).Keys.ToHashSet(), files.ToHashSet());

    private void AssertSize(string package, long largest) => Assert.InRange(new FileInfo(folder.FileOf(package)).Length, 1, largest);

    private static string Example(string readme) => Code().Match(readme).Groups[1].Value;

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Code();

    [GeneratedRegex("```sh\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Commands();
}
