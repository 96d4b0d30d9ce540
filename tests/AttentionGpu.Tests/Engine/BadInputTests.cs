using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>Every kind of bad input has its one clear error, before anything is computed: outputs stay as they were.</summary>
public class BadInputTests
{
    private static readonly Dictionary<string, BadInput> _table = BadInputTable.All.Concat(BadVariantTable.All).ToDictionary(input => input.Name);

    public static TheoryData<string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (string name in _table.Keys)
            {
                foreach (string engine in Engines.All)
                    cases.Add(name, engine);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Bad_input_is_one_clear_error(string name, string engine)
    {
        BadInput input = _table[name];
        var outputs = new Outputs();
        Exception? exception = Record.Exception(() => input.Run(Engines.Get(engine), outputs));
        Assert.NotNull(exception);
        Assert.True(input.Type.IsInstanceOfType(exception), $"Expected {input.Type}, got {exception}");
        foreach (string part in input.Mentions)
            Assert.Contains(part, exception.Message, StringComparison.Ordinal);
        Assert.All(outputs.Tensors, tensor => Assert.All(Data.Flat(tensor), value => Assert.True(float.IsNaN(value), "The output was written.")));
    }
}

/// <summary>Poisoned outputs that a bad call must not touch.</summary>
internal sealed class Outputs
{
    public List<Tensor<float>> Tensors { get; } = [];

    public TensorSpan<float> Make(params ReadOnlySpan<nint> lengths)
    {
        Tensors.Add(Data.Poisoned(lengths));
        return Tensors[^1].AsTensorSpan();
    }
}

/// <summary>A bad call, the type of its error, and what the message must name.</summary>
internal sealed record BadInput(string Name, Type Type, string[] Mentions, Action<AttentionEngine, Outputs> Run);
