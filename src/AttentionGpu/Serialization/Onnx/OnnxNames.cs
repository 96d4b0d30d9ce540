namespace AttentionGpu.Serialization.Onnx;

/// <summary>
/// Finds the names under which the Hub has the tensors of an ONNX model. Exporters keep the names of biases and lose those of matrices,
/// which they store transposed: a matrix gets the name of the bias that the graph adds to its product, and a bias without a name that of
/// its matrix. Matrices are [outputs, inputs], as linear layers of the Hub have them, by what the graph multiplies with them.
/// </summary>
internal sealed class OnnxNames
{
    // Behind a dot; behind an underscore in PyTorch's joined layers.
    private const string Weight = "weight";
    private const string Bias = "bias";

    // Operators that leave open how a matrix would be multiplied, because they do not multiply.
    private static readonly string[] _elementwise = ["Gather", "Shape", "Add", "Sub", "Mul", "Div"];

    // Operators on matrices of integers with scales, in the graphs of quantised models.
    private static readonly string[] _quantised =
    [
        "DynamicQuantizeLinear", "QuantizeLinear", "DequantizeLinear", "MatMulInteger", "QLinearMatMul", "com.microsoft.MatMulNBits",
        "com.microsoft.DynamicQuantizeMatMul", "com.microsoft.MatMulIntegerToFloat", "com.microsoft.QAttention", "com.microsoft.QGemm",
        "com.microsoft.MatMulBnb4",
    ];

    private readonly Dictionary<string, View> _views = new(StringComparer.Ordinal);
    private readonly Dictionary<string, View> _products = new(StringComparer.Ordinal);
    private readonly HashSet<string> _defined = new(StringComparer.Ordinal);
    private readonly Dictionary<string, OnnxMatrix> _named = new(StringComparer.Ordinal);

    private OnnxNames(OnnxGraph graph)
    {
        foreach (OnnxTensor tensor in graph.Tensors)
        {
            string name = tensor.Entry.Name;
            if (!_defined.Add(name))
                throw new InvalidDataException($"it has the tensor '{Excerpt.Of(name)}' twice");
            _views.Add(name, new View(new OnnxMatrix(tensor), name, IsTransposed: false));
        }

        _defined.UnionWith(graph.Inputs);
        foreach (OnnxNode node in graph.Nodes)
            Follow(node);
    }

    /// <summary>The tensors by their names, those of the file and those that the graph tells.</summary>
    /// <exception cref="InvalidDataException">
    /// A name is given twice; a node uses what no node before it makes, as in a circle; or the model is quantised.
    /// </exception>
    public static IReadOnlyDictionary<string, OnnxMatrix> Find(OnnxGraph graph)
    {
        var names = new OnnxNames(graph);
        foreach ((string name, View view) in names._views.Where(view => view.Key == view.Value.Name))
            names.Name(name, view.Stored);
        return names._named;
    }

