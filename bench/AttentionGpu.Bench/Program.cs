using AttentionGpu.Bench;
using AttentionGpu.Bench.Peers;
using BenchmarkDotNet.Running;

// dotnet run -c Release --project bench/AttentionGpu.Bench -- peers [DEVICE [FOLDER]]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- --filter '*'
// dotnet run -c Release --project bench/AttentionGpu.Bench -- variants [DEVICE]
if (args is ["peers", ..])
    PeerReport.Run(args.ElementAtOrDefault(1) ?? "simd", args.ElementAtOrDefault(2));
else if (args is ["variants", ..])
    PeerReport.RunVariants(args.ElementAtOrDefault(1) ?? "simd");
else
    BenchmarkSwitcher.FromAssembly(typeof(AttentionBenchmarks).Assembly).Run(args);
