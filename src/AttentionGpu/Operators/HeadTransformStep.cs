using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <summary>Rows that a call copies, normalises or rotates before attention reads them.</summary>
internal readonly struct HeadTransformStep
{
    public required HeadTransformSignature Signature { get; init; }

    public required HeadTransformExtent Extent { get; init; }

    /// <summary>Elements of the tensor that the rows go to; of the past and the new rows together.</summary>
    public long TargetElements { get; init; }

    /// <summary>The row of the target that the first row goes to, behind those of the past.</summary>
    public int FirstRow { get; init; }

    /// <summary>Whether there is anything to do; the default value does nothing.</summary>
    public bool IsNeeded { get; init; }
}
