using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>
/// Runs a kernel's PTX, so that what ILGPU generates and what is written in PTX by hand is tested without a GPU: lane layouts, addresses,
/// barriers, copies under way. Threads run one after another up to the next instruction that a warp or a group does together. Races in
/// shared memory and accesses outside memory are errors. Not for speed, and not for what a device rounds otherwise (<c>ex2.approx</c> is
/// exact here).
/// </summary>
internal sealed class PtxMachine
{
    /// <summary>
    /// What shared memory holds before anything is written, and while a copy to it is under way: not-a-number in every type.
    /// </summary>
    public const byte Poison = 0xFF;

    private const int WarpSize = 32;

    private readonly PtxProgram _program;
    private readonly IPtxMemory _memory;
    private readonly PtxInstruction[] _instructions;
    private readonly byte[] _parameters;
    private readonly Action<PtxThread>?[] _steps;
    private PtxSharedMemory _shared;

    public PtxMachine(PtxProgram program, IPtxMemory memory)
    {
        _program = program;
        _memory = memory;
        _parameters = new byte[program.ParameterBytes];
        _shared = new PtxSharedMemory(program.SharedBytes);
        _instructions = [.. program.Instructions];
        _steps = [.. _instructions.Select(Compile)];
    }

    /// <summary>Sets a parameter.</summary>
    public PtxMachine With<T>(int parameter, T value)
        where T : unmanaged
    {
        MemoryMarshal.Write(_parameters.AsSpan(_program.ParameterOffsets[parameter], Unsafe.SizeOf<T>()), value);
        return this;
    }

    /// <summary>Sets a parameter to the bytes that begin at a place.</summary>
    public PtxMachine With(int parameter, ref byte bytes)
    {
        int start = _program.ParameterOffsets[parameter];
        int end = parameter + 1 < _program.ParameterOffsets.Count ? _program.ParameterOffsets[parameter + 1] : _parameters.Length;
        MemoryMarshal.CreateReadOnlySpan(ref bytes, end - start).CopyTo(_parameters.AsSpan(start));
        return this;
    }

    /// <summary>Runs a grid of one-dimensional groups, one after another.</summary>
    public void Run(int groups, int threads)
    {
        for (int group = 0; group < groups; group++)
        {
            _shared = new PtxSharedMemory(_program.SharedBytes);
            PtxThread[] all = [.. Enumerable.Range(0, threads).Select(index => new PtxThread(_program, index))];
            foreach (PtxThread thread in all)
            {
                ulong[] special = [(ulong)thread.Index, (ulong)threads, (ulong)group, (ulong)groups, (ulong)(thread.Index % WarpSize)];
                special.CopyTo(thread.Registers, 0);
            }

            PtxThread[][] warps = [.. all.Chunk(WarpSize)];
            while (Array.Exists(all, thread => thread.Next < _steps.Length))
            {
                foreach (PtxThread[] warp in warps)
                    RunWarp(warp);
                Barrier(all);
            }
        }
    }

    // Until all threads of the warp are at a barrier of the group, or have ended.
    private void RunWarp(PtxThread[] warp)
    {
        while (true)
        {
            foreach (PtxThread thread in warp)
                RunThread(thread);
            if (Array.TrueForAll(warp, thread => thread.Next >= _steps.Length || IsBarrier(thread)))
                return;
            if (Array.Exists(warp, thread => thread.Next != warp[0].Next))
                throw new PtxException("threads of a warp are at different instructions that they must do together: " + _instructions[warp[0].Next].Text);
            PtxWarp.Execute(_instructions[warp[0].Next], warp, _shared);
            foreach (PtxThread thread in warp)
                thread.Next++;
        }
    }

    private void RunThread(PtxThread thread)
    {
        PtxInstruction? instruction = null;
        try
        {
            while (thread.Next < _steps.Length && _steps[thread.Next] is { } step)
            {
                instruction = _instructions[thread.Next++];
                if (instruction.Guard < 0 || thread.Registers[instruction.Guard] != 0 != instruction.GuardNegated)
                    step(thread);
            }
        }
        catch (PtxException exception)
        {
            throw new PtxException($"{instruction?.Text}: {exception.Message}");
        }
    }

    private bool IsBarrier(PtxThread thread) => _instructions[thread.Next].Opcode[0] == "bar";

