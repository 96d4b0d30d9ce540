using AttentionGpu.Backends;
using AttentionGpu.Backends.Reference;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Engine;

/// <summary>Runs a plan on a backend and on the reference, with a workspace full of NaN, and compares what they write.</summary>
internal sealed class PlanComparison(IBackend backend) : IDisposable
{
    private readonly ReferenceBackend _reference = new();

    public void Dispose() => _reference.Dispose();

    /// <param name="signature">What is computed.</param>
    /// <param name="extent">The sizes.</param>
    /// <param name="bind">Makes the plan's memory from tensors; called once a backend.</param>
    /// <param name="outputs">Tensors of <paramref name="bind"/> that are written.</param>
    /// <param name="context">What to say where they differ.</param>
    public void AssertAgree<TSignature, TExtent, TBuffers>(
        TSignature signature, TExtent extent, Func<Func<PlanTensor, DeviceMemory>, TBuffers> bind, PlanTensor[] outputs, string context)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        PlanTensor[] expected = Run<TSignature, TExtent, TBuffers>(_reference, signature, extent, bind, outputs);
        PlanTensor[] actual = Run<TSignature, TExtent, TBuffers>(backend, signature, extent, bind, outputs);
        for (int i = 0; i < outputs.Length; i++)
        {
            (float[] want, float[] got) = (expected[i].ToSingles(), actual[i].ToSingles());
            for (int element = 0; element < want.Length; element++)
            {
                bool isSame = float.IsFinite(want[element])
                    ? Math.Abs(want[element] - got[element]) <= outputs[i].Tolerance * Math.Max(1f, Math.Abs(want[element]))
                    : want[element].Equals(got[element]) || (float.IsNaN(want[element]) && float.IsNaN(got[element]));
                Assert.True(isSame, $"{context}, {signature}: output {i}, element {element} is {got[element]}, expected {want[element]}.");
            }
        }
    }

    private static PlanTensor[] Run<TSignature, TExtent, TBuffers>(
        IBackend backend, TSignature signature, TExtent extent, Func<Func<PlanTensor, DeviceMemory>, TBuffers> bind, PlanTensor[] outputs)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        var memory = new Dictionary<PlanTensor, DeviceMemory>();
        TBuffers buffers = bind(Upload);
        IPlan<TExtent, TBuffers> plan = backend.Operators.Plan<TSignature, TExtent, TBuffers>(signature);
        long bytes = plan.WorkspaceBytes(extent);
        DeviceMemory workspace = bytes == 0 ? default : Upload(PlanTensor.Poisoned(ElementType.Float32, (bytes + 3) / 4));
        plan.Execute(extent, buffers, workspace);
        PlanTensor[] results = [.. outputs.Select(output =>
        {
            var result = new byte[output.Bytes.Length];
            backend.Memory.Download(memory[output], result);
            return output.With(result);
        })];
        foreach (DeviceMemory rented in memory.Values)
            backend.Memory.Return(rented);
        Assert.Equal(0, backend.Memory.BytesInUse);
        return results;

        DeviceMemory Upload(PlanTensor tensor)
        {
            if (!memory.TryGetValue(tensor, out DeviceMemory device))
            {
                memory.Add(tensor, device = backend.Memory.Rent(tensor.Bytes.Length));
                backend.Memory.Upload(tensor.Bytes, device);
            }

            return device;
        }
    }
}
