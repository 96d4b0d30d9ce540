using System.Numerics.Tensors;
using AttentionGpu.Serialization;

namespace AttentionGpu.Layers;

/// <summary>
/// Refuses a checkpoint with tensors of the layer that nobody reads: each may change the result. Buffers without influence are let through:
/// the tables of rotary embedding, which are computed anew (<c>rotary_emb.inv_freq</c>, <c>rotary_emb.original_inv_freq</c>,
/// <c>rotary_emb.cos_cached</c>, <c>rotary_emb.sin_cached</c>), and the causal mask of GPT-2 and GPT-J (<c>bias</c>, <c>masked_bias</c>),
/// which is an argument of a call.
/// </summary>
internal sealed class UnreadParameters(Checkpoint file, string prefix)
{
    private const int ShownNames = 10;

    private static readonly string[] _rotaryTables =
        ["rotary_emb.inv_freq", "rotary_emb.original_inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached"];

    /// <param name="read">The names that are read, behind the prefix.</param>
    /// <param name="options">What the caller says of the layer.</param>
    /// <exception cref="InvalidDataException">There are others.</exception>
    /// <exception cref="ArgumentException">The options say that there are no positions, and the file has tables of them.</exception>
    public void RequireNone(string[] read, MultiHeadAttentionLoadOptions options)
    {
        string[] unread =
        [
            .. file.Entries.Keys.Where(name => name.StartsWith(prefix, StringComparison.Ordinal))
                .Select(name => name[prefix.Length..])
                .Where(name => !read.Contains(name) && !IsWithoutInfluence(name))
                .Order(StringComparer.Ordinal),
        ];
        if (unread.Length > 0)
        {
            string names = string.Join(", ", unread.Take(ShownNames).Select(name => $"'{prefix}{Excerpt.Of(name)}'"));
            string more = unread.Length > ShownNames ? $" and {unread.Length - ShownNames} more" : "";
            string where = prefix.Length == 0
                ? "Without a prefix, the layer is the whole file."
                : $"All that starts with '{prefix}' is the layer's.";
            throw new InvalidDataException(
                $"'{file.Path}' holds what this layer does not apply, and its results would be wrong: {names}{more}. {where}");
        }

        if (options.Positions == LayerPositions.None
            && _rotaryTables.FirstOrDefault(name => file.Entries.ContainsKey(prefix + name)) is string table)
        {
            throw new ArgumentException(
                $"The option 'Positions' is None, but '{file.Path}' has '{prefix}{table}', a table of rotary embedding.", nameof(options));
        }
    }

    private bool IsWithoutInfluence(string name) => name switch
    {
        "masked_bias" => file.Entries[prefix + name].Lengths.All(length => length == 1),
        "bias" => IsCausalMask(file.Entries[prefix + name]),
        _ => _rotaryTables.Contains(name),
    };

    // [1, 1, length, length], with a number other than 0 where the key is not after the query. GPT-Neo has windows there, which do have
    // influence.
    private bool IsCausalMask(SafetensorsEntry entry)
    {
        if (entry.Lengths is not [1, 1, nint rows, nint columns] || rows != columns || rows == 0)
            return false;
        ReadOnlySpan<bool> visible = entry.Type switch
        {
            SafetensorsType.Bool or SafetensorsType.U8 => file.ReadBytes(entry.Name).Select(value => value != 0).ToArray(),
            SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16 => Flat(file.Read(entry.Name)),
            _ => [],
        };
        if (visible.IsEmpty)
            return false;
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<bool> keys = visible.Slice((int)(row * columns), (int)columns);
            if (keys[..(row + 1)].Contains(false) || keys[(row + 1)..].Contains(true))
                return false;
        }

        return true;
    }

    private static bool[] Flat(Tensor<float> tensor)
    {
        var values = new float[tensor.FlattenedLength];
        tensor.FlattenTo(values);
        return Array.ConvertAll(values, value => value != 0f);
    }
}
