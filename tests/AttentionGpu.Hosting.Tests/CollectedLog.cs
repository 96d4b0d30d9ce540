using Microsoft.Extensions.Logging;

namespace AttentionGpu.Hosting.Tests;

/// <summary>What a service has logged, without what is only for debugging.</summary>
internal sealed class CollectedLog(Action? before = null) : ILogger<AttentionService>
{
    private readonly List<(LogLevel Level, string Message)> _entries = [];

    public LogLevel[] Levels
    {
        get
        {
            lock (_entries)
            {
                return [.. _entries.Select(entry => entry.Level)];
            }
        }
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        before?.Invoke();
        lock (_entries)
        {
            _entries.Add((logLevel, formatter(state, exception)));
        }
    }
}
