namespace AttentionGpu.Tests.Shared;

/// <summary>The repository that the tests were built from. (A caller's file path is no help: deterministic builds rewrite it.)</summary>
internal static class Repository
{
    public static string Root { get; } = Find(AppContext.BaseDirectory);

    public static string PathOf(params ReadOnlySpan<string> parts) => Path.Combine([Root, .. parts]);

    private static string Find(string folder) =>
        File.Exists(Path.Combine(folder, "AttentionGpu.sln")) ? folder
        : Path.GetDirectoryName(folder) is string parent ? Find(parent)
        : throw new InvalidOperationException("The tests must run from inside the repository.");
}
