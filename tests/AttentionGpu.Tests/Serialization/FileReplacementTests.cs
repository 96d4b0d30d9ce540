using System.Diagnostics;
using System.Numerics.Tensors;
using AttentionGpu.Serialization;

namespace AttentionGpu.Tests.Serialization;

/// <summary>A path has its old content or all of the new one; what is no regular file is written to as it is.</summary>
public sealed class FileReplacementTests : IDisposable
{
    private const int DiskBytes = 64 << 10;

    private static readonly byte[] _old = [1, 2, 3];
    private static readonly byte[] _new = [4, 5, 6, 7];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("attention-");

    private string File1 => Path.Combine(_folder.FullName, "y.bin");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void A_file_is_made_or_replaced_and_nothing_else_is_left()
    {
        Write(File1, _old);
        Assert.Equal(_old, File.ReadAllBytes(File1));
        Write(File1, _new);
        Assert.Equal(_new, File.ReadAllBytes(File1));
        FileReplacement.RequireWritable(File1);
        AssertAlone();
    }

    [Fact]
    public void The_old_content_is_there_until_all_of_the_new_one_is()
    {
        File.WriteAllBytes(File1, _old);
        FileReplacement.Write(File1, stream =>
        {
            stream.Write(_new);
            stream.Flush();
            Assert.Equal(_old, File.ReadAllBytes(File1));
        });
        Assert.Equal(_new, File.ReadAllBytes(File1));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_write_that_fails_leaves_the_old_content_and_nothing_else(bool isThere)
    {
        if (isThere)
            File.WriteAllBytes(File1, _old);
        foreach (Exception failure in new Exception[] { new IOException("wrong"), new InvalidOperationException("wrong") })
        {
            Exception thrown = Assert.ThrowsAny<Exception>(() => FileReplacement.Write(File1, stream =>
            {
                stream.Write(_new);
                throw failure;
            }));
            Assert.Equal(failure.GetType(), thrown.GetType());
        }

        Assert.Equal(isThere ? [File1] : [], Directory.GetFileSystemEntries(_folder.FullName));
        if (isThere)
            Assert.Equal(_old, File.ReadAllBytes(File1));
    }

    [Fact]
    public void A_full_disk_leaves_the_old_content_and_the_error_names_the_file()
    {
        Assert.SkipUnless(
            OperatingSystem.IsLinux() && Run("mount", "-t", "tmpfs", "-o", $"size={DiskBytes}", "tmpfs", _folder.FullName),
            "A small disk cannot be mounted.");
        try
        {
            File.WriteAllBytes(File1, _old);
            IOException exception = Assert.Throws<IOException>(() => Write(File1, new byte[2 * DiskBytes]));
            Assert.Contains($"'{File1}'", exception.Message, StringComparison.Ordinal);
            Assert.DoesNotContain(".attention-", exception.Message, StringComparison.Ordinal);
            Assert.Equal(_old, File.ReadAllBytes(File1));
            AssertAlone();
        }
        finally
        {
            Assert.True(Run("umount", _folder.FullName));
        }
    }

    [Fact]
    public void Permissions_are_kept_and_the_new_content_is_never_open_to_more()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has access lists, which a replaced file keeps.");
        if (OperatingSystem.IsWindows())
            return;
        const UnixFileMode own = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        foreach (UnixFileMode mode in new[] { own, own | UnixFileMode.GroupRead, own | UnixFileMode.OtherWrite })
        {
            File.WriteAllBytes(File1, _old);
            File.SetUnixFileMode(File1, mode);
            FileReplacement.Write(File1, stream =>
            {
                string unfinished = Assert.Single(Directory.GetFiles(_folder.FullName), file => file != File1);
                Assert.Equal(own, new FileInfo(unfinished).UnixFileMode);
                stream.Write(_new);
            });
            Assert.Equal(mode, File.GetUnixFileMode(File1));
            Assert.Equal(_new, File.ReadAllBytes(File1));
        }
    }

