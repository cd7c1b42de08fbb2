using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;

namespace Atoll.Kube.Watch;

/// <summary>The objects of BOOKMARK events: nothing but a resource version.</summary>
internal static class Bookmarks
{
    public static KubeObject Make(ResourceType type, long revision, bool initialEnd) => Make(type.ApiVersion, type.Kind, revision, initialEnd);

    public static KubeObject Make(string apiVersion, string kind, long revision, bool initialEnd)
    {
        var meta = new JsonObject { ["resourceVersion"] = revision.ToString(CultureInfo.InvariantCulture), ["creationTimestamp"] = null };
        if (initialEnd)
            meta["annotations"] = new JsonObject { ["k8s.io/initial-events-end"] = "true" };
        return KubeObject.FromNode(new JsonObject { ["kind"] = kind, ["apiVersion"] = apiVersion, ["metadata"] = meta });
    }
}
