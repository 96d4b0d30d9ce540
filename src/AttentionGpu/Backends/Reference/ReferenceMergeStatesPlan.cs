using AttentionGpu.Backends.Host;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Joins attention over parts of the keys in float64.</summary>
internal sealed class ReferenceMergeStatesPlan(MergeStatesSignature signature) : IPlan<MergeStatesExtent, MergeStatesBuffers>
{
    public long WorkspaceBytes(in MergeStatesExtent extent) => 0;

    public unsafe void Execute(in MergeStatesExtent extent, in MergeStatesBuffers buffers, DeviceMemory workspace)
    {
        var outputs = new ElementAccess(buffers.Outputs, signature.Element);
        var output = new ElementAccess(buffers.Output, signature.Element);
        float* sums = buffers.LogSumExps.Pointer<float>();
        for (long row = 0; row < extent.Rows; row++)
        {
            (int batch, int head, int query) = extent.Place(row);
            long sum = extent.LogSumExp.Offset(batch, head, query);
            var merged = MergedRow.Of(extent, sums + sum);
            long first = extent.Output.Offset(batch, head, query);
            for (int i = 0; i < signature.ValueHeadSize; i++)
            {
                double mean = 0.0;
                for (int part = 0; part < extent.Parts; part++)
                {
                    // A part in which the row sees no key takes no part, whatever stands there.
                    double weight = merged.Weight(sums[sum + part * extent.Rows]);
                    if (weight != 0.0)
                        mean += weight * outputs[part * extent.Rows * signature.ValueHeadSize + first + i];
                }

                output[first + i] = mean;
            }

            if (signature.HasLogSumExp)
                buffers.LogSumExp.Pointer<float>()[sum] = (float)merged.LogSumExp;
        }
    }
}
