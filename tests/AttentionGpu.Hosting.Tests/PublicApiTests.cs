using AttentionGpu.Tests.Api;

namespace AttentionGpu.Hosting.Tests;

public class PublicApiTests
{
    [Fact]
    public void Public_API_is_the_approved_one() => ApprovedApi.Assert(
        typeof(AttentionService).Assembly, Repository.PathOf("tests", "AttentionGpu.Hosting.Tests", "AttentionGpu.Hosting.approved.txt"));
}
