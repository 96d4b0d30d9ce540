using System.Reflection;
using AttentionGpu.Elements;
using AttentionGpu.KeyValues;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>Plans of devices that ILGPU drives, on keys and values of every form.</summary>
[Trait("device", "every")]
public class DeviceFormTests
{
    private static readonly KeyValueElement[] _elements = Enum.GetValues<KeyValueElement>();
    private static readonly int[] _sizes = [1, 13, 33, 40, 72];

    /// <summary>The devices of a driver, and the emulator with the kernels of both kinds.</summary>
    public static TheoryData<string> Devices =>
        [.. Engines.WithOtherKernels((MethodInfo)MethodBase.GetCurrentMethod()!).Where(name => name is not ("reference" or "simd"))];

    [Theory]
    [MemberData(nameof(Devices))]
    public void Attention_over_every_form_agrees_with_the_definition(string name)
    {
        (Random random, int seed) = Seeded();
        using var device = new PlanDevice(name);
        foreach (KeyValueForm form in Forms(name, random))
        {
            int size = _sizes[random.Next(_sizes.Length)];
            (int headSize, int valueSize) = form.IsLatent ? (72, 64) : (size, _sizes[random.Next(_sizes.Length)]);
            ElementType element = random.Next(4) == 0 ? ElementType.Float16 : ElementType.Float32;
            var problem = new FormAttention(random, form, [(1, 33), (13, 13), (2, 1), (1, 0)], headSize, valueSize, element);
            problem.AssertAgrees(device, $"{name}, seed {seed}");
        }
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Rows_are_stored_behind_their_past_in_every_form(string name)
    {
        (Random random, int seed) = Seeded();
        using var device = new PlanDevice(name);
        foreach (KeyValueForm form in Forms(name, random).Select(form => form with { IsLatent = false }).Distinct())
        {
            for (int turn = 0; turn < 6; turn++)
                new FormAppend(random, form, 2 * random.Next(1, 40) + turn % 2).AssertAgrees(device, $"{name}, seed {seed}");
        }
    }

    // A driver compiles each form for seconds: it has one of each element type.
    private static IEnumerable<KeyValueForm> Forms(string name, Random random)
    {
        KeyValueForm[] all =
        [
            .. from element in _elements
               from rows in Enum.GetValues<KeyValueRows>()
               from isLatent in new[] { false, true }
               select new KeyValueForm(element, rows, isLatent),
        ];
        if (!Engines.IsDriver(name))
            return all;
        random.Shuffle(all);
        return all.DistinctBy(form => form.Element);
    }

    private static (Random Random, int Seed) Seeded()
    {
        int seed = Random.Shared.Next();
        return (new Random(seed), seed);
    }
}
