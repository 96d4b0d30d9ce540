using System.Numerics.Tensors;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Stored;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.KeyValues;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// The products of a few rows with a step's keys and values, which are widened in registers as they are read. Where the rows are many,
/// each of their tiles would widen them again: they are converted once then, to the thread's room, and so are rows with codes that do not
/// widen.
/// </summary>
internal readonly unsafe struct StoredProducts<TVector, TOperations>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // Keys or values of a step, which come to L1 for all rows. A step of fewer rows reads and writes the sums more often.
    private const int StepBytes = 16 << 10;

    // Most keys or values of a step, and of one that is always converted first: they come to L1 for the first rows, before the next ones
    // take them. A step is converted for its special codes too, which are rare. Sums of more values at once would be less exact.
    private const int MaxStep = 128;
    private const int MaxConvertedStep = 32;

    private const int MinStep = 8;
    private const int MostRowsInRegisters = 8;

    private readonly KeyValueElement _element;
    private readonly int _size;
    private readonly int _groups;
    private readonly int _rows;
    private readonly float* _scales;
    private readonly float* _tile;
    private readonly float* _converted;

    /// <param name="element">How the keys, or the values, are stored.</param>
    /// <param name="size">Elements of a row.</param>
    /// <param name="rows">The few rows.</param>
    /// <param name="memory">Memory of <see cref="RoomSize"/>.</param>
    public StoredProducts(KeyValueElement element, int size, int rows, float* memory)
    {
        _element = element;
        _size = size;
        _rows = rows;
        int most = element != KeyValueElement.Float32 && rows > MostRowsInRegisters ? MaxConvertedStep : MaxStep;

        // Rows that are read in order need not be in L1 together.
        bool isInOrder = WeightTile<TVector, TOperations>.ReadsWholeRows(rows)
            && element is KeyValueElement.Float32 or KeyValueElement.BFloat16;
        Step = isInOrder ? MaxStep : Math.Clamp(StepBytes / element.RowBytes(size), MinStep, most) / MinStep * MinStep;
        _groups = element == KeyValueElement.Int4 ? KeyValueElements.Int4Groups(size) : 0;
        _scales = memory;
        _tile = _scales + ScaleFloats(element, size);
        _converted = _tile + WeightTile<TVector, TOperations>.RoomSize(rows, MaxStep);
    }

    /// <summary>Floats of memory for most rows.</summary>
    public static long RoomSize(KeyValueElement element, int size, int rows) =>
        ScaleFloats(element, size) + WeightTile<TVector, TOperations>.RoomSize(rows, MaxStep)
        + (element == KeyValueElement.Float32 ? 0 : (long)MaxStep * size);

    /// <summary>
    /// What queries, and weights, are to be multiplied by beforehand: elements are read as their value divided by it, so that reading them
    /// takes no multiplication. A power of two, so that products are exactly the same; what it makes infinite is doubtful.
    /// </summary>
    public static float Factor(KeyValueElement element) =>
        element == KeyValueElement.Float16 ? HalfElements<TVector, TOperations>.Factor : 1f;

    /// <summary>Keys or values of a step: a multiple of 8.</summary>
    public int Step { get; }

    /// <summary><c>scores[i, j] = queries[i] . keys[j]</c>.</summary>
    public void Score(float* queries, in StoredRows keys, in StoredRows ahead, float* scores, nint scoreStride)
    {
        switch (Element(keys))
        {
            case KeyValueElement.Float32:
                Score<SingleElements<TVector, TOperations>>(queries, keys, ahead, scores, scoreStride);
                break;
            case KeyValueElement.Float16:
                Score<HalfElements<TVector, TOperations>>(queries, keys, ahead, scores, scoreStride);
                break;
            case KeyValueElement.BFloat16:
                Score<BFloat16Elements<TVector, TOperations>>(queries, keys, ahead, scores, scoreStride);
                break;
            case KeyValueElement.Int8:
                Score<Int8Elements<TVector, TOperations>>(queries, keys, ahead, scores, scoreStride);
                break;
            case KeyValueElement.Int4:
                Score<Int4Elements<TVector, TOperations>>(queries, keys, ahead, scores, scoreStride);
                break;
            case KeyValueElement.Float8E4M3:
                Score<Float8Elements<TVector, TOperations>>(queries, keys, ahead, scores, scoreStride);
                break;
            default:
                Score<SingleElements<TVector, TOperations>>(queries, Converted(keys), ahead, scores, scoreStride);
                break;
        }
    }

    /// <summary><c>sums[i] += sum over j of weights[i, j] * values[j]</c>; weights are not kept.</summary>
    public void AddValues(float* weights, nint weightStride, in StoredRows values, in StoredRows ahead, float* sums, nint sumsStride)
    {
        switch (Element(values))
        {
            case KeyValueElement.Float32:
                Add<SingleElements<TVector, TOperations>>(weights, weightStride, values, ahead, sums, sumsStride);
                break;
            case KeyValueElement.Float16:
                Add<HalfElements<TVector, TOperations>>(weights, weightStride, values, ahead, sums, sumsStride);
                break;
            case KeyValueElement.BFloat16:
                Add<BFloat16Elements<TVector, TOperations>>(weights, weightStride, values, ahead, sums, sumsStride);
                break;
            case KeyValueElement.Int8:
                Add<Int8Elements<TVector, TOperations>>(weights, weightStride, values, ahead, sums, sumsStride);
                break;
            case KeyValueElement.Int4:
                Add<Int4Elements<TVector, TOperations>>(weights, weightStride, values, ahead, sums, sumsStride);
                break;
            case KeyValueElement.Float8E4M3:
                Add<Float8Elements<TVector, TOperations>>(weights, weightStride, values, ahead, sums, sumsStride);
                break;
            default:
                Add<SingleElements<TVector, TOperations>>(weights, weightStride, Converted(values), ahead, sums, sumsStride);
                break;
        }
    }

    private static int ScaleFloats(KeyValueElement element, int size) =>
        element == KeyValueElement.Int4 ? 2 * MaxStep * KeyValueElements.Int4Groups(size) : 0;

    private void Score<TStored>(float* queries, in StoredRows keys, in StoredRows ahead, float* scores, nint scoreStride)
        where TStored : struct, IStoredElements<TVector> =>
        DotTile<TVector, TOperations>.Multiply<TStored>(
            queries, _rows, _size, keys, Scales<TStored>(keys, byGroup: false), ahead, scores, scoreStride);

    private void Add<TStored>(float* weights, nint weightStride, in StoredRows values, in StoredRows ahead, float* sums, nint sumsStride)
        where TStored : struct, IStoredElements<TVector> =>
        WeightTile<TVector, TOperations>.Add<TStored>(
            weights, weightStride, _rows, _size, values, Scales<TStored>(values, byGroup: true), ahead, sums, sumsStride, _tile);

    // How rows are read; null where they are converted.
    private KeyValueElement? Element(in StoredRows rows)
    {
        if (_element == KeyValueElement.Float32)
            return _element;
        if (_rows > MostRowsInRegisters)
            return null;
        if (_element is KeyValueElement.Float16 or KeyValueElement.Float8E4M3)
        {
            bool areTogether = rows.Stride == rows.Bytes;
            int count = areTogether ? 1 : rows.Count;
            for (int i = 0; i < count; i++)
            {
                if (SpecialCodes.AreIn(_element, rows.First + i * rows.Stride, areTogether ? rows.Count * _size : _size))
                    return null;
            }
        }

        return _element;
    }

    private StoredRows Converted(in StoredRows rows)
    {
        StoredConversion.Load(rows, _element, _size, _converted);
        float factor = Factor(_element);
        if (factor != 1f)
        {
            var floats = new Span<float>(_converted, rows.Count * _size);
            TensorPrimitives.Multiply(floats, 1f / factor, floats);
        }

        return new StoredRows { First = (byte*)_converted, Stride = _size * sizeof(float), Count = rows.Count };
    }

    // Those of groups by row and then group; or by group and then row, so that a group's are a vector.
    private RowScales Scales<TStored>(in StoredRows rows, bool byGroup)
        where TStored : struct, IStoredElements<TVector>
    {
        if (TStored.HasRowScale)
            return new RowScales((float*)rows.Scales, rows.ScaleStride / sizeof(float), 0);
        if (TStored.GroupSize == int.MaxValue)
            return default;
        float* byRow = byGroup ? _scales + MaxStep * _groups : _scales;
        if (rows.ScaleStride == _groups * sizeof(ushort))
        {
            ElementRows.Load(rows.Scales, ElementType.Float16, byRow, rows.Count * _groups);
        }
        else
        {
            for (int i = 0; i < rows.Count; i++)
                ElementRows.Load(rows.Scales + i * rows.ScaleStride, ElementType.Float16, byRow + i * _groups, _groups);
        }

        if (!byGroup)
            return new RowScales(byRow, _groups, 1);
        Transpose(byRow, rows.Count);
        return new RowScales(_scales, 1, MaxStep);
    }

    private void Transpose(float* byRow, int rows)
    {
        int wholeRows = rows / Transpose4.Size * Transpose4.Size;
        int wholeGroups = _groups / Transpose4.Size * Transpose4.Size;
        for (int group = 0; group < wholeGroups; group += Transpose4.Size)
        {
            float* target = _scales + group * MaxStep;
            for (int i = 0; i < wholeRows; i += Transpose4.Size)
            {
                float* source = byRow + i * _groups + group;
                Transpose4.Store(
                    Vector128.Load(source), Vector128.Load(source + _groups), Vector128.Load(source + 2 * _groups),
                    Vector128.Load(source + 3 * _groups), target + i, target + MaxStep + i, target + 2 * MaxStep + i,
                    target + 3 * MaxStep + i);
            }
        }

        for (int group = 0; group < _groups; group++)
        {
            for (int i = group < wholeGroups ? wholeRows : 0; i < rows; i++)
                _scales[group * MaxStep + i] = byRow[i * _groups + group];
        }
    }
}
