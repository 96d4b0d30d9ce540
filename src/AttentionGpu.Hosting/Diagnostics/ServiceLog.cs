using Microsoft.Extensions.Logging;

namespace AttentionGpu.Hosting.Diagnostics;

/// <summary>What a service logs. A logger that throws is not heard: nothing that logs fails for it.</summary>
internal sealed partial class ServiceLog(ILogger logger, string service)
{
    private int _listenerFailures;

    public void Started(string device, string description) => Guard(() => LogStarted(service, device, description));

    public void Warm(string layer, double milliseconds) => Guard(() => LogWarm(service, layer, milliseconds));

    public void NotPrepared(Exception exception) => Guard(() => LogNotPrepared(exception, service));

    /// <summary>A batch failed. If it is not for the device, its callers are told, and nobody else needs to know.</summary>
    public void Failed(Exception exception, string device, int requests, bool isOfDevice) => Guard(
        () =>
        {
            if (isOfDevice)
                LogFailed(exception, service, device, requests);
            else
                LogRefused(exception, service, device, requests);
        });

    public void FellBack(string device, string fallback) => Guard(() => LogFallback(service, device, fallback));

    public void Returned(string device) => Guard(() => LogReturned(service, device));

    public void MoveFailed(Exception exception, string fallback) => Guard(() => LogMoveFailed(exception, service, fallback));

    public void ReturnFailed(Exception exception, string device) => Guard(() => LogReturnFailed(exception, service, device));

    public void ReleaseFailed(Exception exception, string device) => Guard(() => LogReleaseFailed(exception, service, device));

    public void Abandoned(Exception exception, int requests) => Guard(() => LogAbandoned(exception, service, requests));

    /// <summary>A listener that fails may do so at every request; the first time is logged.</summary>
    public void ListenerFailed(Exception exception)
    {
        if (Interlocked.Exchange(ref _listenerFailures, 1) == 0)
            Guard(() => LogListenerFailed(exception, service));
    }

    private static void Guard(Action log)
    {
        try
        {
            log();
        }
        catch (Exception)
        {
            // There is nobody left to tell.
        }
    }

    [LoggerMessage(LogLevel.Information, "Attention service '{Service}' uses {Device} ({Description}).")]
    private partial void LogStarted(string service, string device, string description);

    [LoggerMessage(LogLevel.Debug, "Attention service '{Service}' could not compile the kernels of a call before it runs.")]
    private partial void LogNotPrepared(Exception exception, string service);

    [LoggerMessage(LogLevel.Information, "Attention service '{Service}' has warmed layer '{Layer}' up in {Milliseconds:F0} ms.")]
    private partial void LogWarm(string service, string layer, double milliseconds);

    [LoggerMessage(LogLevel.Error, "Attention service '{Service}': {Device} failed on a batch of {Requests}.")]
    private partial void LogFailed(Exception exception, string service, string device, int requests);

    [LoggerMessage(LogLevel.Debug, "Attention service '{Service}': {Device} did not take a batch of {Requests}.")]
    private partial void LogRefused(Exception exception, string service, string device, int requests);

    [LoggerMessage(LogLevel.Warning, "Attention service '{Service}' moves from {Device} to {Fallback}.")]
    private partial void LogFallback(string service, string device, string fallback);

    [LoggerMessage(LogLevel.Warning, "Attention service '{Service}' is back on {Device}.")]
    private partial void LogReturned(string service, string device);

    [LoggerMessage(LogLevel.Error, "Attention service '{Service}' cannot move to the fallback device, {Fallback}.")]
    private partial void LogMoveFailed(Exception exception, string service, string fallback);

    [LoggerMessage(LogLevel.Warning, "Attention service '{Service}' stays on the fallback device: {Device} does not work yet.")]
    private partial void LogReturnFailed(Exception exception, string service, string device);

    [LoggerMessage(LogLevel.Warning, "Attention service '{Service}': {Device} could not be given back.")]
    private partial void LogReleaseFailed(Exception exception, string service, string device);

    [LoggerMessage(LogLevel.Error, "Attention service '{Service}' failed outside its device; {Requests} requests failed with it.")]
    private partial void LogAbandoned(Exception exception, string service, int requests);

    [LoggerMessage(
        LogLevel.Error, "Attention service '{Service}': a listener of metrics or traces failed. Further failures are not logged.")]
    private partial void LogListenerFailed(Exception exception, string service);
}
