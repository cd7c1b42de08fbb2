using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Apply;
using Atoll.Kube.Schema;

namespace Atoll.Kube.Resources;

/// <summary>
/// Server-side apply: a manager says which fields it wants how; what it said before and does not any more goes, what others
/// manage is a conflict unless it is the same. Source: Kubernetes, "Server-Side Apply".
/// </summary>
internal sealed partial class Verbs
{
    private static readonly ResourceType s_scale = new() { Group = "autoscaling", Version = "v1", Kind = "Scale", Plural = "scales", Namespaced = true };

    private const string Kubectl = "kubectl", LastApplied = "kubectl.kubernetes.io/last-applied-configuration";

    /// <summary>Applies a configuration, which is used up, for <see cref="CallContext.Manager"/>; makes the object when there is none, unless <paramref name="mayNotCreate"/> says why not.</summary>
    public async ValueTask<WriteResult> ApplyAsync(ResourceType type, string? ns, string name, JsonObject applied, string? subresource, bool force, ApiStatus? mayNotCreate, CallContext call)
    {
        if (subresource == "scale")
        {
            if (CheckPlace(s_scale, ns, name, applied) is { } other)
                return other;
            if (CheckTyped(s_scale, ns, name, FieldPlace.Root(Shapes.Instance.Find(s_scale.Group, s_scale.Version, s_scale.Kind)!), applied) is { } unknown)
                return unknown;
            applied = OfScale(applied);
        }
        if (CheckPlace(type, ns, name, applied) is { } misplaced)
            return misplaced;
        JsonObject meta = applied.Map("metadata")!;
        if (meta["managedFields"] is not null)
            return ApiStatus.BadRequest("metadata.managedFields must be nil");
        TypeShape shape = Shapes.Instance.Find(type.Group, type.Version, type.Kind)!;
        FieldPlace place = FieldPlace.Root(shape);
        Canonical.Apply(shape, applied);
        Strategy.FoldStringData(type, applied);
        LeaveOut(type, applied, subresource);
        if (CheckTyped(type, ns, name, place, applied) is { } untyped)
            return untyped;
        Structured.Tidy(place, applied);
        var manager = new FieldManager(call.Manager, IsApply: true, type.ApiVersion, subresource ?? "");
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            bool isThere = await ReadAsync(type, ns, name, call.Cancellation).ConfigureAwait(false) is not null;
            if (!isThere && (subresource is not null || meta.Text("resourceVersion") is { Length: > 0 }))
                return ApiStatus.NotFound(type, name);
            if (!isThere && meta.Text("uid") is { Length: > 0 } uid)
                return ApiStatus.Conflict(type, name, $"uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            if (!isThere && mayNotCreate is not null)
                return mayNotCreate;
            ManagedFields managed = new([]);
            WriteResult result = isThere
                ? await ChangeAsync(type, ns, name, subresource, "patch", call, live => Apply(type, place, live, applied, manager, force, out managed), changed => managed.With(manager, OwnFields(place, applied), Now(), changed)).ConfigureAwait(false)
                : await CreateAsync(type, ns, (JsonObject)applied.DeepClone(), call, managed.With(manager, OwnFields(place, applied), Now())).ConfigureAwait(false);
            // Somebody made it, or removed it, meanwhile.
            if (result.Error is not { } error || error.Reason != (isThere ? "NotFound" : "AlreadyExists") || error.Details?.Kind != type.Plural)
                return result;
        }
        return ApiStatus.Conflict(type, name, "too many concurrent writes; try again");
    }

    private static ApiStatus? CheckTyped(ResourceType type, string? ns, string name, FieldPlace place, JsonObject applied)
    {
        try
        {
            Structured.Check(place, applied, "");
            return null;
        }
        catch (ApplyException e)
        {
            return ApiStatus.BadRequest($"failed to create typed patch object ({(ns is null ? name : $"{ns}/{name}")}; {type.ApiVersion}, Kind={type.Kind}): {e.Message}");
        }
    }

    // What a Scale says of its workload: which one it is, and how many replicas it should have.
    private static JsonObject OfScale(JsonObject scale)
    {
        var meta = new JsonObject();
        foreach (string field in (ReadOnlySpan<string>)["uid", "resourceVersion", "managedFields"])
            meta.Put(field, scale.Map("metadata")?[field]);
        var workload = new JsonObject { ["metadata"] = meta };
        if (scale.Map("spec")?["replicas"] is { } replicas)
            workload["spec"] = new JsonObject { ["replicas"] = replicas.DeepClone() };
        return workload;
    }

    // What only names the object says nothing of it.
    private static FieldSet OwnFields(FieldPlace place, JsonObject applied)
    {
        JsonObject own = ManagedFields.Ownable(applied);
        if (own.Map("metadata") is { Count: 0 })
            own.Remove("metadata");
        return Structured.FieldsOf(place, own);
    }

    // What cannot be written this way is nobody's.
    private static void LeaveOut(ResourceType type, JsonObject applied, string? subresource)
    {
        if (subresource is null && type.Has("status"))
            applied.Remove("status");
        if (subresource != "status")
            return;
        foreach (string field in applied.Select(f => f.Key).Where(f => f is not ("apiVersion" or "kind" or "metadata" or "status")).ToList())
            applied.Remove(field);
        JsonObject meta = applied.Map("metadata")!;
        foreach (string field in meta.Select(f => f.Key).Where(f => f is not ("name" or "namespace" or "uid" or "resourceVersion" or "annotations")).ToList())
            meta.Remove(field);
    }

