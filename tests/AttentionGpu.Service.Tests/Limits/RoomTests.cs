using System.Text;
using Microsoft.Extensions.DependencyInjection;

namespace AttentionGpu.Service.Tests.Limits;

/// <summary>Requests beside others that hold the memory, and bodies that are too long for it or too slow.</summary>
public class RoomTests(SmallService service) : IClassFixture<SmallService>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private MemoryBudget Budget => service.Services.GetRequiredService<MemoryBudget>();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Without_room_a_request_is_503_and_with_room_it_is_answered(bool isFile)
    {
        float[][] input = SmallService.Input(3);
        List<MemoryLease> others = [];
        try
        {
            while (true)
            {
                others.Add(Budget.Open(bodyBytes: null));
                others[^1].Grow(MemoryBudget.SmallBytes);
            }
        }
        catch (BusyException)
        {
            // The part for short requests is full.
        }

        using HttpResponseMessage refusal = await service.PostAsync(isFile, input, Token);
        Assert.Equal(
            ("The service has too much to do.", "Requests hold as much memory as they may: MaxMemoryBytes is 268435456. Try again later."),
            await Answers.AssertProblemAsync(refusal, 503, Token));
        Assert.Equal(TimeSpan.FromSeconds(1), refusal.Headers.RetryAfter?.Delta);
        others.ForEach(lease => lease.Dispose());
        using HttpResponseMessage answer = await service.PostAsync(isFile, input, Token);
        await Answers.AssertRightAsync(answer, isFile, input, causal: false, Token);
        await Wait.UntilAsync(() => Budget.UsedBytes == 0);
    }

    [Fact]
    public async Task A_file_that_has_no_room_is_refused_before_it_is_sent()
    {
        await using var small = new SmallService();
        small.UseKestrel(0);
        small.StartServer();
        MemoryBudget budget = small.Services.GetRequiredService<MemoryBudget>();
        using MemoryLease other = budget.Open(long.MaxValue);
        other.Grow(budget.LeaseLimit);
        await using var client = new RawClient();
        await client.SendAsync(small.Client.BaseAddress!, SafetensorsBody.ContentType, "", contentLength: 1 << 20);
        await client.AssertAnswerAsync(503, "MaxMemoryBytes is 268435456");
    }

    [Theory]
    [InlineData(65_536, "it has 0 bytes")]
    [InlineData(65_537, "The header of the file must have at most 65536 bytes; it claims 65537.")]
    [InlineData(long.MaxValue, "The header of the file must have at most 65536 bytes; it claims 9223372036854775807.")]
    [InlineData(-1, "The header of the file must have at most 65536 bytes; it claims 18446744073709551615.")]
    public async Task The_header_of_a_file_has_a_limit(long bytes, string detail)
    {
        using HttpResponseMessage refusal =
            await service.PostBytesAsync([.. BitConverter.GetBytes(bytes)], SafetensorsBody.ContentType, "", Token);
        string? actual = (await Answers.AssertProblemAsync(refusal, 400, Token)).Detail;
        if (bytes > 65_536 || bytes < 0)
            Assert.Equal(detail, actual);
        else
            Assert.Contains("its header claims 65536 bytes; the file has 0", actual, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Names_and_shapes_of_a_file_are_cut_in_the_answer()
    {
        foreach (string header in new[]
        {
            $$"""{"{{new string('x', 60_000)}}":1}""",
            $$$"""{"{{{new string('x', 30_000)}}}":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"{{{new string('x', 30_000)}}}":1}""",
            $$$"""{"input":{"dtype":"{{{new string('x', 60_000)}}}","shape":[1,8],"data_offsets":[0,0]}}""",
            $$$"""{"input":{"{{{new string('x', 60_000)}}}":1}}""",
            $$$"""{"input":{"dtype":"F32","shape":[1{{{string.Concat(Enumerable.Repeat(",1", 30_000))}}}],"data_offsets":[0,4]}}""",
        })
        {
            byte[] body = [.. BitConverter.GetBytes((long)header.Length), .. Encoding.ASCII.GetBytes(header), 0, 0, 0, 0];
            using HttpResponseMessage refusal = await service.PostBytesAsync(body, SafetensorsBody.ContentType, "", Token);
            string detail = (await Answers.AssertProblemAsync(refusal, 400, Token)).Detail!;
            Assert.DoesNotContain(new string('x', 101), detail, StringComparison.Ordinal);
            Assert.InRange(detail.Length, 10, 300);
        }
    }

    [Theory]
    [InlineData("?layer=LONG")]
    [InlineData("?causal=LONG")]
    public async Task Addresses_are_cut_in_the_answer(string query)
    {
        using HttpResponseMessage refusal = await service.PostFileAsync(
            SmallService.Tensor(SmallService.Input(2)), query.Replace("LONG", new string('x', 7000), StringComparison.Ordinal), Token);
        string? detail = (await Answers.AssertProblemAsync(refusal, 400, Token)).Detail;
        Assert.InRange(detail?.Length ?? 0, 0, 401);
    }

    [Theory]
    [InlineData("application/json", "{\"input\":")]
    [InlineData(SafetensorsBody.ContentType, "12345")]
    public async Task A_body_that_does_not_come_is_408(string contentType, string start)
    {
        await using var small = new SmallService { TransferSeconds = 1 };
        small.UseKestrel(0);
        small.StartServer();
        await using var client = new RawClient();
        await client.SendAsync(small.Client.BaseAddress!, contentType, start, contentLength: 1000);
        await client.AssertAnswerAsync(408, "A body must come within 1 seconds.");
        await Wait.UntilAsync(() => small.Services.GetRequiredService<MemoryBudget>().UsedBytes == 0);
    }
}
