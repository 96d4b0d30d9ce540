using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention;

/// <summary>A batch entry's <see cref="Sequence"/> in registers, and the keys that its queries see: as the structs of <see cref="IKeyRange"/>.</summary>
public sealed class SequenceText
{
    private readonly PtxText _e;
    private readonly AttentionForm _form;
    private readonly PtxParameter<AttentionTextArguments> _arguments;
    private readonly Wide? _entry;

    /// <summary>Loads the fields, from the arguments or from the table.</summary>
    /// <param name="e">The text.</param>
    /// <param name="form">What is computed.</param>
    /// <param name="arguments">The kernel's sizes.</param>
    /// <param name="batch">The batch entry.</param>
    public SequenceText(PtxText e, AttentionForm form, PtxParameter<AttentionTextArguments> arguments, Word batch)
    {
        _e = e;
        _form = form;
        _arguments = arguments;
        if (form.HasSequences)
        {
            int bytes = System.Runtime.CompilerServices.Unsafe.SizeOf<Sequence>();
            _entry = e.Add(arguments.Load((ref AttentionTextArguments a) => ref a.Sequences), e.MultiplyWide(batch, bytes));
        }

        QueryStart = Load((ref Sequence s) => ref s.QueryStart);
        QueryLength = Load((ref Sequence s) => ref s.QueryLength);
        KeyStart = Load((ref Sequence s) => ref s.KeyStart);
        KeyLength = Load((ref Sequence s) => ref s.KeyLength);
        CausalOffset = Load((ref Sequence s) => ref s.CausalOffset);
        PrefixLength = Load((ref Sequence s) => ref s.PrefixLength);
        WindowOffset = Load((ref Sequence s) => ref s.WindowOffset);
        DistanceOffset = Load((ref Sequence s) => ref s.DistanceOffset);
    }

    /// <summary>See <see cref="Sequence.QueryStart"/>.</summary>
    public Word QueryStart { get; }

    /// <summary>See <see cref="Sequence.QueryLength"/>.</summary>
    public Word QueryLength { get; }

    /// <summary>See <see cref="Sequence.KeyStart"/>.</summary>
    public Word KeyStart { get; }

    /// <summary>See <see cref="Sequence.KeyLength"/>.</summary>
    public Word KeyLength { get; }

    /// <summary>See <see cref="Sequence.DistanceOffset"/>.</summary>
    public Word DistanceOffset { get; }

    private Word CausalOffset { get; }

    private Word PrefixLength { get; }

    private Word WindowOffset { get; }

    /// <summary>The first key that a query sees; null where it is 0 for all.</summary>
    public Word? FirstKey(Word query)
    {
        if (!_form.HasWindow)
            return null;
        Word left = _arguments.Load((ref AttentionTextArguments a) => ref a.Window.Left);
        return _e.Max(_e.Subtract(_e.Add(query, WindowOffset), left), 0);
    }

    /// <summary>The key after the last that a query sees.</summary>
    public Word EndKey(Word query)
    {
        Word end = KeyLength;
        if (_form.IsCausal)
        {
            end = _e.Max(_e.Min(end, _e.Add(_e.Add(query, CausalOffset), 1)), 0);
            if (_form.HasPrefix)
                end = _e.Max(end, _e.Min(PrefixLength, KeyLength));
        }

        if (!_form.HasWindow)
            return end;
        Word right = _arguments.Load((ref AttentionTextArguments a) => ref a.Window.Right);
        return _e.Max(_e.Min(end, _e.Add(_e.Add(_e.Add(query, WindowOffset), right), 1)), 0);
    }

    /// <summary>Whether all queries see the same keys.</summary>
    public bool IsSameForAll => !_form.IsCausal && !_form.HasWindow;

    private Word Load(PtxField<Sequence, int> field) => _entry is { } entry
        ? _e.LoadWord(entry, PtxParameter.Offset(field))
        : _arguments.Load((ref AttentionTextArguments a) => ref field(ref a.Attention.Sequence));
}
