using AttentionGpu.Cli.Bench;
using AttentionGpu.Tests.Support;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Bench.Peers;

/// <summary>
/// Whole steps of ONNX Runtime's <c>GroupQueryAttention</c>, which writes the new row where it stays: past and present are one tensor.
/// </summary>
internal sealed class OnnxRuntimeSteps : IDisposable
{
    private const int Opset = 23;

    private readonly List<OrtValue> _tensors = [];
    private readonly SessionOptions _options;
    private readonly InferenceSession _session;
    private readonly RunOptions _runOptions = new();
    private readonly OrtIoBinding[] _sets;
    private readonly float[] _output;
    private int _last = -1;

    /// <param name="settings">The step, of one sequence.</param>
    /// <param name="steps">Ours, whose queries and new rows it takes.</param>
    /// <param name="cache">Its keys and values.</param>
    /// <param name="threads">Its threads.</param>
    public OnnxRuntimeSteps(DecodeSettings settings, DecodeSteps steps, OnnxRuntimeCache cache, int threads)
    {
        (int heads, int keyHeads, int size) = (settings.Heads, settings.KeyValueHeads, settings.HeadSize);
        nint[] rowLengths = [1, 1, heads * size];
        nint[] newLengths = [1, 1, keyHeads * size];
        bool isQuantised = settings.Element != KeyValueElement.Float32;
        int bits = settings.Element == KeyValueElement.Int4 ? 4 : 8;
        float[] scale = [bits == 4 ? DecodeSteps.Int4Step : DecodeSteps.Int8Step];
        var model = new OnnxModel();
        string AddCache(string name) => cache.Element == typeof(float) ? model.AddInput<float>(name, cache.Lengths)
            : cache.Element == typeof(sbyte) ? model.AddInput<sbyte>(name, cache.Lengths)
            : model.AddInput<byte>(name, cache.Lengths);
        string[] inputs =
        [
            model.AddInput("query", rowLengths), model.AddInput("key", newLengths), model.AddInput("value", newLengths),
            AddCache("past_key"), AddCache("past_value"),
            model.AddConstant("seqlens_k", [settings.Lengths[0]], 1), model.AddConstant("total_sequence_length", [settings.Lengths[0] + 1]),
        ];
        (string, object)[] attributes = [("num_heads", heads), ("kv_num_heads", keyHeads)];
        if (isQuantised)
        {
            // Between them: tables of a rotary embedding, positions, a bias and sinks.
            inputs = [.. inputs, "", "", "", "", "", model.AddConstant("k_scale", scale, 1), model.AddConstant("v_scale", scale, 1)];
            attributes = [.. attributes, ("k_quant_type", "PER_TENSOR"), ("v_quant_type", "PER_TENSOR"), ("kv_cache_bit_width", bits)];
        }

        model.AddNode(OnnxModel.MicrosoftDomain, "GroupQueryAttention", inputs, ["output", "present_key", "present_value"], attributes);
        _options = new SessionOptions { IntraOpNumThreads = threads };

        // More threads than cores spin on longer than the pause between turns: they would slow the others' turns.
        if (threads > Environment.ProcessorCount)
            _options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        _session = new InferenceSession(
            model.Build(Opset, ("output", typeof(float)), ("present_key", cache.Element), ("present_value", cache.Element)), _options);

        _output = new float[heads * size];
        OrtValue query = Own(OnnxRuntimeModel.Tensor(steps.Query, rowLengths));
        OrtValue key = Own(OnnxRuntimeModel.Tensor(steps.Key, newLengths));
        OrtValue value = Own(OnnxRuntimeModel.Tensor(steps.Value, newLengths));
        OrtValue output = Own(OnnxRuntimeModel.Tensor(_output, rowLengths));
        _sets = new OrtIoBinding[cache.Sets];
        for (int set = 0; set < _sets.Length; set++)
        {
            OrtIoBinding binding = _sets[set] = _session.CreateIoBinding();
            (OrtValue keys, OrtValue values) = (Own(cache.Keys(set)), Own(cache.Values(set)));
            binding.BindInput("query", query);
            binding.BindInput("key", key);
            binding.BindInput("value", value);
            binding.BindInput("past_key", keys);
            binding.BindInput("past_value", values);
            binding.BindOutput("output", output);
            binding.BindOutput("present_key", keys);
            binding.BindOutput("present_value", values);
        }
    }

    /// <summary>One step of the next set.</summary>
    public void Run()
    {
        _last = (_last + 1) % _sets.Length;
        _session.RunWithBinding(_runOptions, _sets[_last]);
    }

    /// <summary>Requires that a step gives what ours does.</summary>
    /// <exception cref="InvalidOperationException">It does not.</exception>
    public void Check(float[] ours)
    {
        const double tolerance = 1e-3;
        Array.Fill(_output, float.NaN);
        Run();
        float largest = _output.Max(Math.Abs);
        float difference = ours.Zip(_output, (left, right) => Math.Abs(left - right)).Max();
        if (!(difference <= tolerance * largest))
            throw new InvalidOperationException($"Results differ by {difference}, with values up to {largest}: there is nothing to time.");
    }

    public void Dispose()
    {
        foreach (OrtIoBinding binding in _sets)
            binding.Dispose();
        foreach (OrtValue tensor in _tensors)
            tensor.Dispose();
        _runOptions.Dispose();
        _session.Dispose();
        _options.Dispose();
    }

    private OrtValue Own(OrtValue tensor)
    {
        _tensors.Add(tensor);
        return tensor;
    }
}
