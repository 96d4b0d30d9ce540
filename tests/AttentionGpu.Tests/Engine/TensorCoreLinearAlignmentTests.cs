using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>
/// Products of matrices that start anywhere, on tensor cores: each of them by itself. The interpreter refuses an access that is not aligned.
/// </summary>
public class TensorCoreLinearAlignmentTests
{
    private const int Matrices = 4;
    private const int Output = Matrices - 1;

    public static TheoryData<int, int> Starts
    {
        get
        {
            var starts = new TheoryData<int, int>();
            for (int matrix = 0; matrix < Matrices; matrix++)
            {
                foreach (int start in new[] { 0, 1, 4, 8 })
                    starts.Add(matrix, start);
            }

            return starts;
        }
    }

    [Theory]
    [MemberData(nameof(Starts))]
    public void Matrices_may_start_anywhere(int matrix, int start)
    {
        if (!Engines.All.Contains("ilgpu-cpu"))
            Assert.Skip("The texts run on the emulator's memory.");
        AttentionEngine engine = Engines.Get("ilgpu-cpu tensor cores");
        var random = new Random(matrix);
        foreach (int rows in new[] { 3, 20, 70 })
        {
            const int depth = 24;
            const int columns = 40;
            nint[][] lengths = [[rows, depth], [columns, depth], [columns], [rows, columns]];
            Tensor<Half>[] tensors = [.. lengths.Select(one => Halves(random, one))];
            Tensor<Half> expected = Tensor.CreateFromShape<Half>([rows, columns]);
            Engines.Reference.Linear<Half>(tensors[0], tensors[1], expected, tensors[2]);

            var wholes = new DeviceTensor<Half>[Matrices];
            var parts = new DeviceTensor<Half>[Matrices];
            for (int i = 0; i < Matrices; i++)
            {
                nint count = tensors[i].FlattenedLength;
                var all = new Half[count + 2 * SpaceOf(i)];
                Array.Fill(all, Half.NaN);
                if (i != Output)
                    Data.Flat(tensors[i]).CopyTo(all, SpaceOf(i));
                wholes[i] = engine.CreateTensor<Half>(Tensor.Create(all).AsReadOnlyTensorSpan());
                using DeviceTensor<Half> slice = wholes[i].Slice(SpaceOf(i), count);
                parts[i] = slice.Reshape(lengths[i]);
            }

            engine.Linear<Half>(parts[0], parts[1], parts[Output], parts[2]);
            Tensor<Half> result = Tensor.CreateFromShape<Half>(wholes[Output].Lengths);
            wholes[Output].CopyTo(result);
            int before = SpaceOf(Output);
            for (int i = 0; i < Data.Flat(result).Length; i++)
            {
                float actual = (float)Data.Flat(result)[i];
                if (i >= before && i < before + rows * columns)
                    Assert.Equal((float)Data.Flat(expected)[i - before], actual, 1e-2f);
                else
                    Assert.True(float.IsNaN(actual), $"Element {i} was written.");
            }

            Array.ForEach(parts, part => part.Dispose());
            Array.ForEach(wholes, whole => whole.Dispose());
        }

        int SpaceOf(int tensor) => tensor == matrix ? start : 0;
    }

    private static Tensor<Half> Halves(Random random, nint[] lengths)
    {
        Tensor<float> numbers = Data.Random(random, lengths);
        return Tensor.Create(Array.ConvertAll(Data.Flat(numbers), number => (Half)number), lengths);
    }
}
