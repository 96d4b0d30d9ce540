using System.Numerics.Tensors;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Elements;
using AttentionGpu.KeyValues;
using AttentionGpu.Tests.KeyValueCaches;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Engine;

/// <summary>Few queries over keys that a device splits into parts.</summary>
public class DecodeSplitTests
{
    // Two parts, the second of which is not whole.
    private const int Keys = 700;

    private static readonly string[][] _kinds =
    [
        ["softcap", "ALiBi"], ["additive mask with -inf", "sinks"], ["boolean mask", "window to both sides"], ["key lengths", "documents"],
    ];

    private static readonly KeyValueForm[] _forms =
    [
        new(KeyValueElement.Float32), new(KeyValueElement.Int8, KeyValueRows.Paged), new(KeyValueElement.Float16, IsLatent: true),
        new(KeyValueElement.Int4, KeyValueRows.Paged, IsLatent: true),
    ];

    private static VariantSizes Sizes => new(1, 2, 2, 3, 5, [3], [Keys], 30);

    [Fact]
    public void Variants_agree_with_the_reference()
    {
        int seed = Random.Shared.Next();
        foreach (string[] kind in _kinds)
        {
            string[] choices = [.. kind, "grouped heads", "log-sum-exp"];
            var problem = VariantCase.Create(VariantKind.With(choices), new Random(seed), Sizes);
            VariantRun.OnReference(problem).AssertClose(
                VariantRun.Run(problem, Engines.Get(AcceleratorDevices.EmulatorName)), problem, $"seed {seed}, {string.Join(", ", choices)}");
        }
    }

    [Fact]
    public void A_row_that_sees_nothing_or_one_part_alone_is_exact()
    {
        // Row 0 sees no key, row 1 the last one, row 2 the first part.
        var problem = VariantCase.Create(
            VariantKind.With("log-sum-exp", "additive mask"), new Random(), Sizes);
        var bias = new float[3 * Keys];
        bias.AsSpan(0, 2 * Keys - 1).Fill(float.NegativeInfinity);
        bias.AsSpan(2 * Keys + 500, Keys - 500).Fill(float.NegativeInfinity);
        problem = problem with { Bias = Tensor.Create(bias, [3, Keys]) };
        VariantRun.OnReference(problem).AssertClose(
            VariantRun.Run(problem, Engines.Get(AcceleratorDevices.EmulatorName)), problem, "hidden parts");
    }

    [Fact]
    public void Sequences_of_every_form_agree_with_the_definition()
    {
        (Random random, int seed) = Seeded();
        using var device = new PlanDevice(AcceleratorDevices.EmulatorName);
        foreach (KeyValueForm form in _forms)
        {
            (int headSize, int valueSize) = form.IsLatent ? (20, 13) : (13, 33);
            var problem = new FormAttention(random, form, [(1, 1100), (8, Keys), (2, 1), (0, 5), (1, 0)], headSize, valueSize);
            problem.AssertAgrees(device, $"seed {seed}");

            // The other kernels of this device take no workspace.
            Assert.NotEqual(0, device.WorkspaceBytes);
            problem.WithWindow(left: 550).AssertAgrees(device, $"window, seed {seed}");
        }
    }

    [Fact]
    public void Values_that_are_not_finite_reach_the_queries_that_see_them_alone()
    {
        (Random random, int seed) = Seeded();
        using var device = new PlanDevice(AcceleratorDevices.EmulatorName);
        FormAttention problem = new FormAttention(random, new(ElementType.Float32), [(1, 600), (2, Keys)], 4, 5).WithWindow(left: 150);

        // Hidden: before the windows, in a part that is read. Visible: to both queries, and to the second alone.
        problem.Spoil(0, 0, 600 - 170, double.NaN);
        problem.Spoil(1, 0, Keys - 170, double.PositiveInfinity);
        problem.AssertAgrees(device, $"hidden, seed {seed}");
        problem.Spoil(0, 0, 550, double.NegativeInfinity);
        problem.Spoil(1, 0, Keys - 1, double.NaN);
        problem.AssertAgrees(device, $"visible, seed {seed}");
    }

    [Fact]
    public void Means_of_the_largest_values_are_finite()
    {
        (Random random, int seed) = Seeded();
        using var device = new PlanDevice(AcceleratorDevices.EmulatorName);
        var problem = new FormAttention(random, new(ElementType.Float32), [(1, 520)], 1, 1);
        for (int row = 0; row < 520; row++)
            problem.Spoil(0, 0, row, float.MaxValue);
        problem.AssertAgrees(device, $"seed {seed}");
    }

    [Fact]
    public void A_sequence_does_not_depend_on_its_neighbours()
    {
        (Random random, int seed) = Seeded();
        using var device = new PlanDevice(AcceleratorDevices.EmulatorName);
        FormAttention all =
            new FormAttention(random, new(KeyValueElement.Int8, KeyValueRows.Paged), [(1, Keys), (12, 40), (3, 90)], 13, 9)
                .BatchInvariant();
        all.AssertAgrees(device, $"seed {seed}");
        (byte[] together, _) = all.Run(device);
        for (int i = 0; i < all.Sequences.Count; i++)
            Assert.Equal(all.OutputOf(all.Only(i).Run(device).Output, i), all.OutputOf(together, i));
    }

    private static (Random Random, int Seed) Seeded()
    {
        int seed = Random.Shared.Next();
        return (new Random(seed), seed);
    }
}
