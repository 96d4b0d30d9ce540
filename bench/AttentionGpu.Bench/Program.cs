using AttentionGpu.Bench;
using AttentionGpu.Bench.Peers;
using BenchmarkDotNet.Running;

// dotnet run -c Release --project bench/AttentionGpu.Bench -- peers [DEVICE [FOLDER]]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- --filter '*'
if (args is ["peers", ..])
    PeerReport.Run(args.ElementAtOrDefault(1) ?? "simd", args.ElementAtOrDefault(2));
else
    BenchmarkSwitcher.FromAssembly(typeof(AttentionBenchmarks).Assembly).Run(args);
