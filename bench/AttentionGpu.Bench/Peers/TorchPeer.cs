using TorchSharp;

namespace AttentionGpu.Bench.Peers;

/// <summary>A computation in libtorch, without gradients.</summary>
internal sealed class TorchPeer : IPeer
{
    public const string Name = "libtorch";

    private readonly torch.Tensor[] _inputs;
    private readonly Func<torch.Tensor[], torch.Tensor> _compute;
    private torch.Tensor? _output;

    /// <param name="threads">Its threads.</param>
    /// <param name="inputs">Values and lengths of the tensors.</param>
    /// <param name="compute">The computation on them.</param>
    public TorchPeer(int threads, (float[] Values, nint[] Lengths)[] inputs, Func<torch.Tensor[], torch.Tensor> compute)
    {
        torch.set_num_threads(threads);
        _inputs = [.. inputs.Select(input => torch.tensor(input.Values, Array.ConvertAll(input.Lengths, length => (long)length)))];
        _compute = compute;
    }

    /// <summary>The version of the library.</summary>
    public static string Version => torch.__version__;

    public string Library => Name;

    public void Run()
    {
        _output?.Dispose();
        using IDisposable mode = torch.inference_mode();
        using DisposeScope scope = torch.NewDisposeScope();
        _output = _compute(_inputs).MoveToOuterDisposeScope();
    }

    public float[] Output() => _output!.contiguous().data<float>().ToArray();

    public void Dispose()
    {
        _output?.Dispose();
        foreach (torch.Tensor input in _inputs)
            input.Dispose();
    }
}
