using System.Collections.Concurrent;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Backends.Accelerator.Texts;

/// <summary>Loads each text once for the engine's life: plans whose texts are the same share it.</summary>
internal sealed class TextLoader(ITextDevice device, AcceleratorGate gate, AcceleratorProbe probe) : IDisposable
{
    private readonly ConcurrentDictionary<PtxKernel, Lazy<ILoadedText>> _texts = new();

    /// <summary>
    /// Loads a kernel. Threads that need the same one wait for the first of them, and all get its exception if it fails. The next one tries
    /// again.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The engine has been disposed.</exception>
    public ILoadedText Load(PtxKernel kernel)
    {
        using AcceleratorGate.Scope open = gate.KeepOpen();
        Lazy<ILoadedText> text = _texts.GetOrAdd(kernel, key => new Lazy<ILoadedText>(() =>
        {
            probe.Compiling?.Invoke();
            return device.Load(key);
        }));
        try
        {
            return text.Value;
        }
        catch
        {
            _texts.TryRemove(KeyValuePair.Create(kernel, text));
            throw;
        }
    }

    public void Dispose() => device.Dispose();
}
