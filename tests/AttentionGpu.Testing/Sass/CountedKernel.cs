using System.Reflection;
using System.Text.RegularExpressions;
using AttentionGpu.Kernels.Tests.Ptx;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>A kernel as a CUDA device gets it, and what one of its groups does in a problem of 2,048 keys or of that depth.</summary>
/// <param name="Name">Kernel, element type, head size or tile, and variant.</param>
/// <param name="Method">The kernel.</param>
/// <param name="Arguments">Its type arguments.</param>
/// <param name="Threads">Of a group.</param>
internal sealed partial record CountedKernel(string Name, MethodInfo Method, Type[] Arguments, int Threads)
{
    /// <summary>
    /// Passes of its loops in the problem, as <see cref="LoopTrips"/> has them. They are those of a group that has the most to do.
    /// </summary>
    public required string Trips { get; init; }

    /// <summary>How often a warp hides scores in the problem.</summary>
    public int MaskPasses { get; init; }

    /// <summary>What a thread's products are in the problem: <c>mma</c> of its warp on tensor cores, multiply-adds elsewhere.</summary>
    public long Products { get; init; }

    /// <summary>Whether its products are on tensor cores, which need SM_80.</summary>
    public bool HasTensorCores { get; init; }

    /// <summary>Elements of a thread, for a kernel that should be bound by memory.</summary>
    public double Elements { get; init; }

    /// <summary>Bytes that go to and from memory for an element.</summary>
    public double ElementBytes { get; init; }

    /// <summary>A name for its file.</summary>
    public string FileName => $"{Separators().Replace(Name, "-")}.ptx";

    public string Compile(CudaArchitecture architecture) => PtxCompiler.Compile(architecture, Method, Arguments);

    [GeneratedRegex(@"[^\w]+")]
    private static partial Regex Separators();
}
