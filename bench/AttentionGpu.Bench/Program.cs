using System.Globalization;
using AttentionGpu.Bench;
using AttentionGpu.Bench.Encoder;
using AttentionGpu.Bench.Kernels;
using AttentionGpu.Bench.Peers;
using AttentionGpu.Bench.Ptx;
using AttentionGpu.Bench.Services;
using AttentionGpu.Bench.Yardstick;
using BenchmarkDotNet.Running;

// dotnet run -c Release --project bench/AttentionGpu.Bench -- peers [DEVICE [FOLDER]]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- --filter '*'
// dotnet run -c Release --project bench/AttentionGpu.Bench -- variants [DEVICE]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- invariant [DEVICE]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- decode [FOLDER]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- encoder [DEVICE [THREADS]]
// dotnet run -c Release --project bench/AttentionGpu.Bench -- textbook DEVICE
// dotnet run -c Release --project bench/AttentionGpu.Bench -- kernels DEVICE
// dotnet run -c Release --project bench/AttentionGpu.Bench -- sources DEVICE FOLDER
// dotnet run -c Release --project bench/AttentionGpu.Bench -- ptx [FOLDER] (bench/cuda-tools has the assembler)
// dotnet run -c Release --project bench/AttentionGpu.Bench -- overhead DEVICE
// dotnet run -c Release --project bench/AttentionGpu.Bench -- soak URL PROCESS CLIENTS MINUTES (bench/soak starts the service)
// dotnet run -c Release --project bench/AttentionGpu.Bench -- hostile URL PROCESS MINUTES (bench/soak --hostile starts the service)
// dotnet run -c Release --project bench/AttentionGpu.Bench -- sessions URL PROCESS CLIENTS MINUTES HOST_BYTES (bench/soak --sessions)
if (args is ["peers", ..])
    PeerReport.Run(args.ElementAtOrDefault(1) ?? "simd", args.ElementAtOrDefault(2));
else if (args is ["variants", ..])
    PeerReport.RunVariants(args.ElementAtOrDefault(1) ?? "simd");
else if (args is ["invariant", ..])
    InvariantCosts.Run(args.ElementAtOrDefault(1) ?? "simd");
else if (args is ["decode", ..])
    DecodeReport.Run(args.ElementAtOrDefault(1));
else if (args is ["encoder", ..])
    EncoderReport.Run(args.ElementAtOrDefault(1) ?? "simd", Number(args.ElementAtOrDefault(2) ?? "2"));
else if (args is ["textbook", var device])
    YardstickReport.Run(device);
else if (args is ["kernels", var timed])
    KernelReport.Run(timed);
else if (args is ["sources", var written, var folder])
    KernelSources.Write(written, folder);
else if (args is ["ptx", ..])
    PtxReport.Run(args.ElementAtOrDefault(1));
else if (args is ["overhead", var called])
    OverheadReport.Run(called);
else if (args is ["soak", var url, var process, var clients, var minutes])
    await SoakReport.RunAsync(url, Number(process), Number(clients), Number(minutes)).ConfigureAwait(false);
else if (args is ["hostile", var attacked, var victim, var time])
    return await HostileReport.RunAsync(attacked, Number(victim), Number(time)).ConfigureAwait(false);
else if (args is ["sessions", var kept, var keeper, var sessions, var during, var host])
    return await SessionReport.RunAsync(kept, Number(keeper), Number(sessions), Number(during), Number(host)).ConfigureAwait(false);
else
    BenchmarkSwitcher.FromAssembly(typeof(AttentionBenchmarks).Assembly).Run(args);
return 0;

static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
