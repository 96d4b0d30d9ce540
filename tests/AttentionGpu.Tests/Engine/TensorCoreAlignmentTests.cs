using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>
/// Rows that start anywhere, on tensor cores: each tensor by itself has an odd address, an odd stride, or neither. The interpreter refuses
/// an access that is not aligned.
/// </summary>
public class TensorCoreAlignmentTests
{
    private const int Tensors = 4;
    private const int Heads = 2;
    private const int Length = 9;
    private const int Size = 16;

    public static TheoryData<int, int, int> Places
    {
        get
        {
            var places = new TheoryData<int, int, int>();
            for (int tensor = 0; tensor < Tensors; tensor++)
            {
                places.Add(tensor, 0, Size);
                places.Add(tensor, 1, Size + 8);
                places.Add(tensor, 4, Size + 8);
                places.Add(tensor, 8, Size + 8);
                places.Add(tensor, 0, Size + 1);
                places.Add(tensor, 0, Size + 4);
            }

            return places;
        }
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void Rows_may_start_anywhere(int tensor, int start, int stride)
    {
        if (!Engines.All.Contains("ilgpu-cpu"))
            Assert.Skip("The texts run on the emulator's memory.");
        AttentionEngine engine = Engines.Get("ilgpu-cpu tensor cores");
        var random = new Random(tensor);
        Tensor<Half>[] inputs = [.. Enumerable.Range(0, Tensors - 1).Select(_ => Halves(random))];
        Tensor<Half> expected = Tensor.CreateFromShape<Half>([1, Heads, Length, Size]);
        Engines.Reference.ScaledDotProductAttention<Half>(inputs[0], inputs[1], inputs[2], expected);

        var wholes = new DeviceTensor<Half>[Tensors];
        var parts = new DeviceTensor<Half>[Tensors];
        for (int i = 0; i < Tensors; i++)
        {
            (int first, int pitch) = i == tensor ? (start, stride) : (0, Size);
            wholes[i] = engine.CreateTensor(Spread(i < Tensors - 1 ? inputs[i] : null, first, pitch).AsReadOnlyTensorSpan());
            parts[i] = wholes[i].Slice(first, Size, axis: 3);
        }

        engine.ScaledDotProductAttention(
            new AttentionInputs<Half> { Query = parts[0], Key = parts[1], Value = parts[2] },
            new AttentionOutputs<Half> { Output = parts[3] });
        Tensor<Half> all = Tensor.CreateFromShape<Half>(wholes[3].Lengths);
        wholes[3].CopyTo(all);
        (int outputStart, int outputStride) = tensor == Tensors - 1 ? (start, stride) : (0, Size);
        for (int i = 0; i < Heads * Length * outputStride; i++)
        {
            int column = i % outputStride - outputStart;
            if (column is >= 0 and < Size)
                Assert.Equal((float)Data.Flat(expected)[i / outputStride * Size + column], (float)Data.Flat(all)[i], 2e-3f);
            else
                Assert.True(Half.IsNaN(Data.Flat(all)[i]), $"Element {i} was written.");
        }

        Array.ForEach(parts, part => part.Dispose());
        Array.ForEach(wholes, whole => whole.Dispose());
    }

    // Rows with NaN around them.
    private static Tensor<Half> Spread(Tensor<Half>? rows, int start, int stride)
    {
        var all = new Half[Heads * Length * stride];
        Array.Fill(all, Half.NaN);
        for (int row = 0; rows is not null && row < Heads * Length; row++)
            Array.Copy(Data.Flat(rows), row * Size, all, row * stride + start, Size);
        return Tensor.Create(all, [1, Heads, Length, stride]);
    }

    private static Tensor<Half> Halves(Random random)
    {
        Tensor<float> numbers = Data.Random(random, 1, Heads, Length, Size);
        return Tensor.Create(Array.ConvertAll(Data.Flat(numbers), number => (Half)number), numbers.Lengths);
    }
}
