using System.Numerics.Tensors;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Batches;

/// <summary>A row of a batch-invariant product has the same bits whatever rows stand beside it.</summary>
public class BatchInvariantLinearTests
{
    private const int Rows = 130;

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Rows_cut_anywhere_have_the_same_bits(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        for (int i = 0; i < 3; i++)
            AssertSame(Random.Shared.Next(), engine, engine, rows: 20, depth: 5 + 17 * i, columns: 1 + 13 * i);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void The_processor_keeps_them_at_every_width_and_number_of_threads(int width)
    {
        using var alone = new AttentionEngine(new SimdBackend(width, threads: 1));
        using var together = new AttentionEngine(new SimdBackend(width, threads: 16));
        int seed = 50;
        foreach ((int depth, int columns) in new[] { (1, 1), (70, 17), (600, 64), (1300, 130) })
            AssertSame(seed++, alone, together, Rows, depth, columns);
    }

    private static void AssertSame(int seed, AttentionEngine alone, AttentionEngine together, int rows, int depth, int columns)
    {
        Engines.ForElements(
            alone.Device.Name, seed,
            () => AssertSame<float>(seed, alone, together, rows, depth, columns),
            () => AssertSame<Half>(seed, alone, together, rows, depth, columns),
            () => AssertSame<BFloat16>(seed, alone, together, rows, depth, columns));
    }

    // Alone are pieces of 1 and more rows.
    private static void AssertSame<T>(int seed, AttentionEngine alone, AttentionEngine together, int rows, int depth, int columns)
        where T : unmanaged
    {
        var random = new Random(seed);
        T[] input = Values<T>(random, rows * depth);
        Tensor<T> weight = Tensor.Create(Values<T>(random, columns * depth), [columns, depth]);
        Tensor<T>? bias = random.Next(2) == 0 ? Tensor.Create(Values<T>(random, columns), [columns]) : null;
        T[] all = Run(together, input, weight, bias);
        for (int first = 0; first < rows;)
        {
            int count = random.Next(3) == 0 ? 1 : random.Next(1, rows - first + 1);
            Bits.AssertSame<T>(
                Run(alone, input[(first * depth)..((first + count) * depth)], weight, bias), all.AsSpan(first * columns, count * columns),
                $"seed {seed}, {typeof(T).Name}, rows {first} to {first + count} of {rows}, depth {depth}, columns {columns}, "
                + $"bias {bias is not null}");
            first += count;
        }
    }

    private static T[] Run<T>(AttentionEngine engine, T[] input, Tensor<T> weight, Tensor<T>? bias)
        where T : unmanaged
    {
        (nint columns, nint depth) = (weight.Lengths[0], weight.Lengths[1]);
        nint rows = input.Length / depth;
        T[] output = ElementArrays.Poisoned<T>((int)(rows * columns));
        engine.Linear<T>(
            Tensor.Create(input, [rows, depth]), weight, Tensor.Create(output, [rows, columns]), bias, batchInvariant: true);
        return output;
    }

    private static T[] Values<T>(Random random, int count) =>
        ElementArrays.Round<T>([.. Enumerable.Range(0, count).Select(_ => 2f * random.NextSingle() - 1f)]);
}
