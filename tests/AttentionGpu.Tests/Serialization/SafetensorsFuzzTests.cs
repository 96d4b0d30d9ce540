using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Serialization;

public class SafetensorsFuzzTests
{
    private const int Files = 12_000;
    private const int MaxMutations = 4;

    /// <summary>
    /// Every mutated file either loads, within its own bytes, or is one clear error. Seeds are fresh; a failure names its own.
    /// </summary>
    [Fact]
    public void Mutated_files_never_crash_or_hang()
    {
        string path = Path.GetTempFileName();
        try
        {
            SafetensorsFile.Write(path, new Dictionary<string, Tensor<float>>
            {
                ["in_proj_weight"] = Data.Random(new Random(1), 12, 4),
                ["in_proj_bias"] = Data.Random(new Random(2), 12),
                ["out_proj.weight"] = Data.Random(new Random(3), 4, 4),
            });
            byte[] original = File.ReadAllBytes(path);
            int firstSeed = Environment.TickCount;
            int loaded = 0;
            int refused = 0;
            for (int i = 0; i < Files; i++)
            {
                int seed = unchecked(firstSeed + i);
                File.WriteAllBytes(path, Mutate(original, new Random(seed)));
                try
                {
                    Load(path);
                    loaded++;
                }
                catch (InvalidDataException)
                {
                    refused++;
                }
                catch (Exception exception)
                {
                    Assert.Fail($"Seed {seed}: {exception}");
                }
            }

            // Both must happen, or the mutations test nothing. A file is loaded where no name and no size has changed, one in a hundred.
            Assert.InRange(loaded, Files / 500, Files);
            Assert.InRange(refused, Files / 10, Files);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static void Load(string path)
    {
        using (SafetensorsFile file = SafetensorsFile.Open(path))
        {
            foreach (SafetensorsEntry entry in file.Entries.Values.Where(entry =>
                entry.Type is SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16 or SafetensorsType.F64))
            {
                Tensor<float> tensor = file.Read(entry.Name);
                Assert.InRange(tensor.FlattenedLength, 0, new FileInfo(path).Length);
            }
        }

        using MultiHeadAttention<float> layer = MultiHeadAttention.Load<float>(Engines.Reference, path, heads: 2);
    }

    private static byte[] Mutate(byte[] original, Random random)
    {
        List<byte> bytes = [.. original];
        int headerEnd = 8 + BitConverter.ToInt32(original);
        for (int mutation = random.Next(1, MaxMutations + 1); mutation > 0; mutation--)
        {
            // Mostly in the length and the header: the rest is numbers.
            int place = random.Next(random.Next(8) == 0 ? bytes.Count : Math.Min(headerEnd, bytes.Count));
            switch (random.Next(6))
            {
                case 0:
                    bytes[place] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[place] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes[place] = (byte)('0' + random.Next(10));
                    break;
                case 3:
                    bytes.Insert(place, (byte)random.Next(256));
                    break;
                case 4:
                    bytes.RemoveRange(place, Math.Min(random.Next(1, 20), bytes.Count - place));
                    break;
                default:
                    int count = Math.Min(random.Next(1, 20), bytes.Count - place);
                    bytes.InsertRange(random.Next(bytes.Count), bytes.GetRange(place, count));
                    break;
            }

            if (bytes.Count == 0)
                break;
        }

        return [.. bytes];
    }
}
