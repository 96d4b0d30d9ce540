using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention.Variants;

/// <summary>What a <see cref="KeyPaddingText"/> needs at a launch.</summary>
public struct KeyPaddingArguments
{
    /// <summary>The address of the bytes.</summary>
    public long Data;

    /// <summary>See <see cref="KeyPaddingMask.Pitch"/>.</summary>
    public int Pitch;
}

/// <summary><see cref="KeyPaddingMask"/>: a load of a byte and a comparison a key, a selection a score.</summary>
public sealed class KeyPaddingText : ScoreText
{
    private readonly KeyRow _row = new(sizeof(byte));
    private Predicate _isVisible;

    /// <inheritdoc/>
    public override void Start(ScorePlace place)
    {
        PtxParameter<KeyPaddingArguments> arguments = place.E.Parameter<KeyPaddingArguments>();
        _row.Start(
            place, arguments.Load((ref KeyPaddingArguments a) => ref a.Data),
            arguments.Load((ref KeyPaddingArguments a) => ref a.Pitch));
    }

    /// <inheritdoc/>
    public override void StartBlock(ScorePlace place) => _row.StartBlock(place);

    /// <inheritdoc/>
    public override void StartColumn(ScorePlace place, int column)
    {
        Word isPadding = place.E.Move((Word)0, place.E.New<Word>());
        using (place.WhereKeyExists(column))
        {
            place.E.LoadByte(_row.Address, column, isPadding);
        }

        _isVisible = place.E.Compare("eq", isPadding, 0);
    }

    /// <inheritdoc/>
    public override void Change(ScorePlace place, Score score) => score.Hide(_isVisible);
}

/// <summary>Elements of a batch entry's keys.</summary>
/// <param name="elementBytes">Bytes of an element.</param>
internal sealed class KeyRow(int elementBytes)
{
    private Wide _start;

    /// <summary>The address of the element of the thread's first key of the block.</summary>
    public Wide Address { get; private set; }

    public void Start(ScorePlace place, Wide data, Word pitch) => _start = place.E.Add(
        data, place.E.Multiply(place.E.MultiplyWide(place.Batch, pitch), elementBytes));

    public void StartBlock(ScorePlace place) =>
        Address = place.E.Add(_start, place.E.MultiplyWide(place.FirstKey, elementBytes));
}
