using System.Globalization;

namespace Atoll.Api.Core;

/// <summary>Where a stand-in may run for a pod at a site that is out of reach.</summary>
public enum FailoverScope
{
    /// <summary>Nowhere: the pod is waited for.</summary>
    None,

    /// <summary>At another site of the same region.</summary>
    Region,

    /// <summary>At any other site.</summary>
    Any,
}

/// <summary>
/// What a workload wants done when a site that runs one of its pods is out of reach for long: annotations of the workload or, which
/// wins, of its pod template. Without them nothing is done, however long it takes.
/// </summary>
/// <param name="Scope">Where a stand-in may run.</param>
/// <param name="After">How long the site must have been out of reach, from <see cref="Least"/> to <see cref="Most"/>.</param>
public sealed record FailoverPolicy(FailoverScope Scope, TimeSpan After)
{
    /// <summary>Annotation of the scope: <c>none</c>, <c>region</c> or <c>any</c>.</summary>
    public const string ScopeAnnotation = "edge.atoll.dev/failover";

    /// <summary>Annotation of the time: hours, minutes and seconds, such as <c>10m</c> or <c>1h30m</c>; 10 minutes without it.</summary>
    public const string AfterAnnotation = "edge.atoll.dev/failover-after";

    /// <summary>Annotation of a stand-in: the UID of the pod that it stands in for.</summary>
    public const string StandsInFor = "edge.atoll.dev/stands-in-for";

    /// <summary>Shortest time: a line that breaks for a moment moves nothing.</summary>
    public static readonly TimeSpan Least = TimeSpan.FromSeconds(30);

    /// <summary>Longest time.</summary>
    public static readonly TimeSpan Most = TimeSpan.FromDays(7);

    /// <summary>Time when none is given.</summary>
    public static readonly TimeSpan Usual = TimeSpan.FromMinutes(10);

    /// <summary>No failover.</summary>
    public static FailoverPolicy Never { get; } = new(FailoverScope.None, Usual);

    /// <summary>Scopes as they are written.</summary>
    public static IReadOnlyList<string> Scopes => s_scopes;

    private static readonly string[] s_scopes = ["none", "region", "any"];

    /// <summary>The policy in annotations, later ones first asked; never when there is none, or one that cannot be read.</summary>
    public static FailoverPolicy Of(params ReadOnlySpan<IReadOnlyDictionary<string, string>?> annotations)
    {
        string? scope = null, after = null;
        foreach (IReadOnlyDictionary<string, string>? map in annotations)
        {
            scope ??= map?.GetValueOrDefault(ScopeAnnotation);
            after ??= map?.GetValueOrDefault(AfterAnnotation);
        }
        int known = scope is null ? 0 : Math.Max(0, Array.IndexOf(s_scopes, scope));
        return known == 0 ? Never : new FailoverPolicy((FailoverScope)known, after is not null && TryDuration(after, out TimeSpan time) ? time : Usual);
    }

    /// <summary>Reads a time; false when it is not one, or not between <see cref="Least"/> and <see cref="Most"/>.</summary>
    public static bool TryDuration(string text, out TimeSpan time)
    {
        ArgumentNullException.ThrowIfNull(text);
        time = default;
        double seconds = 0;
        int start = 0, lastUnit = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (char.IsAsciiDigit(text[i]))
                continue;
            (int rank, int unit) = text[i] switch { 'h' => (1, 3600), 'm' => (2, 60), 's' => (3, 1), _ => (0, 0) };
            if (rank <= lastUnit || i == start || i - start > 7 || !int.TryParse(text.AsSpan(start, i - start), NumberStyles.None, CultureInfo.InvariantCulture, out int number))
                return false;
            seconds += (double)number * unit;
            (start, lastUnit) = (i + 1, rank);
        }
        if (start == 0 || start < text.Length || seconds < Least.TotalSeconds || seconds > Most.TotalSeconds)
            return false;
        time = TimeSpan.FromSeconds(seconds);
        return true;
    }
}
