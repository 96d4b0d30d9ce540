using AttentionGpu.Serialization;

namespace AttentionGpu.Tests.Serialization;

/// <summary>Where paths lead, and whether two lead to one file.</summary>
public sealed class RealPathTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("attention-");

    public RealPathTests()
    {
        _folder.CreateSubdirectory(Path.Combine("a", "b"));
        File.WriteAllText(At("a", "file"), "");
    }

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Links_of_files_and_folders_are_followed_as_the_system_follows_them()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Links need a privilege.");
        File.CreateSymbolicLink(At("link"), Path.Combine("a", "file"));
        File.CreateSymbolicLink(At("second"), At("link"));
        Directory.CreateSymbolicLink(At("folder"), Path.Combine("a", "b"));

        // Above the folder that 'folder' leads to is 'a'.
        File.CreateSymbolicLink(At("up"), Path.Combine("folder", "..", ".", "file"));
        RealPath expected = RealPath.Of(At("a", "file"));
        Assert.EndsWith(Path.Combine("a", "file"), expected.Path, StringComparison.Ordinal);
        Assert.All(["link", "second", "up"], name => Assert.Equal(expected, RealPath.Of(At(name))));
        Assert.Equal(RealPath.Of(At("a", "b", "new")), RealPath.Of(At("folder", "new")));
        Assert.Equal(expected, RealPath.Of(Path.GetRelativePath(Environment.CurrentDirectory, At("a", "b", "..", "file"))));
        File.CreateSymbolicLink(At("circle"), At("circle"));
        Assert.Throws<IOException>(() => RealPath.Of(At("circle")));
    }

    [Fact]
    public void An_open_file_by_another_name_is_told()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The names are Linux's.");
        Assert.True(RealPath.Of("/dev/stdout").IsStandardOutput);
        Assert.True(RealPath.Of("/proc/self/fd/1").IsStandardOutput);
        Assert.False(RealPath.Of("/dev/stderr").IsStandardOutput);
        Assert.NotNull(RealPath.Of("/dev/stderr").OpenFile);
        Assert.Null(RealPath.Of("/dev/null").OpenFile);
        Assert.Null(RealPath.Of(At("a", "file")).OpenFile);
    }

    [Fact]
    public void Files_whose_names_differ_in_letter_case_are_the_same_where_the_system_takes_no_notice()
    {
        Assert.True(Same(At("a", "file"), At("a", "file")));
        Assert.False(Same(At("a", "file"), At("a", "other")));
        bool ignoresCase = File.Exists(At("A", "FILE"));
        Assert.Equal(ignoresCase, Same(At("a", "file"), At("A", "FILE")));
        Assert.Equal(ignoresCase, Same(At("a", "file"), At("a", "File")));
        if (ignoresCase)
            return;

        // Both are there, and are two.
        File.WriteAllText(At("a", "File"), "");
        Assert.False(Same(At("a", "file"), At("a", "File")));
        _folder.CreateSubdirectory("A");
        File.WriteAllText(At("A", "file"), "");
        Assert.False(Same(At("a", "file"), At("A", "file")));
    }

    private static bool Same(string path, string other) => RealPath.Of(path).IsSame(RealPath.Of(other));

    private string At(params string[] names) => Path.Combine([_folder.FullName, .. names]);
}