    private void Barrier(PtxThread[] all)
    {
        if (Array.TrueForAll(all, thread => thread.Next >= _steps.Length))
            return;
        if (Array.Exists(all, thread => thread.Next != all[0].Next))
            throw new PtxException("not all threads of a group come to a barrier");
        _shared.Barrier();
        PtxInstruction barrier = _instructions[all[0].Next];
        if (barrier.Opcode is ["bar", "red", "or", "pred"])
        {
            ulong any = Array.Exists(all, thread => barrier.Operands[2].Read(thread) != 0) ? 1UL : 0UL;
            foreach (PtxThread thread in all)
                thread.Registers[barrier.Operands[0].Register] = any;
        }

        foreach (PtxThread thread in all)
            thread.Next++;
    }

    // Null for what threads do together.
    private Action<PtxThread>? Compile(PtxInstruction instruction)
    {
        return instruction.Opcode[0] switch
        {
            "bar" or "shfl" or "vote" or "ldmatrix" or "mma" => null,
            "bra" => Branch(_program, instruction),
            "ret" => thread => thread.Next = _steps.Length,
            "ld" or "st" => Access(instruction),
            "cp" => Copy(instruction),
            _ => PtxArithmetic.Compile(instruction),
        };
    }

    private static Action<PtxThread> Branch(PtxProgram program, PtxInstruction instruction)
    {
        int? target = null;
        return thread => thread.Next = target ??= program.Target(instruction);
    }

    private Action<PtxThread> Access(PtxInstruction instruction)
    {
        string[] opcode = instruction.Opcode;
        PtxOperand[] operands = instruction.Operands;
        string space = opcode[1];
        int bytes = int.Parse(opcode[^1][1..], CultureInfo.InvariantCulture) / 8;
        bool isLoad = opcode[0] == "ld";
        int count = operands.Length - 1;
        PtxOperand address = isLoad ? operands[^1] : operands[0];
        return thread =>
        {
            ulong start = address.Address(thread);
            if (isLoad)
            {
                ReadOnlySpan<byte> source = space switch
                {
                    "param" => _parameters.AsSpan((int)start, bytes * count),
                    "local" => thread.Local.AsSpan((int)start, bytes * count),
                    "shared" => _shared.Read(start, bytes * count, thread.Index),
                    _ => _memory.At(start, bytes * count),
                };
                for (int i = 0; i < count; i++)
                    thread.Registers[operands[i].Register] = Load(source.Slice(i * bytes, bytes));
            }
            else if (space != "shared" || bytes * count != sizeof(uint) || !_shared.Holds(start, (uint)operands[1].Read(thread)))
            {
                Span<byte> target = space switch
                {
                    "local" => thread.Local.AsSpan((int)start, bytes * count),
                    "shared" => _shared.Write(start, bytes * count, thread.Index),
                    _ => _memory.At(start, bytes * count),
                };
                for (int i = 0; i < count; i++)
                    Store(target.Slice(i * bytes, bytes), operands[i + 1].Read(thread));
            }
        };
    }

    private static ulong Load(ReadOnlySpan<byte> source) => source.Length switch
    {
        1 => source[0],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(source),
        4 => BinaryPrimitives.ReadUInt32LittleEndian(source),
        _ => BinaryPrimitives.ReadUInt64LittleEndian(source),
    };

    private static void Store(Span<byte> target, ulong value)
    {
        for (int i = 0; i < target.Length; i++)
            target[i] = (byte)(value >> (8 * i));
    }

    private Action<PtxThread> Copy(PtxInstruction instruction)
    {
        PtxOperand[] operands = instruction.Operands;
        return instruction.Opcode[2] switch
        {
            "commit_group" => thread => thread.Commit(),
            "wait_group" => thread => thread.Wait((int)operands[0].Value, _shared),
            _ => thread =>
            {
                var bytes = new byte[(int)operands[2].Read(thread)];
                int given = (int)operands[3].Read(thread);
                ulong source = operands[1].Address(thread);
                if (given > 0)
                    _memory.At(source, bytes.Length)[..given].CopyTo(bytes);
                else if (source % (ulong)bytes.Length != 0)
                    throw new PtxException($"the address {source:X} is not aligned");
                ulong target = operands[0].Address(thread) & uint.MaxValue;
                _shared.Write(target, bytes.Length, thread.Index).Fill(Poison);
                thread.Copy(target, bytes);
            }
            ,
        };
    }
}
