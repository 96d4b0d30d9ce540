using System.Reflection;
using Xunit.Sdk;
using Xunit.v3;

namespace AttentionGpu.Tests.Support;

/// <summary>Runs a theory once for each of <see cref="Engines.All"/>. Its tests have the trait <c>device=every</c>, by which a driver's run finds them.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class EveryDeviceAttribute : DataAttribute, ITraitAttribute
{
    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo testMethod, DisposalTracker disposalTracker) =>
        new([.. Engines.All.Select(name => new TheoryDataRow<string>(name))]);

    public override bool SupportsDiscoveryEnumeration() => true;

    public IReadOnlyCollection<KeyValuePair<string, string>> GetTraits() => [new("device", "every")];
}
