namespace AttentionGpu.Hosting;

/// <summary>What a step of a session takes for granted, and until when it is wanted.</summary>
public readonly record struct StepOptions
{
    /// <summary>
    /// Tokens that the session must have when the step's turn comes, so that a step whose answer was lost is not added twice; null for
    /// whatever it has.
    /// </summary>
    public int? Start { get; init; }

    /// <summary>
    /// How long from now the step is wanted, more than 0 and at most one day; null for as long as it takes. It ends with an
    /// <see cref="AttentionDeadlineException"/> then, whether it waits or runs.
    /// </summary>
    public TimeSpan? Deadline { get; init; }
}
