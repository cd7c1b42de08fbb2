using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;

namespace Atoll.Cloud.Hub;

/// <summary>The history of a site's line, as its Site shows it: how often it dropped, and the last changes.</summary>
internal static class LineHistory
{
    /// <summary>So many changes are kept; the drops count them all.</summary>
    public const int MaxChanges = 32;

    /// <summary>The history once the site is in a phase, or null when that is nothing new.</summary>
    public static JsonObject? After(SiteLine? line, string phase, DateTimeOffset now)
    {
        bool up = phase == "Connected";
        bool? was = line?.Changes is { Count: > 0 } known ? known[^1].Up : null;
        // A site that never joined has no line yet.
        if (was == up || (was is null && !up))
            return null;
        List<LineChange> changes = [.. line?.Changes ?? [], new LineChange { Time = now, Up = up }];
        var shown = new JsonArray();
        foreach (LineChange change in changes.Skip(changes.Count - MaxChanges))
            shown.Add((JsonNode)new JsonObject { ["time"] = KubeTime.Format(change.Time), ["up"] = change.Up });
        return new JsonObject { ["drops"] = (line?.Drops ?? 0) + (up ? 0 : 1), ["changes"] = shown };
    }
}