    private void Follow(OnnxNode node)
    {
        if (_quantised.Contains(node.Type))
        {
            throw new InvalidDataException(
                $"it is a quantised model (by its node {node}), which is not read; give the model in float32, float16 or bfloat16");
        }

        foreach (string input in node.Inputs)
        {
            // An input without a name is left out.
            if (input.Length > 0 && !_defined.Contains(input))
            {
                throw new InvalidDataException(
                    $"its node {node} uses '{Excerpt.Of(input)}', which no node before it makes: nodes must be sorted and free of circles");
            }
        }

        switch (node)
        {
            case { Type: "Constant", Value: OnnxTensor value, Outputs: [string output, ..] }:
                value = value with { Entry = value.Entry with { Name = output } };
                _views.TryAdd(output, new View(new OnnxMatrix(value), output, IsTransposed: false));
                break;
            case { Type: "Identity", Inputs: [string input], Outputs: [string output] } when _views.TryGetValue(input, out View? view):
                // Of equal tensors exporters store one, and give it the others' names by such nodes.
                bool hasName = Is(output, Weight) || Is(output, Bias);
                _views.TryAdd(output, hasName ? view with { Name = output, Stored = new OnnxMatrix(view.Stored.Tensor) } : view);
                break;
            case { Type: "Cast", Inputs: [string input], Outputs: [string output] } when Find(input, rank: 1) is View vector:
                _views.TryAdd(output, vector);
                break;
            case { Type: "Identity" or "Cast", Inputs: [string input], Outputs: [string output] }
                when _products.TryGetValue(input, out View? made):
                // A bias may come behind a conversion of the product.
                _products.TryAdd(output, made);
                break;
            case { Type: "Transpose", Inputs: [string input], Outputs: [string output] } when Find(input, rank: 2) is View view:
                if (node.Permutation is [] or [1, 0] or [0, 1])
                    _views.TryAdd(output, view with { IsTransposed = view.IsTransposed != node.Permutation is not [0, 1] });
                break;
            case { Type: "MatMul", Inputs: [string left, string right], Outputs: [string output] }:
                Find(left, rank: 2)?.Stored.UseBy(node.Type);
                if (Find(right, rank: 2) is View matrix)
                    Multiply(matrix, isOutputsFirst: false, output);
                break;
            case { Type: "Gemm", Inputs: [string left, string right, ..], Outputs: [string output], IsScaled: false }:
                Find(left, rank: 2)?.Stored.UseBy(node.Type);
                if (Find(right, rank: 2) is View factor)
                    Multiply(factor, node.IsSecondTransposed, output);
                if (node.Inputs is [_, _, { Length: > 0 } bias] && _products.Remove(output, out View? product))
                    AddBias(product, bias);
                break;
            case { Type: "Add", Inputs: [string left, string right] }:
                AddBias(_products.GetValueOrDefault(left), right);
                AddBias(_products.GetValueOrDefault(right), left);
                break;
            default:
                foreach (View view in node.Inputs.Select(input => Find(input, rank: 2)).OfType<View>())
                {
                    if (!_elementwise.Contains(node.Type))
                        view.Stored.UseBy(node.Type);
                }

                break;
        }

        foreach (string output in node.Outputs)
        {
            if (output.Length > 0 && !_defined.Add(output))
                throw new InvalidDataException($"its node {node} makes '{Excerpt.Of(output)}', which is there already");
        }
    }

    private View? Find(string name, int rank) =>
        _views.TryGetValue(name, out View? view) && view.Stored.Tensor.Entry.Lengths.Count == rank
        && (rank == 1 || SafetensorsElements.IsFloat(view.Stored.Tensor.Entry.Type)) ? view : null;

    private void Multiply(View matrix, bool isOutputsFirst, string output)
    {
        matrix.Stored.UseAs(isOutputsFirst != matrix.IsTransposed);
        _products.TryAdd(output, matrix);
    }

    private void AddBias(View? product, string name)
    {
        if (product is null || !_views.TryGetValue(name, out View? bias))
            return;
        if (bias.Stored.Tensor.Entry.Lengths.Count != 1)
            product.Stored.UseBy("Add");
        else if (Is(product.Name, Weight))
            Name(product.Name[..^Weight.Length] + Bias, bias.Stored);
        else if (Is(bias.Name, Bias))
            Name(bias.Name[..^Bias.Length] + Weight, product.Stored);
    }

    private static bool Is(string name, string parameter) =>
        name.EndsWith(parameter, StringComparison.Ordinal) && name.Length > parameter.Length && name[^(parameter.Length + 1)] is '.' or '_';

    private void Name(string name, OnnxMatrix tensor)
    {
        if (!_named.TryAdd(name, tensor) && _named[name].Tensor != tensor.Tensor)
        {
            throw new InvalidDataException(
                $"its graph gives the name '{Excerpt.Of(name)}' to two tensors, '{Excerpt.Of(_named[name].Tensor.Entry.Name)}' and "
                + $"'{Excerpt.Of(tensor.Tensor.Entry.Name)}'");
        }
    }

    // A value of the graph that is a stored tensor, or one in the other order of axes.
    private sealed record View(OnnxMatrix Stored, string Name, bool IsTransposed);
}
