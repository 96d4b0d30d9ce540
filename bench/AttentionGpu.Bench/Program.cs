using AttentionGpu.Bench;
using AttentionGpu.Bench.Peers;
using BenchmarkDotNet.Running;

// dotnet run -c Release --project bench/AttentionGpu.Bench -- peers [DEVICE]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- --filter '*'
if (args is ["peers", ..])
    PeerComparison.Run(args.ElementAtOrDefault(1) ?? "simd");
else
    BenchmarkSwitcher.FromAssembly(typeof(AttentionBenchmarks).Assembly).Run(args);
