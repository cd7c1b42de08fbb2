using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Kube.Resources;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Access;

/// <summary>
/// The default policy: members of <c>system:masters</c> may do everything; a site (<c>system:site:NAME</c> in group
/// <c>system:sites</c>) may read and report on what is its own and nothing else; everybody else nothing.
/// <para>A site's own: nodes with its site label, pods bound to those nodes, their events and leases, and of secrets,
/// config maps and service accounts only those that its pods name. It writes the status of its nodes and pods, registers
/// nodes, and ends its pods; never a spec.</para>
/// </summary>
internal sealed class SiteAccessPolicy(ApiServer server) : IAccessPolicy
{
    private static readonly string[] s_open = ["runtimeclasses", "priorityclasses", "namespaces"];

    /// <inheritdoc/>
    public AccessDecision Check(in AccessRequest request)
    {
        if (request.Identity.IsMaster)
            return AccessDecision.Allow;
        if (request.Identity.SiteName is not { } site)
            return Deny(request, $"User \"{request.Identity.User}\" has no rights here: a client certificate or token of group {Identity.Masters} is needed");
        bool read = request.Verb is "get" or "list" or "watch";
        return read ? CheckRead(request, site) : CheckWrite(request, site);
    }

    private AccessDecision CheckRead(in AccessRequest request, string site)
    {
        if (Array.IndexOf(s_open, request.Type.Plural) >= 0)
            return AccessDecision.Allow;
        Func<KubeObject, bool>? filter = request.Type.Plural switch
        {
            "nodes" => node => node.Metadata.Label(WellKnown.SiteLabel) == site,
            "pods" => pod => IsOwnPod(pod, site),
            "events" => e => IsOwnEvent(e, site),
            "leases" => lease => lease.Namespace == "kube-node-lease" && IsOwnNode(lease.Name, site),
            "sites" => value => value.Name == site,
            "secrets" or "configmaps" or "serviceaccounts" => null,
            _ => static _ => false,
        };
        if (filter is null)
        {
            return request.Verb == "get" && request.Name is not null && IsReferenced(request.Type, request.Namespace ?? "", request.Name, site)
                ? AccessDecision.Allow
                : Deny(request, $"site {site} may get only the {request.Type.Plural} that its own pods name, one by one");
        }
        if (request.Verb != "get" || request.Name is null)
            return new AccessDecision(null, filter);
        CachedObject? found = server.CacheOf(request.Type).Get(Keys.Local(request.Namespace, request.Name));
        return found is not null && filter(found.Object)
            ? AccessDecision.Allow
            : Deny(request, $"site {site} may read only its own {request.Type.Plural}");
    }

    private AccessDecision CheckWrite(in AccessRequest request, string site)
    {
        string plural = request.Type.Plural;
        bool allowed = plural switch
        {
            "nodes" => request switch
            {
                { Verb: "create", Subresource: null } => request.Document.Map("metadata").Map("labels").Text(WellKnown.SiteLabel) == site,
                { Verb: "update" or "patch", Subresource: "status", Name: { } name } => IsOwnNode(name, site),
                _ => false,
            },
            "pods" => request switch
            {
                { Verb: "update" or "patch", Subresource: "status", Name: { } name } => IsOwnPod(request.Namespace, name, site),
                { Verb: "delete", Subresource: null, Name: { } name } => IsOwnPod(request.Namespace, name, site),
                _ => false,
            },
            "events" => request.Verb is "create" or "update" or "patch" && MayReport(request, site),
            "leases" => request.Namespace == "kube-node-lease" && request.Verb is "create" or "update" or "patch" && IsOwnNode(request.Name ?? request.Document.Map("metadata").Text("name") ?? "", site),
            _ => false,
        };
        return allowed
            ? AccessDecision.Allow
            : Deny(request, $"site {site} may only register its nodes, report the status of its nodes and pods, and end its pods");
    }

    private bool MayReport(in AccessRequest request, string site)
    {
        // An event that exists must be about the site's own; so must what is written.
        if (request.Name is { } name && server.CacheOf(Kinds.Event).Get(Keys.Local(request.Namespace, name)) is { } old && !IsOwnEvent(old.Object, site))
            return false;
        if (request.Document is not { } document)
            return request.Verb == "patch" && request.Name is not null;
        JsonObject? about = document.Map(EventForms.IsNewer(request.Type) ? "regarding" : "involvedObject");
        return IsOwn(about.Text("kind"), about.Text("namespace"), about.Text("name"), site);
    }

    private bool IsOwnEvent(KubeObject e, string site)
    {
        ReadOnlySpan<byte> bytes = e.Utf8.Span;
        return IsOwn(ObjectBytes.Find(bytes, "involvedObject", "kind"), ObjectBytes.Find(bytes, "involvedObject", "namespace"), ObjectBytes.Find(bytes, "involvedObject", "name"), site);
    }

    private bool IsOwn(string? kind, string? ns, string? name, string site) => kind switch
    {
        "Node" => IsOwnNode(name ?? "", site),
        "Pod" => IsOwnPod(ns, name ?? "", site),
        "Site" => name == site,
        _ => false,
    };

    private bool IsOwnNode(string name, string site) =>
        server.CacheOf(Kinds.Node).Get(name)?.Object.Metadata.Label(WellKnown.SiteLabel) == site;

    private bool IsOwnPod(string? ns, string name, string site) =>
        server.CacheOf(Kinds.Pod).Get(Keys.Local(ns, name)) is { NodeName: { } node } && IsOwnNode(node, site);

    private bool IsOwnPod(KubeObject pod, string site) =>
        ObjectBytes.Find(pod.Utf8.Span, "spec", "nodeName") is { Length: > 0 } node && IsOwnNode(node, site);

    private bool IsReferenced(ResourceType type, string ns, string name, string site)
    {
        foreach (CachedObject node in server.CacheOf(Kinds.Node).List(Selection.All, "", out _))
        {
            if (node.Object.Metadata.Label(WellKnown.SiteLabel) != site)
                continue;
            Selection.TryMake(Kinds.Pod, ns, null, $"spec.nodeName={node.Key}", null, out Selection onNode);
            foreach (CachedObject pod in server.CacheOf(Kinds.Pod).List(onNode, "", out _))
                if (PodReferences.Names(pod.Object.View(ApiJson.Default.Pod).Spec, type, name))
                    return true;
        }
        return false;
    }

    private static AccessDecision Deny(in AccessRequest request, string why)
    {
        string what = request.Subresource is null ? request.Type.GroupResource : $"{request.Type.Plural}/{request.Subresource}";
        return new AccessDecision(ApiStatus.Forbidden(request.Type, request.Name ?? "", $"User \"{request.Identity.User}\" cannot {request.Verb} resource \"{what}\": {why}"));
    }
}
