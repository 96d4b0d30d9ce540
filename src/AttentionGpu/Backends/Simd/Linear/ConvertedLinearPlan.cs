using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Linear;

/// <summary>A linear layer in 16-bit elements: converted to float32, computed there, and rounded once. The output is a plain matrix.</summary>
internal sealed class ConvertedLinearPlan(LinearProblem problem, IAttentionBackend backend) : IPlan<LinearBuffers>
{
    private readonly IPlan<LinearBuffers> _plan = backend.Plan(problem with { Element = ElementType.Float32 });

    public unsafe void Execute(in LinearBuffers buffers)
    {
        long inputs = (long)problem.Rows * problem.Depth;
        long weights = (long)problem.Columns * problem.Depth;
        long outputs = (long)problem.Rows * problem.Columns;
        DeviceMemory memory = backend.Rent((inputs + weights + problem.Columns + outputs) * sizeof(float));
        try
        {
            DeviceMemory output = memory.Slice<float>(inputs + weights + problem.Columns, outputs);
            _plan.Execute(new LinearBuffers
            {
                Input = Load(buffers.Input, memory.Slice<float>(0, inputs), inputs),
                Weight = Load(buffers.Weight, memory.Slice<float>(inputs, weights), weights),
                Bias = problem.HasBias ? Load(buffers.Bias, memory.Slice<float>(inputs + weights, problem.Columns), problem.Columns) : default,
                Output = output,
            });
            for (int row = 0; row < problem.Rows; row++)
            {
                ElementRows.Store(
                    output.Pointer<float>() + (long)row * problem.Columns,
                    ElementRows.Address(buffers.Output, problem.Element, problem.Output.Row(row)), problem.Element, problem.Columns);
            }
        }
        finally
        {
            backend.Return(memory);
        }
    }

    private unsafe DeviceMemory Load(DeviceMemory source, DeviceMemory target, long count)
    {
        // A span's length is an int.
        for (long start = 0; start < count; start += int.MaxValue)
        {
            ElementRows.Load(
                ElementRows.Address(source, problem.Element, start), problem.Element, target.Pointer<float>() + start,
                (int)Math.Min(int.MaxValue, count - start));
        }

        return target;
    }
}
