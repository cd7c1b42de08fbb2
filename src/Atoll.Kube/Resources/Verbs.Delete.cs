using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

internal sealed partial class Verbs
{
    public const string Foreground = "foregroundDeletion", Orphan = "orphan";

    private static readonly string[] s_lasting = ["default", "kube-system", "kube-public"];

    private const int DefaultPodGraceSeconds = 30;

    /// <summary>Asks for the deletion of one object. The result has the object while it remains, else the uid that went.</summary>
    public async ValueTask<WriteResult> DeleteAsync(ResourceType type, string? ns, string name, DeleteOptions deletion, CallContext call, string verb = "delete")
    {
        if (deletion.PropagationPolicy is not (null or "" or "Background" or "Foreground" or "Orphan"))
            return ApiStatus.BadRequest($"propagationPolicy \"{deletion.PropagationPolicy}\" is not known: Background, Foreground and Orphan are");
        if (type.Equals(Kinds.Namespace) && Array.IndexOf(s_lasting, name) >= 0)
            return ApiStatus.Forbidden(type, name, "this namespace may not be deleted: delete what is in it");
        if (deletion.GracePeriodSeconds < 0)
            deletion = deletion with { GracePeriodSeconds = 1 };
        call = deletion.DryRun ? call with { DryRun = true } : call;
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            CachedObject? current = await ReadAsync(type, ns, name, call.Cancellation).ConfigureAwait(false);
            if (current is null)
                return Missing(type, ns, name);
            if (CheckPreconditions(type, name, current, deletion) is { } conflict)
                return conflict;
            if (AskPolicy(call, verb, type, null, current.Object, null) is { } refused)
                return refused;
            JsonObject old = JsonNode.Parse(current.Utf8.Span)!.AsObject();
            JsonObject? remains = MarkDeleted(type, (JsonObject)old.DeepClone(), deletion);
            if (remains is not null && JsonNode.DeepEquals(old, remains))
                return current;
            WriteResult? written = remains is null
                ? await RemoveAsync(type, ns, name, current, call).ConfigureAwait(false)
                : await StoreAsync(type, ns, name, remains, current, call).ConfigureAwait(false);
            if (written is { } done)
                return done;
        }
        return ApiStatus.Conflict(type, name, "too many concurrent writes; try again");
    }

    private static ApiStatus? CheckPreconditions(ResourceType type, string name, CachedObject current, DeleteOptions deletion)
    {
        if (!string.IsNullOrEmpty(deletion.Uid) && deletion.Uid != current.Uid)
            return ApiStatus.Conflict(type, name, $"Precondition failed: UID in precondition: {deletion.Uid}, UID in object meta: {current.Uid}");
        string version = current.Revision.ToString(CultureInfo.InvariantCulture);
        if (!string.IsNullOrEmpty(deletion.ResourceVersion) && deletion.ResourceVersion != version)
            return ApiStatus.Conflict(type, name, $"Precondition failed: ResourceVersion in precondition: {deletion.ResourceVersion}, ResourceVersion in object meta: {version}");
        return null;
    }

    /// <summary>The object as it waits for its end, or null when nothing holds it. Source: BeforeDelete of Kubernetes' generic registry.</summary>
    private JsonObject? MarkDeleted(ResourceType type, JsonObject document, DeleteOptions deletion)
    {
        JsonObject meta = document.Map("metadata")!;
        SetPropagation(meta, deletion.PropagationPolicy);
        long grace = type.Equals(Kinds.Pod) ? PodGrace(document, deletion) : 0;
        bool held = meta.List("finalizers") is { Count: > 0 }
            || (type.Plural == "namespaces" && document.Map("spec").List("finalizers") is { Count: > 0 });
        if (meta["deletionTimestamp"] is not null)
        {
            long pending = meta.Number("deletionGracePeriodSeconds") ?? 0;
            // Asking again without a grace changes nothing; a longer one neither.
            bool shorten = type.Equals(Kinds.Pod) && deletion.GracePeriodSeconds is { } asked && asked < pending;
            if (!shorten && pending > 0 && (deletion.GracePeriodSeconds is not null || grace > 0))
                return document;
            if (grace == 0 && !held)
                return null;
            if (shorten)
                SetDeletion(meta, grace, bump: false);
            return document;
        }
        if (grace == 0 && !held)
            return null;
        SetDeletion(meta, grace, bump: Strategy.HasGeneration(type));
        if (type.Plural == "namespaces")
            document.Ensure("status")["phase"] = "Terminating";
        return document;
    }

    private void SetDeletion(JsonObject meta, long grace, bool bump)
    {
        meta["deletionTimestamp"] = KubeTime.Format(options.Time.GetUtcNow().AddSeconds(grace));
        meta["deletionGracePeriodSeconds"] = grace;
        if (bump)
            meta["generation"] = (meta.Number("generation") ?? 0) + 1;
    }

    // Pods that no node holds, and pods that ended, need no grace.
    private static long PodGrace(JsonObject pod, DeleteOptions deletion)
    {
        JsonObject? spec = pod.Map("spec");
        if (string.IsNullOrEmpty(spec.Text("nodeName")) || pod.Map("status").Text("phase") is "Succeeded" or "Failed")
            return 0;
        long grace = deletion.GracePeriodSeconds ?? spec.Number("terminationGracePeriodSeconds") ?? DefaultPodGraceSeconds;
        return Math.Clamp(grace, 0, int.MaxValue);
    }

    private static void SetPropagation(JsonObject meta, string? policy)
    {
        if (string.IsNullOrEmpty(policy))
            return;
        List<string> finalizers = [.. MetaRules.Names(meta.List("finalizers"))];
        bool changed = finalizers.RemoveAll(name => name is Foreground or Orphan) > 0;
        if (policy is "Foreground" or "Orphan")
        {
            finalizers.Add(policy == "Foreground" ? Foreground : Orphan);
            changed = true;
        }
        if (!changed)
            return;
        if (finalizers.Count == 0)
            meta.Remove("finalizers");
        else
            meta["finalizers"] = new JsonArray([.. finalizers.Select(name => (JsonNode?)JsonValue.Create(name))]);
    }
}
