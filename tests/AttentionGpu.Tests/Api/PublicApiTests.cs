namespace AttentionGpu.Tests.Api;

public class PublicApiTests
{
    [Fact]
    public void Public_API_is_the_approved_one() =>
        ApprovedApi.Assert(typeof(AttentionEngine).Assembly, Repository.PathOf("tests", "AttentionGpu.Tests", "Api", "AttentionGpu.approved.txt"));
}
