using AttentionGpu.Hosting.Scheduling;

namespace AttentionGpu.Hosting.Tests;

/// <summary>Whose turn it is, by the queue alone. Time is counted in tokens that a device has worked.</summary>
public class FairQueueTests
{
    private const int Limit = 4096;
    private const int Most = 64;

    private readonly FairQueue<Item> _queue = new();

    [Fact]
    public void Items_of_one_client_keep_their_order()
    {
        Add("a", 4, 6, 1, 9, 5, 6, 3, 2);
        Assert.Equal(["a4 a6", "a1 a9", "a5", "a6 a3", "a2", ""], Enumerable.Range(0, 6).Select(_ => Take(limit: 10)));
    }

    [Fact]
    public void An_item_above_the_limit_runs_alone()
    {
        Add("a", 2, 11, 1);
        Assert.Equal(["a2", "a11", "a1"], Enumerable.Range(0, 3).Select(_ => Take(limit: 10)));
    }

    [Fact]
    public void Clients_take_turns_whatever_they_have_sent()
    {
        Add("a", 512, 512, 512, 512);
        Add("b", 512, 512);
        Assert.Equal(["a512 b512", "a512 b512", "a512 a512"], Enumerable.Range(0, 3).Select(_ => Take()));
    }

    [Fact]
    public void A_batch_has_no_more_than_the_share_of_the_item_whose_turn_it_is()
    {
        Add("long", 2000, 2000);
        Add("short", 300);
        Add("middle", 600);

        // Three wait, so the short one's share is 900 tokens; then two, and 1200.
        Assert.Equal(["short300 middle600", "long2000 long2000"], Enumerable.Range(0, 2).Select(_ => Take()));
        Add("long", 2000);
        Add("short", 300);
        Add("middle", 601);
        Assert.Equal(["short300", "middle601"], Enumerable.Range(0, 2).Select(_ => Take()));
    }

    [Theory]
    [InlineData(Limit / 16 - 1, "short1 other255")]
    [InlineData(Limit / 16, "short1")]
    public void A_sixteenth_of_the_limit_may_always_be_joined(int tokens, string batch)
    {
        Add("other", tokens);
        Add("short", 1);
        Assert.Equal(batch, Take());
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(3000)]
    [InlineData(1024)]
    [InlineData(257)]
    [InlineData(20_000)]
    public void A_short_request_waits_for_the_batch_that_runs_and_its_share_however_many_long_ones_wait(int tokens)
    {
        const int Clients = 8;
        const int ShortTokens = 16;
        var random = new Random(1);
        for (int i = 0; i < Clients; i++)
            Add($"long{i}", tokens);
        int answered = 0;
        bool isRunning = false;
        bool isWaiting = false;
        for (int batch = 0; batch < 2000; batch++)
        {
            // The short client's request came while the batch before this ran.
            isWaiting = !isRunning && random.Next(3) > 0;
            if (isWaiting)
                Add("short", ShortTokens);
            List<Item> items = TakeItems();
            isRunning = items.Any(item => item.Client == "short");
            Assert.Equal(isWaiting, isRunning);
            if (isRunning)
            {
                Assert.InRange(items.Sum(item => item.Tokens), ShortTokens, Limit / 16);
                answered++;
            }

            // A long client's next request comes when it has the answer to the last.
            foreach (Item item in items.Where(item => item.Client != "short"))
                Add(item.Client, tokens);
        }

        Assert.InRange(answered, 500, 1500);
    }

    [Fact]
    public void Clients_that_always_wait_are_served_the_same_number_of_tokens()
    {
        var random = new Random(2);
        Dictionary<string, long> served = new() { ["small"] = 0, ["mixed"] = 0, ["large"] = 0, ["many"] = 0 };
        var lengths = new Dictionary<string, Func<int>>
        {
            ["small"] = () => 16,
            ["mixed"] = () => random.Next(1, 4000),
            ["large"] = () => 4096,
            ["many"] = () => 100,
        };
        foreach ((string client, Func<int> length) in lengths)
        {
            for (int i = 0; i < (client == "many" ? 400 : 100); i++)
                Add(client, length());
        }

        for (int batch = 0; batch < 5000; batch++)
        {
            foreach (Item item in TakeItems())
            {
                served[item.Client] += item.Tokens;
                Add(item.Client, lengths[item.Client]());
            }

            // A batch may favour one by what joins it, and one by a whole long item.
            Assert.InRange(served.Values.Max() - served.Values.Min(), 0, 2 * Limit);
        }
    }

    [Fact]
    public void New_clients_that_keep_coming_do_not_keep_an_old_one_from_its_turn()
    {
        const int Tokens = 4096;
        Add("old", Tokens);
        int served = 0;
        for (int i = 0; ; i++)
        {
            Add($"new{i}", 300);
            List<Item> items = TakeItems();
            if (items.Any(item => item.Client == "old"))
                break;
            served += items.Sum(item => item.Tokens);
            Assert.InRange(served, 1, 4 * Tokens);
        }

        // Two wait at any time: the old one's share has come when the others have been served as much.
        Assert.InRange(served, Tokens / 2, 2 * Tokens + 300);
    }

    [Fact]
    public void A_client_that_was_idle_has_saved_nothing()
    {
        Add("idle", 16);
        Add("busy", [.. Enumerable.Repeat(1024, 100)]);
        for (int i = 0; i < 10; i++)
            TakeItems();
        Add("idle", [.. Enumerable.Repeat(1024, 20)]);
        int[] turns = [.. Enumerable.Range(0, 4).SelectMany(_ => TakeItems()).Select(item => item.Client == "idle" ? 1 : 0)];
        Assert.Equal((8, 4), (turns.Length, turns.Sum()));
    }

