using System.Globalization;
using AttentionGpu.Layers;

namespace AttentionGpu.Models;

/// <summary>What a layer computes besides softmax(q k) v, in words.</summary>
internal static class VariantText
{
    public static string Of(MultiHeadAttentionConfig config, ModelFamily family, bool isCausal, bool hasRelativeBias)
    {
        string[] parts =
        [
            .. isCausal ? ["causal"] : Array.Empty<string>(),
            .. config.Rotary is RotaryEmbedding rotary ? [Rotary(rotary)] : Array.Empty<string>(),
            .. family.Alibi != AlibiKind.None ? ["ALiBi"] : Array.Empty<string>(),
            .. hasRelativeBias ? ["relative bias"] : Array.Empty<string>(),
            .. config.Window is AttentionWindow window ? [Window(window)] : Array.Empty<string>(),
            .. config.Scale is float scale ? [Text($"scale {scale}")] : Array.Empty<string>(),
            .. config.Softcap is float cap ? [Text($"softcap {cap}")] : Array.Empty<string>(),
            .. family.Norms != StoredNorms.None ? ["q and k norms"] : Array.Empty<string>(),
            .. family.HasSinks ? ["sinks"] : Array.Empty<string>(),
        ];
        return string.Join("; ", parts);
    }

    private static string Rotary(RotaryEmbedding rotary)
    {
        string size = rotary.Size is int elements ? Text($" of {elements} elements") : "";
        string pairs = rotary.Interleaved ? ", interleaved" : "";
        string scaling = rotary.Scaling is RotaryScaling scaled ? $", {scaled.Text}" : "";
        return Text($"rotary{size}, base {rotary.Base}{pairs}{scaling}");
    }

    private static string Window(AttentionWindow window) =>
        window.Right is int right ? Text($"window {window.Left} back, {right} ahead") : Text($"window {window.Left} back");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
