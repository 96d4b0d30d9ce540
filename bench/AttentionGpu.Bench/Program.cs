using AttentionGpu.Bench;
using BenchmarkDotNet.Running;

// dotnet run -c Release --project bench/AttentionGpu.Bench -- --filter '*'
BenchmarkSwitcher.FromAssembly(typeof(AttentionBenchmarks).Assembly).Run(args);