    [Fact]
    public void A_client_that_had_more_than_its_share_is_behind_when_it_comes_back()
    {
        Add("greedy", 4096);
        Add("other", 4000, 4000);
        Assert.Equal(["other4000", "greedy4096"], Enumerable.Range(0, 2).Select(_ => Take()));

        // It has had 96 tokens more, and its new item is 50 smaller.
        Add("greedy", 3950);
        Assert.Equal(["other4000", "greedy3950"], Enumerable.Range(0, 2).Select(_ => Take(most: 1)));
    }

    [Fact]
    public void What_cannot_join_is_passed_by_and_is_next()
    {
        Add("a", 100);
        AddTo("other", "b", 200);
        Add("c", 300);
        Assert.Equal(["a100", "other/b200", "c300"], Enumerable.Range(0, 3).Select(_ => Take(limit: 300)));
        Add("a", 100);
        AddTo("other", "b", 150);
        Add("c", 200);
        Assert.Equal(["a100 c200", "other/b150", ""], Enumerable.Range(0, 3).Select(_ => Take()));
    }

    [Fact]
    public void One_clients_items_in_two_layers_share_alike()
    {
        Add("one", 512, 512, 512, 512);
        AddTo("other", "one", 512, 512);
        Assert.Equal(
            ["one512 one512", "other/one512 other/one512", "one512 one512"], Enumerable.Range(0, 3).Select(_ => Take(limit: 1024)));
    }

    [Fact]
    public void An_item_that_is_taken_out_gives_its_place_to_the_next()
    {
        Item[] items = Add("a", 1, 2, 3);
        Item[] others = Add("b", 5, 6);
        Assert.Equal((5, 17L, 34L), (_queue.Count, _queue.Tokens, _queue.Bytes));
        _queue.Remove(items[0]);
        _queue.Remove(items[2]);
        _queue.Remove(others[0]);
        _queue.Remove(others[1]);
        _queue.Remove(others[1]);
        Assert.Equal((1, 2L, 4L), (_queue.Count, _queue.Tokens, _queue.Bytes));
        Assert.Equal(["a2", ""], Enumerable.Range(0, 2).Select(_ => Take()));
    }

    [Fact]
    public void An_item_that_is_taken_out_costs_its_client_nothing()
    {
        Add("b", 1000);
        foreach (Item item in Add("a", 3000, 3000, 3000))
            _queue.Remove(item);
        Add("a", 999);
        Assert.Equal("a999", Take(most: 1));
    }

    [Fact]
    public void Clients_that_have_gone_are_forgotten()
    {
        Add("stays", 4096);
        for (int i = 0; i < 10_000; i++)
        {
            Add($"{i}", 257);
            foreach (Item item in TakeItems().Where(item => item.Client == "stays"))
                Add("stays", item.Tokens);
        }

        Assert.InRange(_queue.Flows, 1, 200);
        while (_queue.Count > 0)
            TakeItems();
        _queue.Rest();
        Assert.Equal(0, _queue.Flows);
    }

    [Fact]
    public void Whatever_is_added_and_taken_out_each_item_comes_once_and_in_its_clients_order()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            List<Item> waiting = [];
            int clients = random.Next(1, 40);
            for (int step = 0; step < 400; step++)
            {
                switch (random.Next(5))
                {
                    case 0 or 1 or 2:
                        waiting.AddRange(AddTo($"{random.Next(3)}", $"{random.Next(clients)}", random.Next(1, 600)));
                        break;
                    case 3 when waiting.Count > 0:
                        Item removed = waiting[random.Next(waiting.Count)];
                        _queue.Remove(removed);
                        waiting.Remove(removed);
                        break;
                    default:
                        List<Item> batch = TakeItems(random.Next(1, 2000), random.Next(1, 20));
                        Assert.Equal(waiting.Count > 0, batch.Count > 0);
                        foreach (Item item in batch)
                        {
                            Assert.Same(item, waiting.First(one => one.Client == item.Client && one.Layer == item.Layer));
                            Assert.Equal(batch[0].Layer, item.Layer);
                            waiting.Remove(item);
                        }

                        break;
                }

                Assert.Equal((waiting.Count, waiting.Sum(item => (long)item.Tokens)), (_queue.Count, _queue.Tokens));
            }

            Assert.Equal(waiting, _queue.Drain());
            Assert.Equal((0, 0L, 0L), (_queue.Count, _queue.Tokens, _queue.Bytes));
            _queue.Rest();
        }
    }

    private Item[] Add(string client, params int[] tokens) => AddTo("layer", client, tokens);

    private Item[] AddTo(string layer, string client, params int[] tokens)
    {
        Item[] items = [.. tokens.Select(count => new Item { Client = client, Tokens = count, Layer = layer })];
        foreach (Item item in items)
            _queue.Add(item);
        return items;
    }

    private List<Item> TakeItems(int limit = Limit, int most = Most)
    {
        List<Item> batch = [];
        _queue.Take(most, limit, batch);
        Assert.InRange(batch.Count, 0, most);
        if (batch.Count > 1)
            Assert.InRange(batch.Sum(item => item.Tokens), 1, limit);
        return batch;
    }

    private string Take(int limit = Limit, int most = Most) =>
        string.Join(' ', TakeItems(limit, most).Select(item => $"{(item.Layer == "layer" ? "" : $"{item.Layer}/")}{item.Client}{item.Tokens}"));

    private sealed class Item : QueueItem<Item>
    {
        public required string Layer { get; init; }

        public override object Group => Layer;

        public override long Bytes => 2L * Tokens;

        public override bool IsEnded => false;

        public override bool Joins(Item first, int tokens) => Layer == first.Layer;
    }
}
