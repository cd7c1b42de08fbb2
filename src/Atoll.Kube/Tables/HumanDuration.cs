using System.Globalization;

namespace Atoll.Kube.Tables;

/// <summary>Durations and ages as kubectl shows them (apimachinery util/duration.HumanDuration).</summary>
internal static class HumanDuration
{
    /// <summary>Two or three significant digits: <c>45s</c>, <c>5m12s</c>, <c>3h20m</c>, <c>4d6h</c>, <c>2y30d</c>.</summary>
    public static string Format(TimeSpan duration)
    {
        long seconds = (long)duration.TotalSeconds;
        if (seconds < -1)
            return "<invalid>";
        if (seconds < 0)
            return "0s";
        if (seconds < 120)
            return Text($"{seconds}s");
        long minutes = seconds / 60;
        if (minutes < 10)
            return Two(minutes, "m", seconds % 60, "s");
        if (minutes < 180)
            return Text($"{minutes}m");
        long hours = minutes / 60;
        if (hours < 8)
            return Two(hours, "h", minutes % 60, "m");
        if (hours < 48)
            return Text($"{hours}h");
        if (hours < 24 * 8)
            return Two(hours / 24, "d", hours % 24, "h");
        if (hours < 24 * 365 * 2)
            return Text($"{hours / 24}d");
        return hours < 24 * 365 * 8 ? Two(hours / 24 / 365, "y", hours / 24 % 365, "d") : Text($"{hours / 24 / 365}y");
    }

    /// <summary>The time since a moment; <c>&lt;unknown&gt;</c> without one.</summary>
    public static string Since(DateTimeOffset? moment, DateTimeOffset now) => moment is { } then ? Format(now - then) : "<unknown>";

    private static string Two(long large, string largeUnit, long small, string smallUnit) => small == 0 ? Text($"{large}{largeUnit}") : Text($"{large}{largeUnit}{small}{smallUnit}");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
