using System.Globalization;
using System.Text;
using AttentionGpu.Bench.Peers;
using SystemTensor = System.Numerics.Tensors.Tensor;

namespace AttentionGpu.Bench.Services;

/// <summary>What hostile clients send: made once, as the clients share the machine with the service.</summary>
internal sealed class HostileBodies
{
    public const string Json = "application/json";

    private const int HugeBytes = 15_000_000;
    private const int LongTokens = 4096;

    /// <summary>Bodies of 15 MB that take many times their size if they are read as a whole.</summary>
    public IReadOnlyList<(string ContentType, byte[] Body)> Huge { get; } =
    [
        (Json, Repeat("""{"input":[[1]""", ",[1]", "]}")),
        (Json, Repeat("""{"input":[[1""", ",1", "]]}")),
        (Json, Repeat("""{"layer":"ab""", "cdefghij", "\"}")),
        (Json, Repeat("{\"", "abcdefgh", "\":1}")),
        (Json, Repeat("[", "[", "")),
        (GoodClients.ContentType, File(Repeat("""{"input":{"dtype":"F32","shape":[1""", ",1", """],"data_offsets":[0,4]}}"""))),
        (GoodClients.ContentType, File(Tensors())),
        (GoodClients.ContentType, File(Repeat("{\"", "abcdefgh", "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"))),
    ];

    /// <summary>A good request of 4096 tokens.</summary>
    public byte[] Long { get; } = Sequence(LongTokens);

    /// <summary>A good request of 256 tokens.</summary>
    public byte[] Short { get; } = Sequence(256);

    /// <summary>A body with a few bytes changed, cut off, or nothing but noise.</summary>
    public byte[] Fuzzed(Random random)
    {
        byte[] body = [.. Short.AsSpan(0, random.Next(1, Short.Length))];
        for (int i = random.Next(0, 8); i >= 0; i--)
            body[random.Next(Math.Min(100, body.Length))] = (byte)random.Next(256);
        return body;
    }

    private static byte[] Sequence(nint tokens) => GoodClients.Write(
        SystemTensor.Create(Inputs.Random((int)tokens * GoodClients.Embedding, 1), [tokens, GoodClients.Embedding]));

    private static byte[] Repeat(string start, string part, string end)
    {
        var text = new StringBuilder(start, HugeBytes + 100);
        while (text.Length < HugeBytes)
            text.Append(part);
        return Encoding.ASCII.GetBytes(text.Append(end).ToString());
    }

    private static byte[] Tensors()
    {
        var text = new StringBuilder("""{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}""", HugeBytes + 100);
        for (int i = 0; text.Length < HugeBytes; i++)
            text.Append(CultureInfo.InvariantCulture, $$""","{{i}}":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}""");
        return Encoding.ASCII.GetBytes(text.Append('}').ToString());
    }

    private static byte[] File(byte[] header) => [.. BitConverter.GetBytes((long)header.Length), .. header, 0, 0, 0, 0];
}
