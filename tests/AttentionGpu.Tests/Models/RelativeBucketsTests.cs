using AttentionGpu.Layers;
using AttentionGpu.Tests.Torch;
using TorchSharp;

namespace AttentionGpu.Tests.Models;

/// <summary>T5's buckets of distances, against the operations of <c>T5Attention._relative_position_bucket</c> in libtorch.</summary>
[Trait("library", "libtorch")]
public class RelativeBucketsTests
{
    private const string Missing = "libtorch does not load on this system; tests/opencl-root has one where it does.";

    [Theory]
    [InlineData(32, 128, true)]
    [InlineData(32, 128, false)]
    [InlineData(64, 256, true)]
    [InlineData(8, 7, true)]
    [InlineData(8, 7, false)]
    public void Each_distance_has_the_bucket_of_libtorch(int buckets, int largest, bool toBothSides)
    {
        Assert.SkipUnless(TorchLibrary.IsAvailable, Missing);
        const int most = 1000;
        using torch.Tensor distances = torch.arange(-most, most + 1, dtype: torch.int64);
        int own = toBothSides ? buckets / 2 : buckets;
        int exact = own / 2;
        using torch.Tensor first = toBothSides ? (distances > 0).to(torch.int64) * own : torch.zeros_like(distances);
        using torch.Tensor steps = toBothSides ? distances.abs() : -torch.minimum(distances, torch.zeros_like(distances));
        using torch.Tensor share = torch.log(steps.to(torch.float32) / exact) / Math.Log((double)largest / exact) * (own - exact);
        using torch.Tensor far = torch.minimum(exact + share.to(torch.int64), torch.full_like(steps, own - 1));
        long[] expected = (first + torch.where(steps < exact, steps, far)).data<long>().ToArray();

        var made = new RelativeBuckets(buckets, largest, toBothSides);
        Assert.True(made.IsValid);
        Assert.Equal(expected, Enumerable.Range(-most, 2 * most + 1).Select(distance => (long)made.Bucket(distance)));
    }
}
