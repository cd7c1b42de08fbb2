using System.Text;
using Atoll.Api;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Host;

/// <summary>Logs one line an entry to standard output: what the console package does, without its threads and its queue of megabytes.</summary>
internal sealed class LineLoggerFactory(TimeProvider time) : ILoggerFactory
{
    private readonly Lock _lock = new();
    private readonly Stream _output = Console.OpenStandardOutput();

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("The agent logs to its standard output only.");

    public ILogger CreateLogger(string categoryName) => new LineLogger(this, categoryName, categoryName.StartsWith("Microsoft", StringComparison.Ordinal) ? LogLevel.Error : LogLevel.Information);

    public void Dispose() => _output.Dispose();

    private void Write(string line)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(line);
        lock (_lock)
            _output.Write(bytes);
    }

    private sealed class LineLogger(LineLoggerFactory factory, string category, LogLevel least) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= least && logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel))
                return;
            string level = logLevel switch { LogLevel.Information => "info", LogLevel.Warning => "warn", LogLevel.Error => "error", LogLevel.Critical => "crit", _ => "debug" };
            string text = formatter(state, exception);
            factory.Write($"{KubeTime.FormatMicro(factory.time.GetUtcNow())} {level} {category}: {text}{(exception is null ? "" : " " + exception.ToString().ReplaceLineEndings(" | "))}\n");
        }

        private readonly LineLoggerFactory factory = factory;
    }

    private readonly TimeProvider time = time;
}
