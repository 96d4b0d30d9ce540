using PublicApiGenerator;

namespace AttentionGpu.Tests.Api;

public class PublicApiTests
{
    /// <summary>To approve a change on purpose, copy the received file over the approved one.</summary>
    [Fact]
    public void Public_API_is_the_approved_one()
    {
        string approved = Repository.PathOf("tests", "AttentionGpu.Tests", "Api", "AttentionGpu.approved.txt");
        string received = approved.Replace("approved", "received", StringComparison.Ordinal);
        string api = typeof(AttentionEngine).Assembly.GeneratePublicApi(
            new ApiGeneratorOptions { IncludeAssemblyAttributes = false }).ReplaceLineEndings("\n") + "\n";
        if (File.Exists(approved) && File.ReadAllText(approved).ReplaceLineEndings("\n") == api)
        {
            File.Delete(received);
            return;
        }

        File.WriteAllText(received, api);
        Assert.Fail($"The public API differs from {approved}; it is now in {received}.");
    }
}
