using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>A linear layer in float64.</summary>
internal sealed class ReferenceLinearPlan(LinearProblem problem) : IPlan<LinearBuffers>
{
    public unsafe void Execute(in LinearBuffers buffers)
    {
        float* input = buffers.Input.Pointer<float>();
        float* weight = buffers.Weight.Pointer<float>();
        float* bias = buffers.Bias.Pointer<float>();
        float* output = buffers.Output.Pointer<float>();
        for (int row = 0; row < problem.Rows; row++)
        {
            float* inputRow = input + (long)row * problem.Depth;
            float* outputRow = output + problem.Output.Row(row);
            for (int column = 0; column < problem.Columns; column++)
            {
                float* weightRow = weight + (long)column * problem.Depth;
                double sum = problem.HasBias ? bias[column] : 0.0;
                for (int depth = 0; depth < problem.Depth; depth++)
                    sum += (double)inputRow[depth] * weightRow[depth];
                outputRow[problem.Output.Column(column)] = (float)sum;
            }
        }
    }
}
