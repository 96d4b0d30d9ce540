using System.Reflection;
using PublicApiGenerator;

namespace AttentionGpu.Tests.Api;

/// <summary>An assembly's public API beside the checked-in file.</summary>
public static class ApprovedApi
{
    /// <summary>To approve a change on purpose, copy the received file over the approved one.</summary>
    /// <param name="assembly">The assembly.</param>
    /// <param name="approved">The checked-in file.</param>
    public static void Assert(Assembly assembly, string approved)
    {
        string received = approved.Replace("approved", "received", StringComparison.Ordinal);
        string api = assembly.GeneratePublicApi(new ApiGeneratorOptions { IncludeAssemblyAttributes = false }).ReplaceLineEndings("\n") + "\n";
        if (File.Exists(approved) && File.ReadAllText(approved).ReplaceLineEndings("\n") == api)
        {
            File.Delete(received);
            return;
        }

        File.WriteAllText(received, api);
        Xunit.Assert.Fail($"The public API differs from {approved}; it is now in {received}.");
    }
}
