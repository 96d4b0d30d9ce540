using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>ALiBi slopes and rotary tables of each batch entry: what each entry gives alone with its own.</summary>
public class EntryTableTests
{
    private const int Batch = 3;
    private const int Heads = 2;
    private const int Size = 8;
    private const int Tokens = 19;

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Each_entry_has_its_slopes(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        Tensor<float> rows = Data.Random(new Random(1), Batch, Heads, Tokens, Size);
        Tensor<float> slopes = Data.Random(new Random(2), Batch, Heads);
        Tensor<float> output = Run(engine, new AttentionInputs<float> { Query = rows, Key = rows, Value = rows, AlibiSlopes = slopes });
        using DeviceTensor<float> onDevice = engine.CreateTensor<float>(slopes);
        Tensor<float> ofDevice = Run(engine, new AttentionInputs<float> { Query = rows, Key = rows, Value = rows, AlibiSlopes = onDevice });
        Assert.Equal(Data.Flat(output), Data.Flat(ofDevice));
        for (int entry = 0; entry < Batch; entry++)
        {
            Tensor<float> own = Part(rows, entry);
            Tensor<float> ownSlopes = Tensor.Create(Data.Flat(slopes)[(entry * Heads)..((entry + 1) * Heads)], [Heads]);
            Tensor<float> expected = Run(
                engine, new AttentionInputs<float> { Query = own, Key = own, Value = own, AlibiSlopes = ownSlopes });
            Close.Assert(expected, Part(output, entry), $"entry {entry}");
        }
    }

    /// <summary>Behind a past, row 0 of an entry's table is that of its first new token.</summary>
    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Each_entry_has_its_rotary_tables(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        Tensor<float> rows = Data.Random(new Random(1), Batch, Heads, Tokens, Size);
        Tensor<float> past = Data.Random(new Random(2), Batch, Heads, 5, Size);
        Tensor<float> cosine = Data.Random(new Random(3), Batch, Tokens, 3);
        Tensor<float> sine = Data.Random(new Random(4), Batch, Tokens, 3);
        foreach (bool hasPast in new[] { false, true })
        {
            Tensor<float> output = Run(engine, Inputs(rows, hasPast ? past : null, cosine, sine, default));
            using DeviceTensor<float> cosineOnDevice = engine.CreateTensor<float>(cosine);
            using DeviceTensor<float> sineOnDevice = engine.CreateTensor<float>(sine);
            Tensor<float> ofDevice = Run(engine, Inputs(rows, hasPast ? past : null, cosineOnDevice, sineOnDevice, default));
            Assert.Equal(Data.Flat(output), Data.Flat(ofDevice));
            for (int entry = 0; entry < Batch; entry++)
            {
                Tensor<int> positions = Tensor.Create([.. Enumerable.Range(0, Tokens)], [1, Tokens]);
                Tensor<float> expected = Run(engine, Inputs(
                    Part(rows, entry), hasPast ? Part(past, entry) : null, Table(cosine, entry), Table(sine, entry),
                    positions.AsReadOnlyTensorSpan()));
                Close.Assert(expected, Part(output, entry), $"entry {entry}, past {hasPast}");
            }
        }
    }

    /// <summary>A batch axis of 1 is for all entries, as a table without the axis.</summary>
    [Theory]
    [EveryDevice]
    public void One_table_is_for_all_entries(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        Tensor<float> rows = Data.Random(new Random(1), Batch, Heads, Tokens, Size);
        Tensor<float> cosine = Data.Random(new Random(3), 1, Tokens, 4);
        Tensor<float> sine = Data.Random(new Random(4), 1, Tokens, 4);
        Tensor<float> output = Run(engine, Inputs(rows, null, cosine, sine, default));
        Assert.Equal(Data.Flat(Run(engine, Inputs(rows, null, Table(cosine, 0), Table(sine, 0), default))), Data.Flat(output));
    }

    /// <summary>The tokens of ragged sequences have a row each, whatever sequence they are in.</summary>
    [Theory]
    [EveryDevice]
    public void Ragged_tokens_have_a_row_each(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        int[] starts = [0, 7, 7, 15];
        Tensor<float> rows = Data.Random(new Random(1), Tokens, Heads, Size);
        Tensor<float> cosine = Data.Random(new Random(3), 1, Tokens, 4);
        Tensor<float> sine = Data.Random(new Random(4), 1, Tokens, 4);
        Tensor<int> positions = Tensor.Create([.. Enumerable.Range(0, Tokens)], [1, Tokens]);
        AttentionInputs<float> inputs = Inputs(rows, null, cosine, sine, default);
        inputs.CumulativeQueryLengths = starts;
        AttentionInputs<float> same = Inputs(rows, null, Table(cosine, 0), Table(sine, 0), positions.AsReadOnlyTensorSpan());
        same.CumulativeQueryLengths = starts;
        Assert.Equal(Data.Flat(Run(engine, same)), Data.Flat(Run(engine, inputs)));
    }

    private static AttentionInputs<float> Inputs(
        Tensor<float> rows, Tensor<float>? past, TensorInput<float> cosine, TensorInput<float> sine,
        ReadOnlyTensorSpan<int> positions) => new()
        {
            Query = rows,
            Key = rows,
            Value = rows,
            PastKey = past,
            PastValue = past,
            RotaryCosine = cosine,
            RotarySine = sine,
            QueryPositions = positions,
            KeyPositions = positions,
        };

    private static Tensor<float> Run(AttentionEngine engine, in AttentionInputs<float> inputs)
    {
        Tensor<float> output = Data.Poisoned(inputs.Query.Lengths);
        engine.ScaledDotProductAttention(inputs, new AttentionOutputs<float> { Output = output });
        return output;
    }

    private static Tensor<float> Part(Tensor<float> tensor, int entry) => tensor[entry..(entry + 1), .., .., ..].ToDenseTensor();

    private static Tensor<float> Table(Tensor<float> tables, int entry) =>
        Tensor.Create(Data.Flat(tables[entry..(entry + 1), .., ..].ToDenseTensor()), [tables.Lengths[1], tables.Lengths[2]]);
}
