namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>What devices make of counts, against figures that were worked out by hand.</summary>
public class GpuModelTests
{
    [Theory]
    [InlineData("A100", 96, 24576, 128, 5)]
    [InlineData("A100", 80, 24576, 128, 6)]
    [InlineData("RTX 4090", 96, 24576, 128, 4)]
    [InlineData("H100", 128, 49152, 128, 4)]
    [InlineData("H100", 129, 49152, 128, 3)]
    [InlineData("A10", 32, 0, 128, 12)]
    [InlineData("A10", 16, 0, 32, 16)]
    public void Groups_fit_by_registers_shared_memory_warps_and_their_own_number(
        string device, int registers, int sharedBytes, int threads, int groups) =>
        Assert.Equal(groups, Model(device).ResidentGroups(new SassResources(registers, 0, sharedBytes), threads));

    [Fact]
    public void The_busiest_pipe_bounds_a_kernel()
    {
        SassGraph graph = SassCountTests.Graph(
            """
                    /*0000*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
                    /*0010*/                   LDSM.16.M88.4 R8, [R2] ;
                    /*0020*/                   LDGSTS.E.BYPASS.128 [R3], [R6.64] ;
                    /*0030*/                   MUFU.EX2 R5, R5 ;
                    /*0040*/                   IMAD.MOV.U32 R5, RZ, RZ, R6 ;
                    /*0050*/                   LOP3.LUT R5, R5, R6, RZ, 0xc0, !PT ;
                    /*0060*/              @!PT LDS RZ, [RZ] ;
                    /*0070*/                   EXIT ;
            """);
        var count = new SassCount(graph.Blocks.Select(block => KeyValuePair.Create(block, 10L)));
        Assert.Equal(
            "tensor 80, special functions 80, multiply-adds 20, integers 20, issue 80, shared memory 320",
            string.Join(", ", Model("A100").Cycles(count).Select(pair => $"{pair.Key} {pair.Value}")));
        Assert.Equal((0.25, "shared memory"), Model("A100").Bound(count, 0));
        Assert.Equal((1.0, "tensor"), Model("RTX 4090").Bound(count, 0));
    }

    [Fact]
    public void The_assemblers_report_is_read()
    {
        const string report =
            "ptxas info    : Function properties for Kernel\n    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads\n"
            + "ptxas info    : Used 96 registers, 24576 bytes smem, 448 bytes cmem[0]\n";
        Assert.Equal(new SassResources(96, 28, 24576), SassResources.Parse(report));
        Assert.Throws<FormatException>(() => SassResources.Parse("ptxas fatal"));
    }

    private static GpuModel Model(string name) => GpuModel.All.Single(model => model.Name == name);
}
