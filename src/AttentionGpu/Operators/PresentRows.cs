using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <summary>Where the past and the new keys, or values, of a call go one behind the other.</summary>
internal readonly struct PresentRows
{
    /// <summary>Whether the call has such an output.</summary>
    public bool IsPresent { get; init; }

    /// <summary>Where its rows lie in the memory that the call computes on.</summary>
    public TensorLayout Layout { get; init; }

    /// <summary>Whether the caller's tensor begins with the past, in the past's own memory.</summary>
    public bool ContinuesPast { get; init; }

    /// <summary>Whether the memory that the call computes on does so too: the past is not copied.</summary>
    public bool HoldsPast { get; init; }
}
