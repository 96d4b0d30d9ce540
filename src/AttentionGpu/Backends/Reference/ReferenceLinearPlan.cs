using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>A linear layer in float64.</summary>
internal sealed class ReferenceLinearPlan(LinearSignature signature) : IPlan<LinearExtent, LinearBuffers>
{
    public long WorkspaceBytes(in LinearExtent extent) => 0;

    public void Execute(in LinearExtent extent, in LinearBuffers buffers, DeviceMemory workspace)
    {
        var input = new ElementAccess(buffers.Input, signature.Element);
        var weight = new ElementAccess(buffers.Weight, signature.Element);
        var bias = new ElementAccess(buffers.Bias, signature.Element);
        var output = new ElementAccess(buffers.Output, signature.Element);
        for (int row = 0; row < extent.Rows; row++)
        {
            long inputRow = (long)row * signature.Depth;
            for (int column = 0; column < signature.Columns; column++)
            {
                long weightRow = (long)column * signature.Depth;
                double sum = signature.HasBias ? bias[column] : 0.0;
                for (int depth = 0; depth < signature.Depth; depth++)
                    sum += input[inputRow + depth] * weight[weightRow + depth];
                output[extent.Output.Row(row) + extent.Output.Column(column)] = sum;
            }
        }
    }
}
