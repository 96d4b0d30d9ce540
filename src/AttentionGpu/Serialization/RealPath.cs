namespace AttentionGpu.Serialization;

/// <summary>Where a path leads when every link is followed, and what it is then.</summary>
/// <param name="Path">An absolute path without links; it may name nothing.</param>
/// <param name="OpenFile">
/// The path of a file that is open already, such as <c>/proc/12/fd/1</c>, where the links lead over one, as <c>/dev/stdout</c> does; null
/// otherwise.
/// </param>
internal readonly record struct RealPath(string Path, string? OpenFile)
{
    // Linux follows as many links before it takes them for a circle.
    private const int MostLinks = 40;

    // Where some systems have their open files as devices.
    private const string OpenDevices = "/dev/fd";

    /// <summary>Whether the path is this process's standard output by another name.</summary>
    public bool IsStandardOutput => OpenFile == $"{OpenDevices}/1" || OpenFile == $"/proc/{Environment.ProcessId}/fd/1";

    /// <exception cref="IOException">The links form a circle.</exception>
    public static RealPath Of(string path)
    {
        string full = System.IO.Path.GetFullPath(path);
        string real = System.IO.Path.GetPathRoot(full)!;
        string? openFile = null;
        Stack<string> rest = new(Names(full[real.Length..]));
        for (int links = 0; rest.TryPop(out string? name);)
        {
            if (name is "." or "..")
            {
                real = name == "." ? real : System.IO.Path.GetDirectoryName(real) ?? real;
                continue;
            }

            string next = System.IO.Path.Combine(real, name);
            if (IsFolderOfOpenFiles(real))
                openFile ??= next;
            if (new FileInfo(next).LinkTarget is not string target)
            {
                real = next;
                continue;
            }

            if (++links > MostLinks)
                throw new IOException($"'{path}' leads over more than {MostLinks} links.");
            if (System.IO.Path.GetPathRoot(target) is { Length: > 0 } root)
                (real, target) = (root, target[root.Length..]);
            foreach (string part in Names(target))
                rest.Push(part);
        }

        return new RealPath(real, openFile);
    }

    /// <summary>
    /// Whether both are the same file: the same path, or paths that differ in letter case alone where the file system takes no notice.
    /// </summary>
    public bool IsSame(RealPath other)
    {
        if (Path == other.Path)
            return true;
        if (!Path.Equals(other.Path, StringComparison.OrdinalIgnoreCase) || !File.Exists(Path) || !File.Exists(other.Path))
            return false;

        // Both are there. A file system that distinguishes them lists both names in the folder where the paths part.
        string[] names = [.. Names(Path).Reverse()];
        string[] others = [.. Names(other.Path).Reverse()];
        int parting = names.Zip(others).TakeWhile(pair => pair.First == pair.Second).Count();
        string folder = System.IO.Path.GetPathRoot(Path) + string.Join(System.IO.Path.DirectorySeparatorChar, names[..parting]);
        string?[] listed = [.. Directory.EnumerateFileSystemEntries(folder).Select(System.IO.Path.GetFileName)];
        return !(listed.Contains(names[parting]) && listed.Contains(others[parting]));
    }

    private static bool IsFolderOfOpenFiles(string folder) =>
        folder == OpenDevices || (folder.StartsWith("/proc/", StringComparison.Ordinal) && folder.EndsWith("/fd", StringComparison.Ordinal));

    // The last first, so that the first ends on top of a stack.
    private static IEnumerable<string> Names(string path) =>
        path.Split([System.IO.Path.DirectorySeparatorChar, System.IO.Path.AltDirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries)
            .Reverse();
}
