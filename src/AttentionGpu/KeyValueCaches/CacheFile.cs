using System.Buffers.Binary;
using AttentionGpu.KeyValues;
using AttentionGpu.Serialization;

namespace AttentionGpu.KeyValueCaches;

/// <summary>
/// A sequence in the safetensors format. The tensor "sequence" has its numbers, see <see cref="Numbers"/>; each layer has "N.key" and
/// "N.value", [heads, rows, size], and "N.key_scales" and "N.value_scales" where they are quantised. Int4 elements are pairs in
/// U8.
/// </summary>
internal static class CacheFile
{
    private const string NumbersName = "sequence";
    private const int Version = 1;

    private static readonly string[] _numberNames =
    [
        "version", "length", "dropped rows", "layers", "key/value heads", "head size", "value head size", "element type", "values in keys",
    ];

    /// <summary>Writes a sequence's rows.</summary>
    public static void Write(Stream stream, KeyValueCache cache, HostRows rows)
    {
        long[] numbers = Numbers(cache.Options, rows.Length, rows.Dropped);
        (string, SafetensorsType, nint[])[] tensors = Tensors(cache, rows.Count);
        stream.Write(SafetensorsWriter.CreateHeader([(NumbersName, SafetensorsType.I64, [numbers.Length]), .. tensors]));
        byte[] bytes = new byte[numbers.Length * sizeof(long)];
        for (int i = 0; i < numbers.Length; i++)
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(i * sizeof(long)), numbers[i]);
        stream.Write(bytes);
        foreach (byte[] memory in rows.Memories)
            stream.Write(memory);
    }

    /// <summary>Reads a sequence's rows for a cache.</summary>
    /// <exception cref="InvalidDataException">There are none, or they do not fit.</exception>
    public static HostRows Read(Stream stream, KeyValueCache cache)
    {
        using SafetensorsFile file = SafetensorsFile.Open(stream);
        if (!file.Entries.ContainsKey(NumbersName))
            throw new InvalidDataException($"The file has no tensor '{NumbersName}': it is no sequence of a key/value cache.");
        long[] found = file.ReadInt64(NumbersName);
        if (found.Length != _numberNames.Length || found[0] != Version)
        {
            throw new InvalidDataException(
                $"The tensor '{NumbersName}' must have {_numberNames.Length} numbers, the first {Version}; "
                + $"it has {found.Length}, the first {(found.Length == 0 ? "none" : found[0])}.");
        }

        if (found[1] is < 0 or > int.MaxValue || found[2] < 0 || found[2] > found[1])
            throw new InvalidDataException($"The file has a sequence of {found[1]} rows without the first {found[2]}.");
        (int length, int dropped) = ((int)found[1], (int)found[2]);
        long[] needed = Numbers(cache.Options, length, dropped);
        for (int i = 0; i < needed.Length; i++)
        {
            if (found[i] != needed[i])
                throw new InvalidDataException($"The file's {_numberNames[i]} must be {needed[i]}, as the cache's; it is {found[i]}.");
        }

        if (cache.Misfit(length, dropped) is string reason)
            throw new InvalidDataException($"The cache cannot have the file's sequence: {reason}.");
        (string Name, SafetensorsType Type, nint[] Lengths)[] tensors = Tensors(cache, length - dropped);
        if (file.Entries.Keys.FirstOrDefault(name => name != NumbersName && !tensors.Any(tensor => tensor.Name == name)) is string unknown)
            throw new InvalidDataException($"The file has the tensor '{Excerpt.Of(unknown)}', which no sequence has.");
        return new HostRows(length, dropped, [.. tensors.Select(tensor => Read(file, tensor.Name, tensor.Type, tensor.Lengths))]);
    }

    private static byte[] Read(SafetensorsFile file, string name, SafetensorsType type, nint[] lengths)
    {
        if (!file.Entries.TryGetValue(name, out SafetensorsEntry? entry) || entry.Type != type || !entry.Lengths.SequenceEqual(lengths))
        {
            string state = entry is null ? "is missing" : $"is {entry.TypeName} [{string.Join(", ", entry.Lengths)}]";
            throw new InvalidDataException($"The tensor '{name}' must be {type} [{string.Join(", ", lengths)}]; it {state}.");
        }

        return file.ReadBytes(name);
    }

    private static long[] Numbers(KeyValueCacheOptions cache, int length, int dropped) =>
    [
        Version, length, dropped, cache.Layers, cache.KeyValueHeads, cache.HeadSize, cache.ActualValueHeadSize, (long)cache.Element,
        cache.ValuesInKeys ? 1 : 0,
    ];

    // In the order of the cache's memories.
    private static (string Name, SafetensorsType Type, nint[] Lengths)[] Tensors(KeyValueCache cache, int rows)
    {
        List<(string, SafetensorsType, nint[])> tensors = [];
        for (int layer = 0; layer < cache.Options.Layers; layer++)
        {
            Add($"{layer}.key", cache.Store.KeySize);
            if (!cache.Options.ValuesInKeys)
                Add($"{layer}.value", cache.Store.ValueSize);
        }

        return [.. tensors];

        void Add(string name, int size)
        {
            int heads = cache.Options.KeyValueHeads;
            tensors.Add(cache.Options.Element switch
            {
                KeyValueElement.Float32 => (name, SafetensorsType.F32, [heads, rows, size]),
                KeyValueElement.Float16 => (name, SafetensorsType.F16, [heads, rows, size]),
                KeyValueElement.BFloat16 => (name, SafetensorsType.BF16, [heads, rows, size]),
                KeyValueElement.Int8 => (name, SafetensorsType.I8, [heads, rows, size]),
                KeyValueElement.Float8E4M3 => (name, SafetensorsType.F8E4M3, [heads, rows, size]),
                KeyValueElement.Int4 => (name, SafetensorsType.U8, new nint[] { heads, rows, KeyValueElement.Int4.RowBytes(size) }),
                _ => throw KeyValueElements.Unknown(cache.Options.Element),
            });
            if (cache.Options.Element == KeyValueElement.Int4)
                tensors.Add(($"{name}_scales", SafetensorsType.F16, [heads, rows, KeyValueElements.Int4Groups(size)]));
            else if (cache.Options.Element.IsQuantised())
                tensors.Add(($"{name}_scales", SafetensorsType.F32, [heads, rows]));
        }
    }
}
