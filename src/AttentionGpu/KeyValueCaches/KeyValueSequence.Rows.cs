using System.Numerics.Tensors;
using AttentionGpu.Elements;
using AttentionGpu.KeyValueCaches;
using AttentionGpu.KeyValues;
using AttentionGpu.Kernels.Common.Elements;
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
    /// <exception cref="InvalidOperationException">The sequence is spilled, or in a batch.</exception>
    /// <exception cref="ObjectDisposedException">The sequence, its cache or its engine is disposed.</exception>
    public void CopyTo(int layer, Tensor<float>? keys, Tensor<float>? values)
    {
        KeyValueCacheOptions options = Cache.Options;
        if (layer < 0 || layer >= options.Layers)
            throw BadInput.OutOfRange(nameof(layer), layer, $"'layer' must be 0 to {options.Layers - 1}; it is {layer}.");
        if (keys is not null)
            Copy(keys, nameof(keys), layer, options.HeadSize, options.HeadSize, ofValues: false);
        if (values is not null)
        {
            Copy(
                values, nameof(values), layer, options.ActualValueHeadSize,
                options.Form.StoredValueSize(options.HeadSize, options.ActualValueHeadSize), ofValues: true);
        }
    }

    private void Copy(Tensor<float> target, string name, int layer, int size, int storedSize, bool ofValues) => Cache.Change(
        this, (Target: target, Name: name, Layer: layer, Size: size, StoredSize: storedSize, OfValues: ofValues), static (sequence, call) =>
        {
            (int heads, int rows) = (sequence.Cache.Options.KeyValueHeads, sequence.ResidentLength);
            ShapeRules.Require(call.Target.Lengths, [heads, rows, call.Size], "[key/value heads, resident length, size]", call.Name);
            KeyValueElement element = sequence.Cache.Options.Element;
            bool hasScales = element.IsQuantised();
            int perTensor = hasScales ? 2 : 1;
            bool isSecond = call.OfValues && !sequence.Cache.Options.ValuesInKeys;
            int memory = (call.Layer * (sequence.Cache.Options.ValuesInKeys ? 1 : 2) + (isSecond ? 1 : 0)) * perTensor;
            int rowBytes = element.RowBytes(call.StoredSize);
            int scaleBytes = element.ScaleBytes(call.StoredSize);
            byte[] bytes = new byte[(long)heads * rows * rowBytes];
            byte[] scales = new byte[(long)heads * rows * scaleBytes];
            sequence.Cache.Rows.Download(memory, sequence.Pages, rows, bytes);
            if (hasScales)
                sequence.Cache.Rows.Download(memory + 1, sequence.Pages, rows, scales);
            float[] row = new float[call.Size];
            for (int head = 0; head < heads; head++)
            {
                for (int i = 0; i < rows; i++)
                {
                    int number = head * rows + i;
                    Decode(element, bytes.AsSpan(number * rowBytes, rowBytes), scales.AsSpan(number * scaleBytes, scaleBytes), row);
                    for (int e = 0; e < row.Length; e++)
                        call.Target[head, i, e] = row[e];
                }
            }

            return true;
        });

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
