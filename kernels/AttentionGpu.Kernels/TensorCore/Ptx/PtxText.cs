using System.Globalization;
using System.Text;

namespace AttentionGpu.Kernels.TensorCore.Ptx;

/// <summary>
/// Writes a kernel in PTX (NVIDIA, "Parallel Thread Execution ISA" 7.0, of CUDA 11.0). Registers have the type of what they hold; loops that C# runs are
/// unrolled in the text. An instruction writes into a new register unless it is told which.
/// </summary>
public sealed partial class PtxText
{
    /// <summary>Threads of a warp.</summary>
    public const int WarpSize = 32;

    private readonly StringBuilder _body = new();
    private readonly List<string> _parameters = [];
    private readonly Dictionary<string, int> _registers = [];
    private readonly string _name;
    private readonly int _threads;
    private readonly int _residentGroups;
    private int _labels;
    private string _guard = "";

    /// <param name="name">The kernel's name.</param>
    /// <param name="threads">Threads of a group.</param>
    /// <param name="residentGroups">
    /// Groups at once on a multiprocessor that the assembler leaves registers for; 0 if that is its choice.
    /// </param>
    public PtxText(string name, int threads, int residentGroups = 0)
    {
        _name = name;
        _threads = threads;
        _residentGroups = residentGroups;
    }

    /// <summary>The thread's number in its group.</summary>
    public Word Thread => Write<Word>("mov.u32", null, "%tid.x");

    /// <summary>The group's number.</summary>
    public Word Group => Write<Word>("mov.u32", null, "%ctaid.x");

    /// <summary>The address of the group's shared memory, a multiple of 1,024.</summary>
    public Word Shared => Write<Word>("mov.u32", null, "shared");

    /// <summary>The kernel's next parameter: a struct of whole numbers, floats and other structs.</summary>
    public PtxParameter<T> Parameter<T>()
        where T : unmanaged
    {
        var parameter = new PtxParameter<T>(this, $"parameter{_parameters.Count}");
        _parameters.Add(parameter.Declaration);
        return parameter;
    }

    /// <summary>A register that nothing has written.</summary>
    public T New<T>()
        where T : struct, IPtxOperand<T>
    {
        int number = _registers.GetValueOrDefault(T.Prefix);
        _registers[T.Prefix] = number + 1;
        return T.Named($"{T.Prefix}{number}");
    }

    /// <summary>Registers that nothing has written.</summary>
    public T[] New<T>(int count)
        where T : struct, IPtxOperand<T> => [.. Enumerable.Range(0, count).Select(_ => New<T>())];

    /// <summary>Adds a comment.</summary>
    public void Comment(string text) => _body.Append("// ").Append(text).Append('\n');

    /// <summary>A place that branches go to.</summary>
    public string NewLabel(string name) => $"L{_labels++}_{name}";

    /// <summary>Branches to the label come here.</summary>
    public void Mark(string label) => _body.Append(label).Append(":\n");

    /// <summary>Goes on at the label.</summary>
    public void Branch(string label) => Line($"bra {label};");

    /// <summary>Goes on at the label where the condition holds, or does not.</summary>
    /// <param name="condition">The condition.</param>
    /// <param name="label">Where to go on.</param>
    /// <param name="holds">Whether it must hold.</param>
    /// <param name="isUniform">Whether all threads of a warp agree.</param>
    public void BranchIf(Predicate condition, string label, bool holds = true, bool isUniform = true)
    {
        using (When(condition, holds))
        {
            Line($"bra{(isUniform ? ".uni" : "")} {label};");
        }
    }

    /// <summary>Runs what follows up to the end of the scope where the condition holds.</summary>
    /// <param name="condition">The condition.</param>
    /// <param name="isUniform">Whether all threads of a warp agree.</param>
    public Scope If(Predicate condition, bool isUniform = true)
    {
        string end = NewLabel("end");
        BranchIf(condition, end, holds: false, isUniform);
        return new Scope(() => Mark(end));
    }

    /// <summary>Guards each instruction up to the end of the scope: it does nothing in threads whose condition does not hold.</summary>
    public Scope When(Predicate condition, bool holds = true)
    {
        string before = _guard;
        if (before.Length > 0)
            throw new InvalidOperationException("A guarded instruction has one condition.");
        _guard = $"@{(holds ? "" : "!")}{condition.Text} ";
        return new Scope(() => _guard = before);
    }

    /// <summary>Ends the thread.</summary>
    public void Return() => Line("ret;");

    /// <summary>The whole text.</summary>
    /// <param name="sharedBytes">Shared memory of a group.</param>
    public PtxKernel Finish(int sharedBytes)
    {
        var text = new StringBuilder();
        bool isStatic = sharedBytes <= SharedLimit;
        text.Append(".version 7.0\n.target sm_80\n.address_size 64\n");
        if (!isStatic)
            text.Append(".extern .shared .align 1024 .b8 shared[];\n");
        string resident = _residentGroups > 0 ? $".minnctapersm {_residentGroups}\n" : "";
        text.Append(
            CultureInfo.InvariantCulture,
            $".visible .entry {_name}(\n\t{string.Join(",\n\t", _parameters)})\n.maxntid {_threads}, 1, 1\n{resident}{{\n");
        if (isStatic)
            text.Append(CultureInfo.InvariantCulture, $".shared .align 1024 .b8 shared[{sharedBytes}];\n");
        Declare<Real>(text);
        Declare<Word>(text);
        Declare<HalfWord>(text);
        Declare<Wide>(text);
        Declare<Predicate>(text);
        return new PtxKernel(text.Append(_body).Append("}\n").ToString(), _name, _threads, sharedBytes);
    }

    /// <summary>Shared memory that a text can declare; a larger one is asked for at the launch.</summary>
    public const int SharedLimit = 48 * 1024;

    /// <summary>Adds an instruction.</summary>
    internal void Line(string instruction) => _body.Append(_guard).Append(instruction).Append('\n');

    private void Declare<T>(StringBuilder text)
        where T : struct, IPtxOperand<T>
    {
        if (_registers.TryGetValue(T.Prefix, out int count))
            text.Append(CultureInfo.InvariantCulture, $".reg .{T.Type} {T.Prefix}<{count}>;\n");
    }

    internal T Write<T>(string opcode, T? into, string operands)
        where T : struct, IPtxOperand<T>
    {
        T result = into ?? New<T>();
        Line($"{opcode} {result.Text}, {operands};");
        return result;
    }

    /// <summary>What ends with it.</summary>
    public readonly struct Scope(Action end) : IDisposable
    {
        /// <summary>Ends it.</summary>
        public void Dispose() => end();
    }
}

/// <summary>A kernel's text, and what its launch needs.</summary>
/// <param name="Text">The text.</param>
/// <param name="Name">The kernel's name in it.</param>
/// <param name="Threads">Threads of a group.</param>
/// <param name="SharedBytes">Shared memory of a group. The text declares no size above <see cref="PtxText.SharedLimit"/>.</param>
public sealed record PtxKernel(string Text, string Name, int Threads, int SharedBytes)
{
    /// <summary>Shared memory that the launch asks for.</summary>
    public int DynamicSharedBytes => SharedBytes > PtxText.SharedLimit ? SharedBytes : 0;
}
