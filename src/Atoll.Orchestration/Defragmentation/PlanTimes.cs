using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Quantities;

namespace Atoll.Orchestration.Defragmentation;

/// <summary>When the next step of a plan may begin: its windows, and the bandwidth that earlier steps still use. Pure.</summary>
internal static class PlanTimes
{
    private const double Longest = 366 * 86_400;

    private static readonly string[] s_days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

    /// <summary>How long until a window is open; zero inside one.</summary>
    public static TimeSpan UntilOpen(IReadOnlyList<DefragmentationWindow>? windows, DateTimeOffset now)
    {
        if (windows is not { Count: > 0 })
            return TimeSpan.Zero;
        TimeSpan least = TimeSpan.MaxValue;
        DateTimeOffset today = new(now.UtcDateTime.Date, TimeSpan.Zero);
        foreach (DefragmentationWindow window in windows)
        {
            TimeSpan start = Of(window.Start), end = Of(window.End);
            TimeSpan length = end > start ? end - start : end - start + TimeSpan.FromDays(1);
            for (int day = -1; day <= 7; day++)
            {
                DateTimeOffset begin = today.AddDays(day);
                if (window.Days is { Count: > 0 } days && !days.Contains(s_days[(int)begin.DayOfWeek]))
                    continue;
                begin += start;
                if (now >= begin && now < begin + length)
                    return TimeSpan.Zero;
                if (begin > now && begin - now < least)
                    least = begin - now;
            }
        }
        return least;
    }

    /// <summary>How long the line of a site is still taken by what earlier moves pull, each after the one before it.</summary>
    public static TimeSpan UntilFree(IReadOnlyList<DefragmentationMove> moves, string? site, string? bandwidth, DateTimeOffset now)
    {
        if (bandwidth is null || !Quantity.TryParse(bandwidth, out Quantity rate) || rate.Value <= 0)
            return TimeSpan.Zero;
        // In seconds from now: a narrow line may be taken for longer than there are dates.
        double free = double.NegativeInfinity;
        foreach (DefragmentationMove move in moves)
            if (move.StartedAt is { } begun && (move.ToSite ?? "") == (site ?? ""))
                free = Math.Max(free, (begun - now).TotalSeconds) + ((move.Bytes ?? 0) / (double)rate.Value);
        return TimeSpan.FromSeconds(Math.Clamp(free, 0, Longest));
    }

    private static TimeSpan Of(string time) =>
        TimeOnly.TryParseExact(time, "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out TimeOnly at) ? at.ToTimeSpan() : TimeSpan.Zero;
}
