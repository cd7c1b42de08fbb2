using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Atoll.Cloud.Server;

/// <summary>Logs as one line an entry, on standard output.</summary>
internal static class Logs
{
    public static ILoggerFactory Create() => LoggerFactory.Create(builder => builder
        .SetMinimumLevel(LogLevel.Information)
        .AddFilter("Microsoft", LogLevel.Warning)
        // While anything of it is logged, each request gets an activity and a scope with ids that nobody reads; failures are Kestrel's to tell.
        .AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None)
        .AddFilter("Yarp", LogLevel.Warning)
        .AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss.fff'Z' ";
            console.UseUtcTimestamp = true;
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        }));
}
