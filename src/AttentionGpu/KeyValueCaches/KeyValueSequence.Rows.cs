using System.Numerics.Tensors;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.KeyValueCaches;
using AttentionGpu.KeyValues;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>The rows that a sequence has, as numbers.</content>
public sealed partial class KeyValueSequence
{
    /// <summary>Copies the keys and values that the cache keeps of a layer to the host, as the numbers that attention reads.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="keys">[key/value heads, resident length, head size]; leave it out for none.</param>
    /// <param name="values">[key/value heads, resident length, value head size]; leave it out for none.</param>
    /// <exception cref="ArgumentException">A shape is wrong, or there is no such layer.</exception>
    /// <exception cref="InvalidOperationException">The sequence is in a batch.</exception>
    /// <exception cref="ObjectDisposedException">The sequence, its cache or its engine is disposed.</exception>
    public void CopyTo(int layer, Tensor<float>? keys, Tensor<float>? values)
    {
        KeyValueCacheOptions options = Cache.Options;
        if (layer < 0 || layer >= options.Layers)
            throw BadInput.OutOfRange(nameof(layer), layer, $"'layer' must be 0 to {options.Layers - 1}; it is {layer}.");
        HostRows rows = _spilled ?? Cache.Export(this);
        int perTensor = options.Element.IsQuantised() ? 2 : 1;
        int first = layer * perTensor * (options.ValuesInKeys ? 1 : 2);
        int valueSize = options.ActualValueHeadSize;
        if (keys is not null)
            Copy(rows, Cache, first, keys, nameof(keys), options.HeadSize, options.HeadSize);
        if (values is not null)
        {
            Copy(
                rows, Cache, options.ValuesInKeys ? first : first + perTensor, values, nameof(values), valueSize,
                options.Form.StoredValueSize(options.HeadSize, valueSize));
        }
    }

    private static void Copy(HostRows rows, KeyValueCache cache, int memory, Tensor<float> target, string name, int size, int storedSize)
    {
        KeyValueElement element = cache.Options.Element;
        ShapeRules.Require(
            target.Lengths, [cache.Options.KeyValueHeads, rows.Count, size], "[key/value heads, resident length, size]", name);
        (int rowBytes, int scaleBytes) = (element.RowBytes(storedSize), element.ScaleBytes(storedSize));
        byte[] bytes = rows.Memories[memory];
        byte[] scales = element.IsQuantised() ? rows.Memories[memory + 1] : [];
        float[] row = new float[size];
        for (int number = 0; number < cache.Options.KeyValueHeads * rows.Count; number++)
        {
            Decode(element, bytes.AsSpan(number * rowBytes, rowBytes), scales.AsSpan(number * scaleBytes, scaleBytes), row);
            for (int i = 0; i < size; i++)
                target[number / rows.Count, number % rows.Count, i] = row[i];
        }
    }

    private static unsafe void Decode(KeyValueElement element, ReadOnlySpan<byte> row, ReadOnlySpan<byte> scales, Span<float> target)
    {
        fixed (byte* bytes = row, ofScales = scales)
        {
            for (int i = 0; i < target.Length; i++)
            {
                target[i] = element switch
                {
                    KeyValueElement.Float32 => ((float*)bytes)[i],
                    KeyValueElement.Float16 => (float)((Half*)bytes)[i],
                    KeyValueElement.BFloat16 => ((BFloat16Element*)bytes)[i].ToSingle(),
                    _ => QuantisedRow.Decode(bytes, ofScales, element, i),
                };
            }
        }
    }
}
