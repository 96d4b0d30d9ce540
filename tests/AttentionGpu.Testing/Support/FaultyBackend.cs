using System.Collections.Concurrent;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Host;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Support;

/// <summary>The processor as a device that records its batches, and that fails, waits or computes wrong results on demand.</summary>
internal sealed class FaultyBackend() : DelegatingBackend(new SimdBackend())
{
    private readonly ConcurrentQueue<string> _batches = new();

    /// <summary>Called before each linear layer; may throw, or wait.</summary>
    public Action BeforeLinear { get; set; } = () => { };

    /// <summary>Called before each attention with the lengths of its sequences; may throw, or wait.</summary>
    public Action<int[]> BeforeAttention { get; set; } = _ => { };

    /// <summary>Called before memory is taken, with its bytes; may throw.</summary>
    public Action<long> BeforeRent { get; set; } = _ => { };

    /// <summary>Called before memory is given back; may throw.</summary>
    public Action BeforeReturn { get; set; } = () => { };

    /// <summary>Called after each attention; may change its output.</summary>
    public Action<AttentionBuffers> AfterAttention { get; set; } = _ => { };

    /// <summary>
    /// The attentions so far, as <c>2+3 causal, 4 heads</c>: the lengths of the sequences, then the rest, and last the element type if it
    /// is not float32.
    /// </summary>
    public string[] Batches => [.. _batches];

    public string Name { get; init; } = "faulty";

    public override DeviceInfo Device => base.Device with { Name = Name };

    /// <summary>Fails, as a lost device does, before each attention in which a sequence has so many tokens.</summary>
    public void FailOn(int tokens) => BeforeAttention = lengths =>
    {
        if (lengths.Contains(tokens))
            throw new InvalidOperationException("lost");
    };

    public override DeviceMemory Rent(long byteLength)
    {
        BeforeRent(byteLength);
        return base.Rent(byteLength);
    }

    public override void Return(DeviceMemory memory)
    {
        BeforeReturn();
        base.Return(memory);
    }

    protected override IPlan<LinearExtent, LinearBuffers> Watch(LinearSignature signature, IPlan<LinearExtent, LinearBuffers> plan) =>
        new WatchedPlan<LinearExtent, LinearBuffers>(plan, before: (_, _) => BeforeLinear());

    protected override IPlan<AttentionExtent, AttentionBuffers> Watch(
        AttentionSignature signature, IPlan<AttentionExtent, AttentionBuffers> plan) => new WatchedPlan<AttentionExtent, AttentionBuffers>(
            plan,
            before: (extent, buffers) =>
            {
                int[] lengths =
                    [.. Enumerable.Range(0, extent.Batch).Select(batch => buffers.SequenceOf(signature, extent, batch).QueryLength)];
                string causal = signature.Causal == CausalKind.None ? "" : " causal";
                string weights = signature.Scores is null ? "" : " weights";
                string element = signature.Element == ElementType.Float32 ? "" : $" of {signature.Element}";
                _batches.Enqueue($"{string.Join('+', lengths)}{causal}{weights}, {extent.Heads} heads{element}");
                BeforeAttention(lengths);
            },
            after: (_, buffers) => AfterAttention(buffers));
}
