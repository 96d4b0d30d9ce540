using System.Reflection;

namespace AttentionGpu.Service.Tests;

/// <summary>
/// The program with settings that it must refuse. It runs as it is: the factory of test hosts waits on another thread, and finds a
/// disposed host instead of the error where the start has failed by then.
/// </summary>
internal static class RefusedStart
{
    /// <summary>What the program ends with. A program that starts is an exception too, of another type: that of the wait.</summary>
    public static Task<Exception> RunAsync(params (string Name, string Value)[] settings)
    {
        string[] args =
        [
            "--contentRoot", AppContext.BaseDirectory, "--urls", "http://127.0.0.1:0", "--Attention:Device", "simd",
            "--Logging:LogLevel:Default", "None", "--Logging:LogLevel:Microsoft.AspNetCore", "None",
            .. settings.SelectMany(setting => new[] { $"--{setting.Name}", setting.Value }),
        ];
        Task run = Task.Run(() => typeof(Program).Assembly.EntryPoint!.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [args], null));
        return Assert.ThrowsAnyAsync<Exception>(() => run.WaitAsync(Wait.Patience, TestContext.Current.CancellationToken));
    }
}
