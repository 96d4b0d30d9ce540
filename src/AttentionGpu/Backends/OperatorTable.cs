using AttentionGpu.Problems;

namespace AttentionGpu.Backends;

/// <summary>How a backend plans each class of operators, by the type of the signature.</summary>
internal sealed class OperatorTable
{
    private readonly Dictionary<Type, Delegate> _planners = [];

    /// <summary>Adds a class of operators.</summary>
    public OperatorTable Add<TSignature, TExtent, TBuffers>(Func<TSignature, IPlan<TExtent, TBuffers>> plan)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        _planners.Add(typeof(TSignature), plan);
        return this;
    }

    /// <inheritdoc cref="IOperators.Plan"/>
    public IPlan<TExtent, TBuffers> Plan<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct =>
        _planners.TryGetValue(typeof(TSignature), out Delegate? plan)
            ? ((Func<TSignature, IPlan<TExtent, TBuffers>>)plan)(signature)
            : throw new NotSupportedException($"The device has no operator for {typeof(TSignature).Name}.");
}
