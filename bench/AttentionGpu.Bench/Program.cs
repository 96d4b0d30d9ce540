using AttentionGpu.Bench;
using AttentionGpu.Bench.Kernels;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Bench.Ptx;
using AttentionGpu.Bench.Yardstick;
using BenchmarkDotNet.Running;

// dotnet run -c Release --project bench/AttentionGpu.Bench -- peers [DEVICE [FOLDER]]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- --filter '*'
// dotnet run -c Release --project bench/AttentionGpu.Bench -- variants [DEVICE]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- textbook DEVICE
// dotnet run -c Release --project bench/AttentionGpu.Bench -- kernels DEVICE
// dotnet run -c Release --project bench/AttentionGpu.Bench -- sources DEVICE FOLDER
// dotnet run -c Release --project bench/AttentionGpu.Bench -- ptx
if (args is ["peers", ..])
    PeerReport.Run(args.ElementAtOrDefault(1) ?? "simd", args.ElementAtOrDefault(2));
else if (args is ["variants", ..])
    PeerReport.RunVariants(args.ElementAtOrDefault(1) ?? "simd");
else if (args is ["textbook", var device])
    YardstickReport.Run(device);
else if (args is ["kernels", var timed])
    KernelReport.Run(timed);
else if (args is ["sources", var written, var folder])
    KernelSources.Write(written, folder);
else if (args is ["ptx"])
    PtxReport.Run();
else
    BenchmarkSwitcher.FromAssembly(typeof(AttentionBenchmarks).Assembly).Run(args);
