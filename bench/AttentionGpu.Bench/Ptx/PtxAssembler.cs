using System.Diagnostics;
using System.Text.RegularExpressions;

namespace AttentionGpu.Bench.Ptx;

/// <summary>NVIDIA's assembler, where it is on the path: what it says of registers, spills and shared memory.</summary>
internal static partial class PtxAssembler
{
    /// <summary>Its report in a few words, or that it is not here.</summary>
    public static string Describe(string ptx, string architecture)
    {
        string folder = Directory.CreateTempSubdirectory("attention-ptx").FullName;
        try
        {
            string source = Path.Combine(folder, "kernel.ptx");
            File.WriteAllText(source, ptx);
            var start = new ProcessStartInfo("ptxas", ["-v", $"-arch={architecture}", source, "-o", Path.Combine(folder, "kernel.cubin")])
            {
                RedirectStandardError = true,
                RedirectStandardOutput = true,
            };
            using var process = Process.Start(start)!;
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            string report = process.StandardError.ReadToEnd() + output.Result;
            process.WaitForExit();
            if (process.ExitCode != 0)
                throw new InvalidOperationException($"ptxas refuses a kernel: {report}");
            return $"{Registers().Match(report).Value}; {Spills().Match(report).Value}";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "not here";
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [GeneratedRegex(@"\d+ registers")]
    private static partial Regex Registers();

    [GeneratedRegex(@"\d+ bytes spill stores, \d+ bytes spill loads")]
    private static partial Regex Spills();
}
