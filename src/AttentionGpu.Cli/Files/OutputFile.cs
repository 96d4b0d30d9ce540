using AttentionGpu.Cli.Output;
using AttentionGpu.Layers;
using AttentionGpu.Serialization;

namespace AttentionGpu.Cli.Files;

/// <summary>A file that a command reads: the option that names it, and its path.</summary>
internal readonly record struct InputFile(string Option, string Path)
{
    /// <summary>The files that are given, and the configuration that is read beside a checkpoint.</summary>
    public static IReadOnlyList<InputFile> List(string? weights, params ReadOnlySpan<(string Option, string? Path)> others)
    {
        List<InputFile> files = [];
        if (weights is not null)
            files.AddRange([new("--weights", weights), new("--weights, its config.json", ModelConfiguration.PathBeside(weights))]);
        foreach ((string option, string? path) in others)
        {
            if (path is not null)
                files.Add(new(option, path));
        }

        return files;
    }
}

/// <summary>Files that a command writes.</summary>
internal static class OutputFile
{
    /// <summary>Checks before anything is computed that a file can be written, and is none of those that are read.</summary>
    /// <param name="option">The option that names it.</param>
    /// <param name="path">The file.</param>
    /// <param name="inputs">The files that are read.</param>
    /// <exception cref="ArgumentException">It is one that is read, by whatever name.</exception>
    /// <exception cref="IOException">It is a folder, or in a folder that is not there.</exception>
    /// <exception cref="UnauthorizedAccessException">Its folder may not be written to.</exception>
    public static void Require(string option, string path, IReadOnlyList<InputFile> inputs)
    {
        var real = RealPath.Of(path);
        foreach (InputFile input in inputs)
        {
            if (real.IsSame(RealPath.Of(input.Path)))
            {
                throw new ArgumentException(
                    $"{option} '{path}' is the file of {input.Option} '{input.Path}'; an input is not overwritten.");
            }
        }

        FileReplacement.RequireWritable(path);
    }

    /// <summary>Checks before anything is computed that files can be written into a folder, and that none of them is read.</summary>
    /// <param name="option">The option that names the folder.</param>
    /// <param name="folder">The folder, which need not be there.</param>
    /// <param name="files">The files.</param>
    /// <param name="inputs">The files that are read.</param>
    /// <exception cref="ArgumentException">The folder is a file, or a file is one that is read.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to.</exception>
    public static void RequireInFolder(string option, string folder, IEnumerable<string> files, IReadOnlyList<InputFile> inputs)
    {
        if (File.Exists(folder))
            throw new ArgumentException($"{option} '{folder}' is a file; it must be a folder.");
        if (!Directory.Exists(folder))
            return;
        FileReplacement.RequireWritable(files.First());
        foreach (string file in files.Where(File.Exists))
            Require(option, file, inputs);
    }

    /// <summary>Makes a folder that files are written to, if it is not there.</summary>
    /// <exception cref="OutputException">It cannot be made.</exception>
    public static void MakeFolder(string path) => Guard(path, () => Directory.CreateDirectory(path));

    /// <summary>Writes a file, or leaves the one that is there.</summary>
    /// <exception cref="OutputException">It cannot be written, for example because the disk is full.</exception>
    public static void Write(string path, Action<Stream> write) => Guard(path, () => FileReplacement.Write(path, write));

    private static void Guard(string path, Action write)
    {
        try
        {
            write();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new OutputException($"'{path}' cannot be written: {exception.Message}", exception);
        }
    }
}
