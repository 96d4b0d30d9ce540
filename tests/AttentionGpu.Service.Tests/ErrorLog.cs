using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace AttentionGpu.Service.Tests;

/// <summary>The exceptions that a service has logged at a level, or above.</summary>
internal sealed class ErrorLog(LogLevel least = LogLevel.Error) : ILoggerProvider, ILogger
{
    private readonly ConcurrentQueue<Exception> _exceptions = new();

    public Exception[] Exceptions => [.. _exceptions];

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (exception is not null && logLevel >= least)
            _exceptions.Enqueue(exception);
    }

    public void Dispose()
    {
    }
}
