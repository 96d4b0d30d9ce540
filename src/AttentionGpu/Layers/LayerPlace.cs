namespace AttentionGpu.Layers;

/// <summary>The order of the rows of queries, keys and values in one matrix.</summary>
internal enum JoinedOrder
{
    /// <summary>All queries, then all keys, then all values.</summary>
    Stacked,

    /// <summary>For each key/value head: the queries of its group, its key, its value.</summary>
    Grouped,
}

/// <summary>
/// The names of a layer's projections behind its prefix, without <c>.weight</c> and <c>.bias</c>. One that ends with a low line has it in
/// the place of the dot: PyTorch's <c>in_proj_weight</c>.
/// </summary>
internal sealed record ProjectionNames
{
    public string Query { get; init; } = "q_proj";

    public string Key { get; init; } = "k_proj";

    public string Value { get; init; } = "v_proj";

    public string Output { get; init; } = "out_proj";

    /// <summary>The one matrix of queries, keys and values; null where they are three.</summary>
    public string? Joined { get; init; }

    /// <summary>The order of its rows.</summary>
    public JoinedOrder Order { get; init; }

    /// <summary>Whether matrices are [columns, rows]: GPT-2's <c>Conv1D</c>.</summary>
    public bool IsTransposed { get; init; }

    /// <summary>Tensors below the prefix that belong to what follows attention, such as BERT's normalisation of the sum.</summary>
    public string[] Others { get; init; } = [];

    /// <summary>The projections that make queries, keys and values.</summary>
    public string[] Inputs => Joined is null ? [Query, Key, Value] : [Joined];

    /// <summary>The matrix of a projection.</summary>
    public static string Weight(string projection) => Parameter(projection, "weight");

    /// <summary>The bias of a projection.</summary>
    public static string Bias(string projection) => Parameter(projection, "bias");

    private static string Parameter(string projection, string name) =>
        projection.EndsWith('_') ? projection + name : $"{projection}.{name}";
}

/// <summary>Where a model has attention layers.</summary>
/// <param name="Stack">The part of the model.</param>
/// <param name="Before">What stands before a layer's number; more may stand before it, up to a dot.</param>
/// <param name="After">What stands behind the number.</param>
/// <param name="Names">The names of projections.</param>
internal sealed record LayerPlace(ModelStack Stack, string Before, string After, ProjectionNames Names)
{
    /// <summary>Whether keys and values come from the encoder.</summary>
    public bool IsCross { get; init; }

    /// <summary>Whether the model lets a token see only itself and those before.</summary>
    public bool IsCausal { get; init; }

    /// <summary>The member of <c>config.json</c> with the number of query heads: the first that is there.</summary>
    public string[] Heads { get; init; } = ["num_attention_heads"];

    /// <summary>The member with the number of key/value heads, if it is there.</summary>
    public string KeyValueHeads { get; init; } = "num_key_value_heads";

    /// <summary>
    /// The table of a bias by buckets of distances, behind the same name of the whole model, with N for the layer's number; null for none.
    /// </summary>
    public string? RelativeBias { get; init; }

    /// <summary>Whether there is one layer, whose prefix has no number.</summary>
    public bool IsSingle { get; init; }

    /// <summary>
    /// A name among those that stand before, of a part of a model whose other parts have layers with the same names; null where the names
    /// tell the parts.
    /// </summary>
    public string? Root { get; init; }

    /// <summary>Whether nothing stands before the names, not even the name of a whole model.</summary>
    public bool IsExact { get; init; }

    /// <summary>The first matrix of a layer, for messages.</summary>
    public string FirstTensor => $"{Pattern}{(Pattern.Length == 0 ? "" : ".")}{ProjectionNames.Weight(Names.Inputs[0])}";

    /// <summary>The prefix of a layer, for messages and documentation.</summary>
    public string Pattern => (Root is null ? "" : $"{Root}...") + NumberedName;

    /// <summary>The prefix of a layer behind the name of the whole model, with N for the number and without the final dot.</summary>
    public string NumberedName => string.Join('.', new[] { Before, IsSingle ? "" : "N", After }.Where(part => part.Length > 0));

    /// <summary>Reads a prefix of a layer of the place; null for one of another place.</summary>
    /// <param name="prefix">All that stands before the name of a projection, the final dot included.</param>
    /// <returns>
    /// The name of the whole model with its dot, or nothing; and the digits of the layer's number, 0 where there is one layer.
    /// </returns>
    public (string Model, string Number)? Match(ReadOnlySpan<char> prefix)
    {
        string after = Dotted(After);
        string before = Dotted(Before);
        if (!prefix.EndsWith(after, StringComparison.Ordinal))
            return null;
        ReadOnlySpan<char> rest = prefix[..^after.Length];
        ReadOnlySpan<char> number = "0";
        if (!IsSingle)
        {
            int dot = rest.Length - 1;
            int start = dot;
            while (start > 0 && char.IsAsciiDigit(rest[start - 1]))
                start--;
            if (dot <= start || rest[dot] != '.')
                return null;
            number = rest[start..dot];
            rest = rest[..start];
        }

        if (!rest.EndsWith(before, StringComparison.Ordinal))
            return null;
        string model = rest[..^before.Length].ToString();
        bool fits = model.Length == 0 || (!IsExact && model[^1] == '.');
        return fits && (Root is null || $".{model}".Contains($".{Root}.", StringComparison.Ordinal)) ? (model, number.ToString()) : null;
    }

    private static string Dotted(string name) => name.Length == 0 ? "" : $"{name}.";
}
