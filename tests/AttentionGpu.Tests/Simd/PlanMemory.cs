using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Simd;

/// <summary>Memory for plans that a test runs by itself: tensors of any element type, and the workspace of a call.</summary>
internal sealed unsafe class PlanMemory : IDisposable
{
    private const int Guard = 64;
    private const byte Untouched = 0xA5;

    private readonly HostMemory _memory = new("tests", long.MaxValue);

    public void Dispose() => _memory.Dispose();

    /// <summary>Elements with the values given.</summary>
    public DeviceMemory Of(ElementType element, float[] values)
    {
        DeviceMemory memory = _memory.Rent(Math.Max(1, (long)values.Length * element.Size()));
        fixed (float* source = values)
            ElementRows.Store(source, memory.Pointer<byte>(), element, values.Length);
        return memory;
    }

    /// <summary>Random elements between -1 and 1.</summary>
    public DeviceMemory Random(Random random, ElementType element, int count) =>
        Of(element, [.. Enumerable.Range(0, count).Select(_ => (float)(2.0 * random.NextDouble() - 1.0))]);

    /// <summary>Elements that are NaN.</summary>
    public DeviceMemory Poisoned(ElementType element, int count) => Of(element, [.. Enumerable.Repeat(float.NaN, count)]);

    /// <summary>Values of any other type.</summary>
    public DeviceMemory Values<T>(params T[] values)
        where T : unmanaged
    {
        DeviceMemory memory = _memory.Rent(Math.Max(1, (long)values.Length * sizeof(T)));
        values.CopyTo(new Span<T>(memory.Pointer<T>(), values.Length));
        return memory;
    }

    /// <summary>Elements as floats.</summary>
    public static float[] Read(DeviceMemory memory, ElementType element, int count)
    {
        var values = new float[count];
        fixed (float* target = values)
            ElementRows.Load(memory.Pointer<byte>(), element, target, count);
        return values;
    }

    /// <summary>Runs a plan in a workspace of as many bytes as it asks for, poisoned, and asserts that nothing is written behind.</summary>
    public void Run<TExtent, TBuffers>(IPlan<TExtent, TBuffers> plan, in TExtent extent, in TBuffers buffers)
        where TExtent : struct
        where TBuffers : struct
    {
        long bytes = plan.WorkspaceBytes(extent);
        DeviceMemory memory = _memory.Rent(bytes + Guard);
        new Span<byte>(memory.Pointer<byte>(), (int)bytes).Fill(byte.MaxValue);
        var guard = new Span<byte>(memory.Pointer<byte>() + bytes, Guard);
        guard.Fill(Untouched);
        plan.Execute(extent, buffers, memory.Slice<byte>(0, bytes));
        Assert.False(guard.ContainsAnyExcept(Untouched), "The plan has written behind its workspace.");
        _memory.Return(memory);
    }

    /// <summary>Runs the plan of a signature on a backend.</summary>
    public void Run<TSignature, TExtent, TBuffers>(IBackend backend, TSignature signature, in TExtent extent, in TBuffers buffers)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct => Run(backend.Operators.Plan<TSignature, TExtent, TBuffers>(signature), extent, buffers);
}
