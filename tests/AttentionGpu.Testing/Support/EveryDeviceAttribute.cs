using System.Reflection;
using Xunit.Sdk;
using Xunit.v3;

namespace AttentionGpu.Tests.Support;

/// <summary>
/// Runs a theory once for each of <see cref="Engines.All"/>, or of <see cref="Engines.WithOtherKernels"/>. Its tests have the trait
/// <c>device=every</c>, by which a driver's run finds them.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class EveryDeviceAttribute : DataAttribute, ITraitAttribute
{
    /// <summary>Whether kernels that a device would not choose are run on it too.</summary>
    public bool WithOtherKernels { get; init; }

    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo testMethod, DisposalTracker disposalTracker) =>
        new([
            .. (WithOtherKernels ? Engines.WithOtherKernels(testMethod) : Engines.All).Select(name => new TheoryDataRow<string>(name)),
        ]);

    public override bool SupportsDiscoveryEnumeration() => true;

    public IReadOnlyCollection<KeyValuePair<string, string>> GetTraits() => [new("device", "every")];
}
