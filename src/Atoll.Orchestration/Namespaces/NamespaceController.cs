using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Namespaces;

/// <summary>
/// Ends namespaces: deletes everything in them, says what is still there and why, and lets go when nothing is. A pod at a
/// site that is out of reach holds its namespace until the site has stopped it: that is the truth, and it is told.
/// </summary>
internal sealed class NamespaceController : Controller
{
    private const string Finalizer = "kubernetes";
    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(5);

    public NamespaceController(Cluster cluster) : base(cluster)
    {
        cluster.Of(Kinds.Namespace).Listen((old, now) => Queue.Add((now ?? old!).Key));
        foreach (Copy copy in cluster.Copies)
            if (copy.Type.Namespaced)
                copy.Listen((old, now) =>
                {
                    if ((now is null || now.IsDeleting) && cluster.Of(Kinds.Namespace).Get((now ?? old!).Namespace) is { IsDeleting: true } going)
                        Queue.Add(going.Key);
                });
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.Namespace).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.Namespace).Get(key) is not { IsDeleting: true } ns || !HasFinalizer(ns))
            return Next.Done;
        NamespaceContent content = await EmptyAsync(ns.Name, cancellation).ConfigureAwait(false);
        if (content.IsEmpty)
            return await FinalizeAsync(ns, cancellation).ConfigureAwait(false) ? Next.Done : Next.Retry;
        if (StatusPatch.Changes(ns, Status(ns, content)) is { } patch)
            await Cluster.PatchAsync(Kinds.Namespace, ns, patch, false, cancellation, "status").ConfigureAwait(false);
        return content.Errors.Count > 0 ? Next.Retry : Next.In(s_again);
    }

    /// <summary>Asks for the deletion of everything, and says what was there. It asks the API, not the copies: nothing may be missed.</summary>
    private async ValueTask<NamespaceContent> EmptyAsync(string ns, CancellationToken cancellation)
    {
        var content = new NamespaceContent();
        foreach (ResourceType type in Kinds.All)
        {
            if (!type.Namespaced || type == Kinds.EventsEvent)
                continue;
            ApiList list = await Cluster.Api.ListAsync(type, ns, ListOptions.Default, cancellation).ConfigureAwait(false);
            if (list.Error is not null)
                content.Errors.Add($"{type.GroupResource}: {list.Error.Message}");
            foreach (KubeObject value in list.Items)
            {
                KubeObject? left = value;
                if (!value.IsDeleting)
                {
                    ApiResult result = await Cluster.DeleteAsync(type, value, DeleteOptions.Default, cancellation).ConfigureAwait(false);
                    if (!result.Ok)
                        content.Errors.Add($"{type.GroupResource} \"{value.Name}\": {result.Error!.Message}");
                    left = result.Ok ? result.Object : value;
                }
                if (left is not null)
                    content.Add(type, left);
            }
        }
        return content;
    }

    private async ValueTask<bool> FinalizeAsync(KubeObject ns, CancellationToken cancellation)
    {
        JsonObject document = ns.ToNode();
        var rest = new JsonArray();
        foreach (JsonNode? name in document["spec"]?["finalizers"] as JsonArray ?? [])
            if ((string?)name != Finalizer)
                rest.Add(name!.DeepClone());
        PodDocuments.Child(document, "spec")["finalizers"] = rest;
        ApiResult result = await Cluster.UpdateAsync(Kinds.Namespace, null, ns.Name, document, "finalize", cancellation).ConfigureAwait(false);
        return result.Ok || result.IsNotFound;
    }

    private JsonObject Status(KubeObject ns, NamespaceContent content)
    {
        var current = new List<Condition>();
        foreach (JsonNode? condition in ns.ToNode()["status"]?["conditions"] as JsonArray ?? [])
            current.Add(new Condition
            {
                Type = (string?)condition?["type"] ?? "",
                Status = (string?)condition?["status"] ?? "",
                Reason = (string?)condition?["reason"],
                Message = (string?)condition?["message"],
                LastTransitionTime = KubeTime.TryParse((string?)condition?["lastTransitionTime"], out DateTimeOffset at) ? at : null,
            });
        foreach ((string type, bool holds, string reason, string message, string otherReason, string otherMessage) in content.Conditions())
            current = Conditions.With(current, new Condition
            {
                Type = type,
                Status = holds ? "True" : "False",
                Reason = holds ? reason : otherReason,
                Message = holds ? message : otherMessage,
                LastTransitionTime = Cluster.Now,
            });
        return new JsonObject { ["phase"] = "Terminating", ["conditions"] = Conditions.ToJson(current) };
    }

    private static bool HasFinalizer(KubeObject ns) =>
        ns.ToNode()["spec"]?["finalizers"] is JsonArray finalizers && finalizers.Any(f => (string?)f == Finalizer);
}
