using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>Which keys a query may see by position alone.</summary>
public enum Causal
{
    /// <summary>All of them.</summary>
    None,

    /// <summary>
    /// Query i sees the keys of the past and then keys 0 to i: the diagonal starts at the top left. PyTorch's
    /// <c>scaled_dot_product_attention(is_causal=True)</c> and the ONNX <c>Attention</c> operator.
    /// </summary>
    TopLeft,

    /// <summary>
    /// The last query sees every key: the diagonal ends at the bottom right, as when the queries are the last positions of a longer
    /// sequence. FlashAttention's rule, and that of the ONNX operator with <c>nonpad_kv_seqlen</c>. The same as <see cref="TopLeft"/>
    /// where the
    /// lengths are equal.
    /// </summary>
    BottomRight,
}

/// <summary>Where a query stands among the keys.</summary>
public enum QueryAlignment
{
    /// <summary>Query i stands at key i, behind the past: the ONNX operator's rule.</summary>
    TopLeft,

    /// <summary>
    /// The last query stands at the last key: FlashAttention's rule, and that of the ONNX operator with <c>nonpad_kv_seqlen</c>.
    /// </summary>
    BottomRight,
}

/// <summary>
/// A sliding window: a query sees the keys near its own position. FlashAttention's <c>window_size</c>, the ONNX operator's
/// <c>left_window_size</c> and <c>right_window_size</c>. Blocks of keys outside of every window are not computed. At least one side must
/// be given; without a window, queries see the keys on both sides.
/// </summary>
public sealed record AttentionWindow
{
    /// <summary>Keys before its own position that a query sees; null for all. At least 0.</summary>
    public int? Left { get; init; }

    /// <summary>Keys after its own position that a query sees; null for all. At least 0.</summary>
    public int? Right { get; init; }

    /// <summary>Where queries stand among the keys.</summary>
    public QueryAlignment Alignment { get; init; }

    /// <exception cref="ArgumentException">A member is out of range, or no side is given.</exception>
    internal void Validate(string argument)
    {
        if (!Enum.IsDefined(Alignment))
            throw BadInput.OutOfRange(argument, Alignment, "The option 'Window.Alignment' must be one of its named values.");
        if (Left is < 0)
            throw BadInput.OutOfRange(argument, Left, "The option 'Window.Left' must be at least 0.");
        if (Right is < 0)
            throw BadInput.OutOfRange(argument, Right, "The option 'Window.Right' must be at least 0.");
        if (Left is null && Right is null)
        {
            throw BadInput.Because(
                argument, "The option 'Window' has neither 'Left' nor 'Right'; it must have one, or be left out where all keys are seen.");
        }
    }
}

/// <summary>The order of the axes of queries, keys, values and outputs.</summary>
public enum AttentionLayout
{
    /// <summary>[batch, heads, length, size]; [heads, length, size] for one batch entry, [length, size] for one head of one.</summary>
    BatchHeadsLength,

    /// <summary>[batch, length, heads, size], or [batch, length, heads x size].</summary>
    BatchLengthHeads,

    /// <summary>[length, batch, heads, size], or [length, batch, heads x size].</summary>
    LengthBatchHeads,
}

/// <summary>Settings of scaled dot-product attention that are not tensors.</summary>
public sealed record AttentionOptions
{
    /// <summary>What root-mean-square normalisation adds to the mean of squares by default.</summary>
    public const float DefaultNormEpsilon = 1e-6f;

    internal static AttentionOptions Default { get; } = new();

    /// <summary>The defaults of a call that appends to a cache: new tokens see those before them.</summary>
    internal static AttentionOptions CausalDefault { get; } = new() { Causal = Causal.BottomRight };

    /// <summary>What a dot product is multiplied by; null for 1 / sqrt(head size). Must be finite.</summary>
    public float? Scale { get; init; }

    /// <summary>Which keys a query may see by position alone.</summary>
    public Causal Causal { get; init; }

