using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>Runs an engine's texts on <see cref="PtxMachine"/>, in the memory of the emulator.</summary>
internal sealed class PtxTextDevice : ITextDevice
{
    /// <summary>Launches so far of all devices.</summary>
    public static int Launches { get; private set; }

    public ILoadedText Load(PtxKernel kernel) => new Loaded(kernel);

    public void Dispose()
    {
    }

    private sealed class Loaded(PtxKernel kernel) : ILoadedText
    {
        private readonly PtxProgram _program = new(kernel.Text, kernel.DynamicSharedBytes);

        public void Launch(int groups, ref TextArguments arguments)
        {
            var machine = new PtxMachine(_program, new PtxHostMemory());
            if (arguments.Count != _program.ParameterOffsets.Count)
                throw new PtxException($"{arguments.Count} parameters, and the text has {_program.ParameterOffsets.Count}");
            for (int i = 0; i < arguments.Count; i++)
                machine.With(i, ref arguments.Parameter(i));
            machine.Run(groups, kernel.Threads);
            Launches++;
        }
    }
}
