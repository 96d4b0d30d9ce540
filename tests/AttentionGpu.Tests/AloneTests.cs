namespace AttentionGpu.Tests;

/// <summary>
/// Tests that count what a call allocates over many steps. Beside other tests the worker threads may be another call's, and garbage
/// collections let the framework's array pool go: both allocate anew.
/// </summary>
[CollectionDefinition(DisableParallelization = true)]
public sealed class AloneTests;
