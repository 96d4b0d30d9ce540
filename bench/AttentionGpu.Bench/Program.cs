using AttentionGpu.Bench;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Bench.Yardstick;
using BenchmarkDotNet.Running;

// dotnet run -c Release --project bench/AttentionGpu.Bench -- peers [DEVICE [FOLDER]]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- --filter '*'
// dotnet run -c Release --project bench/AttentionGpu.Bench -- variants [DEVICE]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- textbook DEVICE
if (args is ["peers", ..])
    PeerReport.Run(args.ElementAtOrDefault(1) ?? "simd", args.ElementAtOrDefault(2));
else if (args is ["variants", ..])
    PeerReport.RunVariants(args.ElementAtOrDefault(1) ?? "simd");
else if (args is ["textbook", var device])
    YardstickReport.Run(device);
else
    BenchmarkSwitcher.FromAssembly(typeof(AttentionBenchmarks).Assembly).Run(args);
