using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Playwright;

namespace AttentionGpu.Service.Tests;

/// <summary>The page in a real browser: Debian's Chromium.</summary>
public class PageTests(ServiceFixture service) : IClassFixture<ServiceFixture>
{
    private static readonly string? _chromium = new[] { "/usr/bin/chromium", "/usr/bin/chromium-browser" }.FirstOrDefault(File.Exists);

    private static readonly float _patience = (float)Wait.Patience.TotalMilliseconds;

    [Fact]
    public async Task The_page_shows_a_heat_map_a_head()
    {
        Assert.SkipUnless(_chromium is not null, "There is no Chromium here (Debian's package chromium).");
        using IPlaywright playwright = await Playwright.CreateAsync();
        await using IBrowser browser = await LaunchAsync(playwright);
        IPage page = await OpenAsync(browser);
        List<string> errors = [];
        page.PageError += (_, error) => errors.Add(error);
        await page.GotoAsync(service.Client.BaseAddress!.ToString());
        ILocator maps = page.Locator("#heads figure");
        await Assertions.Expect(maps).ToHaveCountAsync(8);
        await page.FillAsync("#words", "a small test of words");
        await page.CheckAsync("#causal");
        await page.ClickAsync("button");
        await Assertions.Expect(maps.First.Locator("tr")).ToHaveCountAsync(5);
        await Assertions.Expect(maps.First.Locator("td")).ToHaveCountAsync(25);
        string? future = await maps.First.Locator("td").Nth(1).GetAttributeAsync("title");
        Assert.Equal("a looks at small: 0.000", future);
        await page.FillAsync("#words", string.Join(' ', Enumerable.Repeat("x", 200)));
        Assert.Empty(errors);
    }

    [Fact]
    public async Task The_page_asks_for_a_key_where_one_is_needed()
    {
        Assert.SkipUnless(_chromium is not null, "There is no Chromium here (Debian's package chromium).");
        const string key = "the key of alice, 32 characters.";
        await using var small = new SmallService();
        await using WebApplicationFactory<Program> host = small.WithWebHostBuilder(builder => builder
            .UseSetting("Access:Scheme", "ApiKey").UseSetting("Access:Keys:alice", key));
        host.UseKestrel(0);
        host.StartServer();
        using IPlaywright playwright = await Playwright.CreateAsync();
        await using IBrowser browser = await LaunchAsync(playwright);
        IPage page = await OpenAsync(browser);
        using HttpClient client = host.CreateClient();
        await page.GotoAsync(client.BaseAddress!.ToString());
        await Assertions.Expect(page.Locator("#error")).ToHaveTextAsync("A request needs a key of this service in the header X-Api-Key.");
        await page.FillAsync("#key", key);
        await page.FillAsync("#words", "a small test");
        await page.ClickAsync("button");
        await Assertions.Expect(page.Locator("#heads figure")).ToHaveCountAsync(SmallService.Heads);
        await Assertions.Expect(page.Locator("#error")).ToBeEmptyAsync();
    }

    // The browser's own times, 5 s for what a page must show and 30 s for its start, are over too soon on a machine with much else to do.
    private static async Task<IPage> OpenAsync(IBrowser browser)
    {
        Assertions.SetDefaultExpectTimeout(_patience);
        IPage page = await browser.NewPageAsync();
        page.SetDefaultTimeout(_patience);
        return page;
    }

    private static Task<IBrowser> LaunchAsync(IPlaywright playwright) => playwright.Chromium.LaunchAsync(
        new BrowserTypeLaunchOptions { ExecutablePath = _chromium, Args = ["--no-sandbox"], Timeout = _patience });
}
