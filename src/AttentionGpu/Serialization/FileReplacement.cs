namespace AttentionGpu.Serialization;

/// <summary>
/// Writes files so that a path has its old content or all of the new one, whatever happens meanwhile: a new file in the same folder gets
/// the content, is flushed to the disk, and then takes the path. What is no regular file (a pipe, a device, an open file by another name
/// as <c>/dev/stdout</c>) is written to as it is.
/// </summary>
internal static class FileReplacement
{
    /// <summary>Replaces a file, or makes it. Links are followed; a file that is replaced keeps its permissions.</summary>
    /// <param name="path">The file.</param>
    /// <param name="write">Writes the content.</param>
    /// <exception cref="IOException">
    /// It is a folder, is in a folder that is not there, or cannot be written, for example because the disk is full: the old content is
    /// still there.
    /// </exception>
    /// <exception cref="UnauthorizedAccessException">The file or its folder may not be written to.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        RealPath real = Locate(path);
        if (!TryWriteInPlace(path, real, write))
            Replace(path, real.Path, write);
    }

    /// <summary>Checks, as far as this can be known before, that a path can be written. Nothing is left behind.</summary>
    /// <exception cref="IOException">It is a folder, or in a folder that is not there.</exception>
    /// <exception cref="UnauthorizedAccessException">No files may be made in the folder.</exception>
    public static void RequireWritable(string path)
    {
        RealPath real = Locate(path);

        // To open a pipe is to wait for its reader, so that a file without content is let be.
        if (real.OpenFile is null && (!File.Exists(real.Path) || new FileInfo(real.Path).Length > 0))
            WithNewFile(path, real.Path, _ => { });
    }

    private static RealPath Locate(string path)
    {
        var real = RealPath.Of(path);
        if (Directory.Exists(real.Path))
            throw new IOException($"'{path}' is a folder; a file is needed.");
        string folder = Path.GetDirectoryName(real.Path)!;
        return real.OpenFile is not null || Directory.Exists(folder)
            ? real
            : throw new DirectoryNotFoundException($"'{path}' cannot be written: there is no folder '{folder}'.");
    }

    private static bool TryWriteInPlace(string path, RealPath real, Action<Stream> write)
    {
        if (real.OpenFile is null && !File.Exists(real.Path))
            return false;

        // Opened once: a pipe's reader would take a second end for the end of what is sent.
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
        if (real.OpenFile is null && IsRegular(stream))
            return false;
        if (stream.CanSeek)
            stream.Seek(0, SeekOrigin.End);
        write(stream);
        stream.Flush(flushToDisk: true);
        return true;
    }

    // .NET does not tell devices from files, but only a regular file has a length that can be set.
    private static bool IsRegular(FileStream stream)
    {
        if (!stream.CanSeek)
            return false;
        try
        {
            RandomAccess.SetLength(stream.SafeFileHandle, stream.Length);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static void Replace(string path, string real, Action<Stream> write) => WithNewFile(path, real, file =>
    {
        bool isThere = File.Exists(real);

        // FAT has the same permissions for all files, and none that can be set.
        UnixFileMode mode = new FileInfo(real).UnixFileMode;
        bool isOther = isThere && mode != new FileInfo(file).UnixFileMode;

        // Nobody else sees the content meanwhile. The file's own permissions come last: they may keep even us from writing.
        if (isOther && !OperatingSystem.IsWindows())
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        using (var stream = new FileStream(file, FileMode.Truncate, FileAccess.Write, FileShare.None))
        {
            write(stream);
            stream.Flush(flushToDisk: true);
        }

        if (!isThere)
        {
            File.Move(file, real, overwrite: true);
            return;
        }

        if (isOther && !OperatingSystem.IsWindows())
            File.SetUnixFileMode(file, mode);

        // Unlike a move it keeps access lists on Windows.
        File.Replace(file, real, destinationBackupFileName: null);
    });

    // Makes a file beside another; after the action it is gone, if only because it has the other's name. Errors name the path that the
    // caller gave.
    private static void WithNewFile(string path, string real, Action<string> action)
    {
        string file = Path.Combine(Path.GetDirectoryName(real)!, $".attention-{Path.GetRandomFileName()}");
        try
        {
            File.Create(file).Dispose();
            action(file);
        }
        catch (IOException exception)
        {
            string message = exception.Message.Replace(file, path, StringComparison.Ordinal);
            throw new IOException(message, exception) { HResult = exception.HResult };
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new UnauthorizedAccessException(exception.Message.Replace(file, path, StringComparison.Ordinal), exception);
        }
        finally
        {
            File.Delete(file);
        }
    }
}
