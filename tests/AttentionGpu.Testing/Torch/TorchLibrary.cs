using TorchSharp;

namespace AttentionGpu.Tests.Torch;

/// <summary>
/// libtorch, where its native library loads: it needs a newer C++ runtime than Debian 12 has (<c>tests/opencl-root</c> has one).
/// </summary>
internal static class TorchLibrary
{
    /// <summary>Whether it loads here.</summary>
    public static bool IsAvailable { get; } = CanLoad();

    private static bool CanLoad()
    {
        try
        {
            torch.set_num_threads(1);
            return true;
        }
        catch (Exception exception) when (exception is TypeInitializationException or NotSupportedException or DllNotFoundException)
        {
            return false;
        }
    }
}
