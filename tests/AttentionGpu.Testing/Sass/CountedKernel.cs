using System.Reflection;
using System.Text.RegularExpressions;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.Tests.Ptx;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>A kernel as a CUDA device gets it, and what one of its groups does in a problem of 2,048 keys or of that depth.</summary>
/// <param name="Name">Kernel, element type, head size or tile, and variant.</param>
/// <param name="Compile">Its text for an architecture.</param>
/// <param name="Threads">Of a group.</param>
internal sealed partial record CountedKernel(string Name, Func<CudaArchitecture, string> Compile, int Threads)
{
    private const string Target = ".target sm_80";

    // Of the texts, for old drivers; it knows no later device by name.
    private const string OldVersion = ".version 7.0";
    private const string Version = ".version 8.0";

    /// <summary>A kernel that ILGPU compiles.</summary>
    public CountedKernel(string name, MethodInfo method, Type[] arguments, int threads)
        : this(name, architecture => PtxCompiler.Compile(architecture, method, arguments), threads) =>
        Kind = $"{method.DeclaringType!.Name}.{method.Name}";

    /// <summary>A kernel that is written in PTX.</summary>
    public CountedKernel(string name, Func<PtxKernel> write, int threads)
        : this(
            name,
            architecture => ForTarget(write().Text, $"sm_{architecture.Major}{architecture.Minor}"), threads)
    {
        IsText = true;
        Kind = $"{write().Name}, {threads} threads";
    }

    /// <summary>The same for all that one method makes.</summary>
    public string Kind { get; } = "";

    /// <summary>Whether it is written in PTX: rare ways are beside the usual one, which <see cref="SassPath"/> takes.</summary>
    public bool IsText { get; }

    /// <summary>Shared memory that the assembler does not know of, because the launch asks for it.</summary>
    public int DynamicSharedBytes { get; init; }

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

    /// <summary>The text with the name of another device.</summary>
    public static string ForTarget(string ptx, string architecture) => ptx
        .Replace(Target, $".target {architecture}", StringComparison.Ordinal).Replace(OldVersion, Version, StringComparison.Ordinal);

    /// <summary>What the assembler makes of the text, with all shared memory of a group.</summary>
    public AssembledKernel Assemble(string ptx, string architecture)
    {
        AssembledKernel assembled = CudaTools.Assemble(ptx, architecture);
        SassResources resources = assembled.Resources;
        return assembled with { Resources = resources with { SharedBytes = resources.SharedBytes + DynamicSharedBytes } };
    }

    [GeneratedRegex(@"[^\w]+")]
    private static partial Regex Separators();
}
