using Microsoft.Playwright;

namespace AttentionGpu.Service.Tests;

/// <summary>The page in a real browser: Debian's Chromium.</summary>
public class PageTests(ServiceFixture service) : IClassFixture<ServiceFixture>
{
    private static readonly string? _chromium = new[] { "/usr/bin/chromium", "/usr/bin/chromium-browser" }.FirstOrDefault(File.Exists);

    [Fact]
    public async Task The_page_shows_a_heat_map_a_head()
    {
        Assert.SkipUnless(_chromium is not null, "There is no Chromium here (Debian's package chromium).");
        using IPlaywright playwright = await Playwright.CreateAsync();
        await using IBrowser browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions { ExecutablePath = _chromium, Args = ["--no-sandbox"] });
        IPage page = await browser.NewPageAsync();
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
}
