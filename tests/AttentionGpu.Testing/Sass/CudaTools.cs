using System.ComponentModel;
using System.Diagnostics;
using System.Text.RegularExpressions;

namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>
/// NVIDIA's assembler and disassembler, where they are on the path: <c>bench/cuda-tools</c> fetches them. No GPU is needed.
/// </summary>
internal static partial class CudaTools
{
    private static readonly Lazy<string?> _version = new(FindVersion);

    /// <summary>The assembler's version, such as 12.4; null where it or the disassembler is not on the path.</summary>
    public static string? Version => _version.Value;

    /// <summary>Assembles a kernel's PTX.</summary>
    /// <param name="ptx">The text.</param>
    /// <param name="architecture">The device's, such as <c>sm_80</c>.</param>
    /// <exception cref="InvalidOperationException">The assembler refuses the text.</exception>
    public static AssembledKernel Assemble(string ptx, string architecture) =>
        Assemble(ptx, architecture, (resources, image) =>
            new AssembledKernel(resources, SassGraph.Build(new SassListing(Run("nvdisasm", "-c", image)))));

    /// <summary>What a kernel needs of a multiprocessor, without a look at its instructions, which takes as long again.</summary>
    /// <inheritdoc cref="Assemble(string, string)"/>
    public static SassResources Resources(string ptx, string architecture) => Assemble(ptx, architecture, (resources, _) => resources);

    private static TResult Assemble<TResult>(string ptx, string architecture, Func<SassResources, string, TResult> read)
    {
        string folder = Directory.CreateTempSubdirectory("attention-ptx").FullName;
        try
        {
            string source = Path.Combine(folder, "kernel.ptx");
            string image = Path.Combine(folder, "kernel.cubin");
            File.WriteAllText(source, ptx);
            return read(SassResources.Parse(Run("ptxas", "-v", $"-arch={architecture}", source, "-o", image)), image);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string? FindVersion()
    {
        try
        {
            Run("nvdisasm", "--version");
            return Release().Match(Run("ptxas", "--version")).Groups[1].Value;
        }
        catch (Win32Exception)
        {
            return null;
        }
    }

    private static string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output.Result + errors
            : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: {errors}{output.Result}");
    }

    [GeneratedRegex(@"release (\d+\.\d+)")]
    private static partial Regex Release();
}