    private (JsonObject? Next, ApiStatus? Error) Apply(ResourceType type, FieldPlace place, JsonObject live, JsonObject applied, FieldManager manager, bool force, out ManagedFields managed)
    {
        managed = ManagedFields.Of(live);
        JsonObject before = ManagedFields.Ownable(live);
        // kubectl keeps that for whole objects, not for their scale.
        bool isWhole = manager.Subresource != "scale";
        FieldSet ofKubectl = OfLastApplied(place, live);
        if (managed.IsEmpty)
        {
            FieldSet owned = FirstOwned(type, place, before, manager);
            managed = managed.With(new(FieldManager.BeforeFirstApply, IsApply: false, type.ApiVersion, ""), owned.Except(ofKubectl), Now())
                .With(new(FieldManager.KubectlBefore, IsApply: false, type.ApiVersion, ""), owned.Intersect(ofKubectl), Now());
        }
        var next = (JsonObject)Structured.Merge(place, live, applied)!;
        // Its own fields with those that name the object, so that what holds them stays.
        if (managed.FieldsOf(manager) is { } had)
            Structured.Prune(place, next, had, managed.With(manager, Structured.FieldsOf(place, applied), Now()).All());
        var change = FieldDifference.Of(place, before, ManagedFields.Ownable(next));
        if (!force && Conflict(managed.Conflicts(manager, change), manager.Name == Kubectl && isWhole ? ofKubectl : new FieldSet()) is { } conflict)
            return (null, conflict);
        managed = managed.Without(manager, change);
        // What kubectl keeps for applies from its own side stays in step.
        if (manager.Name == Kubectl && isWhole && live.Map("metadata").Map("annotations").Text(LastApplied) is not null)
            next.Map("metadata")!.Ensure("annotations")[LastApplied] = ForKubectl(applied);
        return (next, null);
    }

    private static FieldSet FirstOwned(ResourceType type, FieldPlace place, JsonObject live, FieldManager manager)
    {
        var owned = (JsonObject)live.DeepClone();
        LeaveOut(type, owned, manager.Subresource == "status" ? "status" : null);
        return FieldDifference.Of(place, new JsonObject { ["metadata"] = new JsonObject() }, owned).Added;
    }

    private static string ForKubectl(JsonObject applied)
    {
        var copy = (JsonObject)applied.DeepClone();
        copy.Map("metadata").Map("annotations")?.Remove(LastApplied);
        return System.Text.Encoding.UTF8.GetString(copy.ToBytes()) + "\n";
    }

    /// <summary>What kubectl applied from its own side last and is still as it was, and its note of that: kubectl itself may take it over, and does.</summary>
    private static FieldSet OfLastApplied(FieldPlace place, JsonObject live)
    {
        if (live.Map("metadata").Map("annotations").Text(LastApplied) is not { } text)
            return new FieldSet();
        try
        {
            if (Json.Parse(System.Text.Encoding.UTF8.GetBytes(text), null) is not JsonObject last)
                return new FieldSet();
            last = ManagedFields.Ownable(last);
            var since = FieldDifference.Of(place, last, ManagedFields.Ownable(live));
            FieldSet note = Structured.FieldsOf(place, new JsonObject { ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { [LastApplied] = "" } } });
            return Structured.FieldsOf(place, last).Except(since.Written).Except(since.Removed).Union(note);
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            return new FieldSet();
        }
    }

    private static ApiStatus? Conflict(IEnumerable<(FieldManager Manager, string? Time, FieldSet Fields)> found, FieldSet allowed)
    {
        var causes = new List<StatusCause>();
        var text = new System.Text.StringBuilder();
        foreach ((FieldManager manager, string? time, FieldSet fields) in found.OrderBy(f => f.Manager.Name, StringComparer.Ordinal))
        {
            string who = $"\"{manager.Name}\"{(manager.Subresource.Length > 0 ? $" with subresource \"{manager.Subresource}\"" : "")}{(manager.IsApply ? "" : $" using {manager.ApiVersion}{(time is null ? "" : $" at {time}")}")}";
            bool first = true;
            foreach (string path in fields.Except(allowed).Paths())
            {
                causes.Add(MetaRules.Cause("FieldManagerConflict", path, $"conflict with {who}"));
                text.Append(first ? $"{(text.Length == 0 ? "" : "\n")}conflicts with {who}:" : "").Append("\n- ").Append(path);
                first = false;
            }
        }
        return causes.Count == 0 ? null : new ApiStatus
        {
            Code = (int)HttpStatusCode.Conflict,
            Reason = "Conflict",
            Message = causes.Count == 1 ? $"Apply failed with 1 conflict: {causes[0].Message}: {causes[0].Field}" : $"Apply failed with {causes.Count} conflicts: {text}",
            Details = new StatusDetails { Causes = causes },
        };
    }

    /// <summary>Who manages which fields after a write that is no apply; empty for an object that nobody applied.</summary>
    private ManagedFields Track(ResourceType type, JsonObject old, JsonObject next, ManagedFields? given, string? subresource, CallContext call)
    {
        var known = ManagedFields.Of(old);
        if (known.IsEmpty)
            return known;
        // A client may put the entries themselves in order, as kubectl does when it goes over to server-side apply.
        known = (subresource is null ? given : null) ?? known;
        var change = FieldDifference.Of(FieldPlace.Root(Shapes.Instance.Find(type.Group, type.Version, type.Kind)!), ManagedFields.Ownable(old), ManagedFields.Ownable(next));
        return known.IsEmpty ? known : known.Updated(new(call.Manager, IsApply: false, type.ApiVersion, subresource ?? ""), change, Now());
    }
}