    [Fact]
    public void A_link_leads_to_the_new_content()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Links need a privilege.");
        string target = Path.Combine(_folder.CreateSubdirectory("data").FullName, "real.bin");
        File.WriteAllBytes(target, _old);
        File.CreateSymbolicLink(File1, Path.Combine("data", "real.bin"));
        Write(File1, _new);
        Assert.Equal(_new, File.ReadAllBytes(target));
        Assert.NotNull(new FileInfo(File1).LinkTarget);

        // One that leads nowhere yet makes its target.
        File.Delete(target);
        Write(File1, _old);
        Assert.Equal(_old, File.ReadAllBytes(target));
    }

    [Fact]
    public async Task A_pipe_gets_all_in_one_opening_and_stays_a_pipe()
    {
        Assert.SkipUnless(!OperatingSystem.IsWindows() && Run("mkfifo", File1), "A pipe with a name cannot be made.");
        byte[] sent = new byte[1 << 20];
        new Random(1).NextBytes(sent);
        Task<byte[]> received = Task.Run(() => File.ReadAllBytes(File1), TestContext.Current.CancellationToken);
        FileReplacement.RequireWritable(File1);
        Write(File1, sent);
        Assert.Equal(sent, await received.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
        Assert.True(Run("test", "-p", File1));
        AssertAlone();
    }

    // Devices of the test's own: a fault would replace those of the machine.
    [Theory]
    [InlineData("null", "3", true)]
    [InlineData("full", "7", false)]
    public void A_device_is_written_to_and_not_replaced(string name, string minor, bool hasRoom)
    {
        string device = Path.Combine(_folder.FullName, name);
        Assert.SkipUnless(
            OperatingSystem.IsLinux() && Run("mknod", device, "c", "1", minor) && Run("dd", "if=/dev/null", $"of={device}"),
            "A device cannot be made.");
        FileReplacement.RequireWritable(device);
        if (hasRoom)
            Write(device, _new);
        else
            Assert.Throws<IOException>(() => Write(device, _new));
        Assert.True(Run("test", "-c", device));
        Assert.Equal([device], Directory.GetFileSystemEntries(_folder.FullName));
    }

    [Fact]
    public void Another_name_of_an_open_file_writes_to_that_file_behind_what_it_has()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The names are Linux's.");
        using var open = new FileStream(File1, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite);
        open.Write(_old);
        open.Flush();
        Write($"/proc/self/fd/{open.SafeFileHandle.DangerousGetHandle()}", _new);
        open.Position = 0;
        byte[] content = new byte[_old.Length + _new.Length];
        open.ReadExactly(content);
        Assert.Equal([.. _old, .. _new], content);
        AssertAlone();
    }

    [Fact]
    public void A_folder_and_a_file_in_no_folder_are_refused_before()
    {
        string nowhere = Path.Combine(_folder.FullName, "no", "y.bin");
        foreach (Action<string> check in new Action<string>[] { FileReplacement.RequireWritable, path => Write(path, _new) })
        {
            Assert.Contains("is a folder", Assert.Throws<IOException>(() => check(_folder.FullName)).Message, StringComparison.Ordinal);
            Assert.Contains($"'{nowhere}'", Assert.ThrowsAny<IOException>(() => check(nowhere)).Message, StringComparison.Ordinal);
        }

        Assert.Empty(_folder.GetFileSystemInfos());
    }

    [Fact]
    public void Tensors_can_be_written_to_the_file_that_they_are_read_from()
    {
        SafetensorsFile.Write(File1, new Dictionary<string, Tensor<float>> { ["a"] = Tensor.Create([1f, 2f], [2]) });
        Assert.SkipWhen(OperatingSystem.IsWindows(), "An open file cannot be replaced.");
        using SafetensorsFile before = SafetensorsFile.Open(File1);
        SafetensorsFile.Write(File1, new Dictionary<string, Tensor<float>> { ["b"] = Tensor.Create([3f], [1]) });
        Assert.Equal([1f, 2f], before.Read("a").ToArray());
        using SafetensorsFile after = SafetensorsFile.Open(File1);
        Assert.Equal(["b"], after.Entries.Keys);
    }

    private static void Write(string path, byte[] content) => FileReplacement.Write(path, stream => stream.Write(content));

    private void AssertAlone() => Assert.Equal([File1], Directory.GetFileSystemEntries(_folder.FullName));

    private static bool Run(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
