using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Linear;

/// <summary>Transposes a weight in panels, in place: [rows / lanes][depth][lanes].</summary>
/// <param name="signature">The signature.</param>
/// <param name="lanes">Rows of a panel.</param>
/// <param name="threads">Most threads of a call.</param>
internal sealed class SimdPanelPlan(PanelSignature signature, int lanes, int threads) : IPlan<PanelExtent, PanelBuffers>
{
    private readonly int _elementSize = signature.Element.Size();

    private IdleWork<PanelWork> _idle;

    public long WorkspaceBytes(in PanelExtent extent) => Workspace(extent).ByteLength;

    /// <exception cref="ArgumentException">The rows do not fill the last panel.</exception>
    public void Execute(in PanelExtent extent, in PanelBuffers buffers, DeviceMemory workspace)
    {
        if (extent.Rows % lanes != 0)
            throw new ArgumentException($"The rows of a panelled weight must be a multiple of {lanes}, not {extent.Rows}.", nameof(extent));
        PanelWork work = _idle.Take() ?? new(signature.Depth, lanes, _elementSize);
        work.Execute(extent.Rows / lanes, Workspace(extent), buffers, workspace);
        _idle.Keep(work);
    }

    private ThreadWorkspace Workspace(in PanelExtent extent)
    {
        double elements = (double)extent.Rows * signature.Depth;
        long panelBytes = (long)lanes * signature.Depth * _elementSize;
        int panels = extent.Rows / lanes;
        return new ThreadWorkspace(0, ParallelWork.Workers(panels, threads, elements), (panelBytes + sizeof(float) - 1) / sizeof(float));
    }

    private sealed unsafe class PanelWork(int depth, int lanes, int elementSize) : WorkspaceWork
    {
        private byte* _weight;

        public void Execute(int panels, in ThreadWorkspace workspace, in PanelBuffers buffers, DeviceMemory memory)
        {
            _weight = buffers.Weight.Pointer<byte>();
            Take(workspace, workspace.In(memory));
            Run(panels, (double)panels * lanes * depth);
        }

        protected override void Do(long item, float* memory)
        {
            long bytes = (long)lanes * depth * elementSize;
            byte* panel = _weight + item * bytes;
            Buffer.MemoryCopy(panel, memory, bytes, bytes);
            if (elementSize == sizeof(float))
                Transpose((uint*)memory, (uint*)panel);
            else
                Transpose((ushort*)memory, (ushort*)panel);
        }

        // Four rows at a time, each from end to end: more would lie in few sets of the cache where the depth is a power of two.
        private void Transpose<T>(T* source, T* target)
            where T : unmanaged
        {
            for (int lane = 0; lane < lanes; lane += 4)
            {
                T* row0 = source + (nint)lane * depth;
                T* row1 = row0 + depth;
                T* row2 = row1 + depth;
                T* row3 = row2 + depth;
                T* to = target + lane;
                for (int step = 0; step < depth; step++, to += lanes)
                {
                    to[0] = row0[step];
                    to[1] = row1[step];
                    to[2] = row2[step];
                    to[3] = row3[step];
                }
            }
        }
    }
}
