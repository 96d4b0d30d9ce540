namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>One instruction of a listing: <c>@P0 NAME operands</c>.</summary>
/// <param name="Address">Where it lies in the kernel, in bytes.</param>
/// <param name="Guard">Its predicate with the <c>@</c>, or an empty text.</param>
/// <param name="Name">The instruction and its modifiers.</param>
/// <param name="Operands">The rest of the line.</param>
internal readonly record struct SassInstruction(int Address, string Guard, string Name, string Operands)
{
    /// <summary>
    /// Whether its predicate is always false: the assembler pads batches of copies with such loads. They take an issue slot.
    /// </summary>
    public bool IsNever => Guard == "@!PT";

    /// <summary>Whether it is skipped by some threads or passes.</summary>
    public bool IsGuarded => Guard is not ("" or "@PT" or "@UPT");

    /// <summary>Whether it reads or writes 8 or 16 bytes of memory for each thread.</summary>
    public bool IsWide => Kind is SassKind.GlobalLoad or SassKind.GlobalStore
        && (Name.Contains(".64", StringComparison.Ordinal) || Name.Contains(".128", StringComparison.Ordinal));

    public SassKind Kind => SassKinds.Of(Name);
}
