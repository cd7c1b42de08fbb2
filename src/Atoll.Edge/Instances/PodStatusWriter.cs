using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.Edge.Instances;

/// <summary>Writes a pod's status when it differs from what the API has: one merge patch, for this UID only. Conditions of others stay.</summary>
internal sealed class PodStatusWriter(IResources resources)
{
    private static readonly string[] s_removable = ["reason", "message", "podIP", "podIPs", "initContainerStatuses", "containerStatuses"];
    private string? _written;

    /// <summary>Compare with what the API says at the next write, not with what was written: another may have set it back.</summary>
    public void Forget() => _written = null;

    /// <summary>True when the API has the status (or cannot have it any more); false to try again.</summary>
    public async Task<bool> WriteAsync(KubeObject pod, PodStatus status, CancellationToken cancellation)
    {
        JsonObject wanted = JsonSerializer.SerializeToNode(status, ApiJson.Default.PodStatus)!.AsObject();
        JsonObject? current = pod.ToNode()["status"] as JsonObject;
        KeepOthers(wanted, current);
        string text = wanted.ToJsonString();
        if (text == _written)
            return true;
        if (_written is null && Same(wanted, current))
        {
            _written = text;
            return true;
        }
        foreach (string name in s_removable)
            if (!wanted.ContainsKey(name))
                wanted[name] = null;
        var patch = new JsonObject { ["metadata"] = new JsonObject { ["uid"] = pod.Uid }, ["status"] = wanted };
        ApiResult result = await resources.PatchAsync(Kinds.Pod, pod.Namespace, pod.Name, PatchType.Merge, patch, cancellation, "status").ConfigureAwait(false);
        if (!result.Ok && !result.IsNotFound && !result.IsConflict)
            return false;
        _written = text;
        return true;
    }

    private static void KeepOthers(JsonObject wanted, JsonObject? current)
    {
        if (current?["conditions"] is not JsonArray old || wanted["conditions"] is not JsonArray conditions)
            return;
        var types = new HashSet<string>(StringComparer.Ordinal);
        foreach (JsonNode? condition in conditions)
            types.Add((string?)condition?["type"] ?? "");
        foreach (JsonNode? condition in old)
            if (condition is not null && (string?)condition["type"] is { } type && !types.Contains(type) && type is not ("Initialized" or "Ready" or "ContainersReady" or "PodReadyToStartContainers"))
                conditions.Add(condition.DeepClone());
    }

    private static bool Same(JsonObject wanted, JsonObject? current)
    {
        if (current is null)
            return false;
        foreach (KeyValuePair<string, JsonNode?> field in wanted)
            if (!JsonNode.DeepEquals(field.Value, current[field.Key]))
                return false;
        foreach (string name in s_removable)
            if (!wanted.ContainsKey(name) && current.ContainsKey(name))
                return false;
        return true;
    }
}
