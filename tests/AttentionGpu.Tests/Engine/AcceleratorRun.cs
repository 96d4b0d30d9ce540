using System.Runtime.InteropServices;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>A computation of which the answer is known: over keys that are all 0, the output is the mean of the values.</summary>
internal static class AcceleratorRun
{
    private const int Keys = 3;

    private static readonly ContiguousProblem _problem = ContiguousProblem.Attention(heads: 1, queries: 1, keys: Keys, size: 1);

    public static void AssertComputes(AcceleratorBackend backend)
    {
        var buffers = new AttentionBuffers
        {
            Query = Upload(backend.Memory, 5f),
            Key = Upload(backend.Memory, 0f, 0f, 0f),
            Value = Upload(backend.Memory, 1f, 2f, 6f),
            Output = Upload(backend.Memory, float.NaN),
        };
        _problem.Run(backend, buffers);
        var output = new float[1];
        backend.Memory.Download(buffers.Output, MemoryMarshal.AsBytes(output.AsSpan()));
        Assert.Equal(3f, output[0], 1e-5f);
        foreach (DeviceMemory memory in new[] { buffers.Query, buffers.Key, buffers.Value, buffers.Output })
            backend.Memory.Return(memory);
    }

    /// <summary>Makes a plan whose kernel <see cref="AssertComputes"/> does not use.</summary>
    public static void PlanAnother(
        AcceleratorBackend backend, ScoreVariants variants = ScoreVariants.Softcap, CausalKind causal = CausalKind.None,
        bool hasWindow = false) =>
        backend.Operators.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(
            _problem.Signature with { Variants = variants, Causal = causal, HasWindow = hasWindow });

    private static DeviceMemory Upload(IDeviceMemory memory, params float[] values)
    {
        DeviceMemory device = memory.Rent(values.Length * sizeof(float));
        memory.Upload(MemoryMarshal.AsBytes(values.AsSpan()), device);
        return device;
    }
}
