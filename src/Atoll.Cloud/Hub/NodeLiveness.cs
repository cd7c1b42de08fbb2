using System.Text.Json.Nodes;
using Atoll.Api;

namespace Atoll.Cloud.Hub;

/// <summary>
/// What the centre shows of a node whose site it cannot hear: derived from the site's last report and the state of the link.
/// The report is not overwritten: it is set aside in <c>status.reported</c> and comes back when the site does, without
/// having to be sent again. Pure functions over a node's status.
/// </summary>
public static class NodeLiveness
{
    private const string Aside = "reported", Conditions = "conditions";

    /// <summary>False when nothing is set aside in a stored node; true when that must be looked at.</summary>
    public static bool MayBeAside(ReadOnlySpan<byte> node) => node.IndexOf("\"reported\":"u8) >= 0;

    /// <summary>The status to show while the link is down, or null when it is shown already.</summary>
    public static JsonObject? Unreachable(JsonObject status, string site, DateTimeOffset since)
    {
        if (status.ContainsKey(Aside) || status[Conditions] is not JsonArray reported)
            return null;
        var shown = new JsonArray();
        foreach (JsonNode? condition in reported)
            shown.Add((JsonNode)new JsonObject
            {
                ["type"] = condition?["type"]?.DeepClone(),
                ["status"] = "Unknown",
                ["lastHeartbeatTime"] = condition?["lastHeartbeatTime"]?.DeepClone(),
                ["lastTransitionTime"] = KubeTime.Format(since),
                ["reason"] = "NodeStatusUnknown",
                ["message"] = $"The link to site {site} is down. Nothing is evicted: the site runs on by itself.",
            });
        JsonObject result = status.DeepClone().AsObject();
        result[Aside] = reported.DeepClone();
        result[Conditions] = shown;
        return result;
    }

    /// <summary>The status to show now that the link is back, or null when nothing was set aside.</summary>
    public static JsonObject? Reachable(JsonObject status)
    {
        if (status[Aside] is not JsonArray reported)
            return null;
        JsonObject result = status.DeepClone().AsObject();
        result[Conditions] = reported.DeepClone();
        result.Remove(Aside);
        return result;
    }
}
