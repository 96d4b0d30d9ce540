using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>A linear layer in float64.</summary>
internal sealed class ReferenceLinearPlan(LinearProblem problem) : IPlan<LinearBuffers>
{
    public void Execute(in LinearBuffers buffers)
    {
        var input = new ElementAccess(buffers.Input, problem.Element);
        var weight = new ElementAccess(buffers.Weight, problem.Element);
        var bias = new ElementAccess(buffers.Bias, problem.Element);
        var output = new ElementAccess(buffers.Output, problem.Element);
        for (int row = 0; row < problem.Rows; row++)
        {
            long inputRow = (long)row * problem.Depth;
            for (int column = 0; column < problem.Columns; column++)
            {
                long weightRow = (long)column * problem.Depth;
                double sum = problem.HasBias ? bias[column] : 0.0;
                for (int depth = 0; depth < problem.Depth; depth++)
                    sum += input[inputRow + depth] * weight[weightRow + depth];
                output[problem.Output.Row(row) + problem.Output.Column(column)] = sum;
            }
        }
    }
}
