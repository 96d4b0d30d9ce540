using System.Numerics.Tensors;
using AttentionGpu.Backends;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Parameters of layers.</content>
public sealed partial class AttentionEngine
{
    /// <summary>
    /// Brings matrices of as many columns to the device, one below the other, rounded to an element type, and rearranged if the device
    /// likes it.
    /// </summary>
    /// <exception cref="AttentionMemoryException">There is not enough memory; none is kept.</exception>
    internal Parameter CreateParameter(ElementType element, params ReadOnlySpan<Tensor<float>> parts)
    {
        int columns = parts[0].Rank == 1 ? 1 : (int)parts[0].Lengths[1];
        int rows = 0;
        int panelRows = parts[0].Rank == 1 ? 0 : Operators.PanelRows(element);
        bool isPanelled = panelRows > 0;
        foreach (Tensor<float> part in parts)
        {
            rows += (int)part.Lengths[0];

            // Without a remainder the parts of a panelled weight are panelled weights too: all together, or each by itself.
            isPanelled &= panelRows > 0 && part.Lengths[0] % panelRows == 0;
        }

        SharedMemory memory = SharedMemory.Rent(Lifetime, checked((long)rows * columns * element.Size()));
        try
        {
            memory.TryAcquire(out DeviceMemory target);
            try
            {
                long start = 0;
                foreach (Tensor<float> part in parts)
                {
                    long bytes = part.FlattenedLength * (long)element.Size();
                    HostCopy.UploadRounded(Lifetime.Memory, part.AsReadOnlyTensorSpan(), element, target.Slice<byte>(start, bytes));
                    start += bytes;
                }

                if (isPanelled)
                    Rearrange(new PanelSignature(element, columns), new PanelExtent(rows), target);
            }
            finally
            {
                memory.Release();
            }
        }
        catch
        {
            memory.Release();
            throw;
        }

        return new Parameter(memory, element, rows, columns, isPanelled);
    }

    private void Rearrange(PanelSignature signature, PanelExtent extent, DeviceMemory weight)
    {
        using var call = new CallMemory(Lifetime);
        IPlan<PanelExtent, PanelBuffers> plan = Plan<PanelSignature, PanelExtent, PanelBuffers>(signature);
        DeviceMemory workspace = call.Rent(plan.WorkspaceBytes(extent));
        plan.Execute(extent, new PanelBuffers(weight), workspace);
    }
}
