using AttentionGpu.KeyValueCaches;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>Which pages sequences get.</summary>
public sealed class PagePoolTests
{
    [Fact]
    public void Sequences_that_grow_in_turns_have_pages_in_order()
    {
        var pool = new PagePool(40, groupPages: 8);
        int[] last = [-1, -1, -1];
        for (int step = 0; step < 8; step++)
        {
            for (int i = 0; i < last.Length; i++)
            {
                int page = pool.Take(last[i]);
                Assert.Equal(step == 0 ? 8 * i : last[i] + 1, page);
                last[i] = page;
            }
        }
    }

    [Fact]
    public void A_sequence_begins_in_the_group_that_was_freed_last()
    {
        var pool = new PagePool(12, groupPages: 4);
        int first = pool.Take(-1);
        int second = pool.Take(-1);
        pool.Release(first);
        Assert.Equal(first, pool.Take(-1));
        Assert.Equal(second + 1, pool.Take(second));
    }

    /// <summary>A pool whose last group is short, against a list of holders.</summary>
    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 16)]
    [InlineData(30, 4)]
    [InlineData(33, 8)]
    [InlineData(16, 1)]
    public void Every_page_is_given_once(int pages, int groupPages)
    {
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        var pool = new PagePool(pages, groupPages);
        int[] holders = new int[pages];
        for (int step = 0; step < 2000; step++)
        {
            int free = holders.Count(count => count == 0);
            Assert.Equal(free, pool.FreeCount);
            int page = random.Next(pages);
            switch (random.Next(step % 200 < 100 ? 3 : 5))
            {
                case 0 or 1 when free > 0:
                    Take(random.Next(-1, pages));
                    break;
                case 2 when holders[page] > 0:
                    pool.Share(page);
                    holders[page]++;
                    break;
                case 3 or 4 when holders[page] > 0:
                    pool.Release(page);
                    holders[page]--;
                    break;
            }

            Assert.Equal(holders[page] > 1, pool.IsShared(page));
            if (step % 500 == 499)
                Renumber();
        }

        void Take(int previous)
        {
            bool follows = previous >= 0 && previous + 1 < pages && holders[previous + 1] == 0;
            int[] groups = [.. Enumerable.Range(0, pages).Where(first => first % groupPages == 0 && IsFree(first))];
            int page = pool.Take(previous);
            string context = $"seed {seed}, {page} after {previous}";
            Assert.True(holders[page] == 0, context);
            Assert.True(follows ? page == previous + 1 : groups.Length == 0 || groups.Contains(page), context);
            holders[page] = 1;
        }

        bool IsFree(int first) => holders[first..Math.Min(pages, first + groupPages)].All(count => count == 0);

        void Renumber()
        {
            int[] numbers = [.. Enumerable.Range(0, pages)];
            random.Shuffle(numbers);
            pool.Renumber(numbers);
            int[] old = [.. holders];
            for (int page = 0; page < pages; page++)
                holders[numbers[page]] = old[page];
        }
    }
}
