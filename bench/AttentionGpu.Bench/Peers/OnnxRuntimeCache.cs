using System.Runtime.InteropServices;
using AttentionGpu.Cli.Bench;
using AttentionGpu.KeyValues;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace AttentionGpu.Bench.Peers;

/// <summary>
/// The keys and values of <see cref="DecodeSteps"/> as ONNX Runtime's <c>GroupQueryAttention</c> stores them, [set][head][row][size] with
/// room for the new row: float32, int8, or int4 as unsigned numbers with 8 added, the even element in the lower half. One scale for all.
/// </summary>
internal sealed unsafe class OnnxRuntimeCache : IDisposable
{
    private readonly DecodeSettings _settings;
    private readonly byte* _keys;
    private readonly byte* _values;
    private readonly long _setBytes;

    /// <param name="settings">The step, of one sequence.</param>
    /// <param name="steps">What it has in our cache.</param>
    public OnnxRuntimeCache(DecodeSettings settings, DecodeSteps steps)
    {
        _settings = settings;
        Sets = steps.Sets;
        _setBytes = (long)settings.KeyValueHeads * settings.Capacity * RowBytes;
        _keys = Create(steps.FilledKeys);
        _values = Create(steps.FilledValues);
    }

    /// <summary>Whether the operator has a cache of an element type on the processor.</summary>
    public static bool Has(KeyValueElement element) =>
        element is KeyValueElement.Float32 or KeyValueElement.Int8 or KeyValueElement.Int4;

    public int Sets { get; }

    /// <summary>The type of the tensors.</summary>
    public Type Element => _settings.Element switch
    {
        KeyValueElement.Float32 => typeof(float),
        KeyValueElement.Int8 => typeof(sbyte),
        KeyValueElement.Int4 => typeof(byte),
        _ => throw new ArgumentException($"The operator has no cache of {_settings.Element}."),
    };

    /// <summary>[1, key/value heads, capacity, stored size].</summary>
    public nint[] Lengths => [1, _settings.KeyValueHeads, _settings.Capacity, RowBytes / Marshal.SizeOf(Element)];

    private int RowBytes => _settings.Element.RowBytes(_settings.HeadSize);

    /// <summary>The keys of a set.</summary>
    public OrtValue Keys(int set) => Tensor(_keys + (set * _setBytes));

    /// <summary>The values of a set.</summary>
    public OrtValue Values(int set) => Tensor(_values + (set * _setBytes));

    public void Dispose()
    {
        NativeMemory.AlignedFree(_keys);
        NativeMemory.AlignedFree(_values);
    }

    private OrtValue Tensor(byte* address) => OrtValue.CreateTensorValueWithData(
        OrtMemoryInfo.DefaultInstance,
        Element == typeof(float) ? TensorElementType.Float : Element == typeof(sbyte) ? TensorElementType.Int8 : TensorElementType.UInt8,
        Array.ConvertAll(Lengths, length => (long)length), (nint)address, _setBytes);

    private byte* Create(float[] rows)
    {
        var memory = (byte*)NativeMemory.AlignedAlloc((nuint)(Sets * _setBytes), 64);
        for (int head = 0; head < _settings.KeyValueHeads; head++)
        {
            for (int row = 0; row < _settings.Capacity; row++)
            {
                Store(
                    rows.AsSpan((((row % DecodeSteps.Period) * _settings.KeyValueHeads) + head) * _settings.HeadSize, _settings.HeadSize),
                    memory + ((((long)head * _settings.Capacity) + row) * RowBytes));
            }
        }

        for (int set = 1; set < Sets; set++)
            NativeMemory.Copy(memory, memory + (set * _setBytes), (nuint)_setBytes);
        return memory;
    }

    private void Store(ReadOnlySpan<float> row, byte* target)
    {
        if (_settings.Element == KeyValueElement.Float32)
        {
            row.CopyTo(new Span<float>(target, row.Length));
            return;
        }

        new Span<byte>(target, RowBytes).Clear();
        for (int i = 0; i < row.Length; i++)
        {
            if (_settings.Element == KeyValueElement.Int8)
                ((sbyte*)target)[i] = (sbyte)(row[i] / DecodeSteps.Int8Step);
            else
                target[i / 2] |= (byte)((int)(row[i] / DecodeSteps.Int4Step) + 8 << (i % 2 * 4));
        }
    }
}