    /// <summary>
    /// How far a query sees to both sides; null for as far as there are keys. A key must be visible in the window and by
    /// <see cref="Causal"/>.
    /// </summary>
    public AttentionWindow? Window { get; init; }

    /// <summary>
    /// Scaled scores s become <c>c * tanh(s / c)</c> before anything is added to them; null for no cap. Finite and more than 0. Gemma 2's
    /// soft
    /// capping, the ONNX operator's <c>softcap</c>.
    /// </summary>
    public float? Softcap { get; init; }

    /// <summary>
    /// The order of the axes of queries, keys, values and outputs. Past and present have the order [batch, heads, length, size] always.
    /// </summary>
    public AttentionLayout Layout { get; init; }

    /// <summary>Query heads, where the query's last axis is heads x size; else null.</summary>
    public int? Heads { get; init; }

    /// <summary>Key/value heads, where the key's last axis is heads x size; null for as many as <see cref="Heads"/>.</summary>
    public int? KeyValueHeads { get; init; }

    /// <summary>What root-mean-square normalisation adds to the mean of squares. Finite, at least 0.</summary>
    public float NormEpsilon { get; init; } = DefaultNormEpsilon;

    /// <summary>
    /// Whether rotary embedding turns neighbouring elements (GPT-J; the ONNX operator <c>RotaryEmbedding</c> with <c>interleaved</c>),
    /// rather than
    /// elements half the rotary size apart (GPT-NeoX, Llama).
    /// </summary>
    public bool RotaryInterleaved { get; init; }

    /// <summary>
    /// Whether every query sees one more key, of zeros, whose value is zeros: <c>add_zero_attn</c> of PyTorch's
    /// <c>nn.MultiheadAttention</c>. The same output as sinks of 0; scores have a column for it, the last one.
    /// </summary>
    public bool AddZeroAttention { get; init; }

    /// <summary>
    /// Whether a request's results have the same bits alone and in any batch, dense, padded by key lengths or ragged, at any number of
    /// threads. Paths and splits are then chosen by the request's own query and key length alone, which costs time where there is little
    /// to share among threads. <see cref="AttentionEngineOptions.BatchInvariant"/> says it for all calls of an engine.
    /// </summary>
    /// <remarks>
    /// Of one device and one build, and of calls with the same features: masks and outputs that are asked for are part of a request.
    /// Requests of different query lengths are joined as ragged sequences, since rows that pad the queries are queries; keys may be padded
    /// where key lengths say so. On CUDA and the emulator 16-bit tensors over memory of the caller must start at a multiple of 16 bytes.
    /// </remarks>
    public bool BatchInvariant { get; init; }

    /// <summary>The changes of scores that need no tensor.</summary>
    internal ScoreVariants Variants => Softcap is null ? ScoreVariants.None : ScoreVariants.Softcap;

    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    internal void Validate()
    {
        if (Scale is float scale && !float.IsFinite(scale))
            throw Error(nameof(Scale), scale, "finite");
        if (!Enum.IsDefined(Causal))
            throw Error(nameof(Causal), Causal, "one of its named values");
        if (!Enum.IsDefined(Layout))
            throw Error(nameof(Layout), Layout, "one of its named values");
        Window?.Validate("options");
        if (Softcap is float cap && !(float.IsFinite(cap) && cap > 0f))
            throw Error(nameof(Softcap), cap, "finite and more than 0");
        if (Heads is < 1)
            throw Error(nameof(Heads), Heads, "at least 1");
        if (KeyValueHeads is < 1)
            throw Error(nameof(KeyValueHeads), KeyValueHeads, "at least 1");
        if (!(float.IsFinite(NormEpsilon) && NormEpsilon >= 0f))
            throw Error(nameof(NormEpsilon), NormEpsilon, "finite and at least 0");
    }

    private static ArgumentOutOfRangeException Error(string option, object? value, string rule) =>
        BadInput.OutOfRange("options", value, $"The option '{option}' must be {rule}.");
}
