namespace AttentionGpu.Service.Tests;

/// <summary>
/// Tests beside which no other service may end. The exporter of metrics hears all meters of the process, and takes those of one name for
/// one metric: when one of several services ends, the exporters of the others drop that metric after their next answer.
/// </summary>
[CollectionDefinition(DisableParallelization = true)]
public sealed class AloneTests;
