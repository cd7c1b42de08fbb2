using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Patches;
using Atoll.Api.Resources;
using Atoll.Kube.Apply;
using Atoll.Kube.Schema;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

internal sealed partial class Verbs
{
    /// <summary>A change of a document: the new document (used up later), or why not.</summary>
    private delegate (JsonObject? Next, ApiStatus? Error) Change(JsonObject old);

    /// <summary>Replaces an object, or a part of it through a subresource.</summary>
    public ValueTask<WriteResult> UpdateAsync(ResourceType type, string? ns, string name, JsonObject document, string? subresource, CallContext call)
    {
        if (subresource == "scale")
            return UpdateScaleAsync(type, ns, name, document, call);
        if (CheckPlace(type, ns, name, document) is { } misplaced)
            return ValueTask.FromResult<WriteResult>(misplaced);
        return ChangeAsync(type, ns, name, subresource, "update", call, _ => ((JsonObject)document.DeepClone(), null));
    }

    /// <summary>Patches an object, or a part of it through a subresource.</summary>
    public ValueTask<WriteResult> PatchAsync(ResourceType type, string? ns, string name, PatchType patchType, JsonNode patch, string? subresource, CallContext call)
    {
        if (subresource == "scale")
            return PatchScaleAsync(type, ns, name, patchType, patch, call);
        return ChangeAsync(type, ns, name, subresource, "patch", call, old =>
        {
            (JsonObject? patched, ApiStatus? error) = ApplyPatch(type, name, old, patchType, patch);
            return error is null && CheckPatchedPlace(type, ns, name, patched!) is { } moved ? (null, moved) : (patched, error);
        });
    }

    // Names in a patched document must be what they were; a PUT says so in other words (400).
    private static ApiStatus? CheckPatchedPlace(ResourceType type, string? ns, string name, JsonObject patched)
    {
        if (patched["metadata"] is not null and not JsonObject)
            return ApiStatus.BadRequest("metadata must be an object");
        return CheckPlace(type, ns, name, patched);
    }

    internal static (JsonObject? Patched, ApiStatus? Error) ApplyPatch(ResourceType type, string name, JsonObject old, PatchType patchType, JsonNode patch)
    {
        if (patchType == PatchType.Json)
        {
            if (patch is not JsonArray)
                return (null, ApiStatus.BadRequest("a JSON patch must be an array of operations"));
            PatchResult result = JsonPatch.Apply(old, patch);
            return result.Error is null && result.Document is JsonObject document
                ? (document, null)
                : (null, Unprocessable(type, name, result.Error ?? "the patch leaves no object"));
        }
        if (patch is not JsonObject changes)
            return (null, ApiStatus.BadRequest("a merge patch must be an object"));
        if (patchType == PatchType.Merge)
            return ((JsonObject)MergePatch.Apply(old, changes)!, null);
        PatchResult merged = StrategicMergePatch.Apply(old, changes);
        return merged.Error is null ? ((JsonObject)merged.Document!, null) : (null, ApiStatus.BadRequest($"{type.GroupResource} \"{name}\": {merged.Error}"));
    }

    private static ApiStatus Unprocessable(ResourceType type, string name, string message)
    {
        ApiStatus status = ApiStatus.Invalid(type, name, []);
        status.Message = $"the server rejected our request due to an error in our request: {message}";
        // Old clients show the causes and not the message.
        status.Details!.Causes = [MetaRules.Cause("FieldValueInvalid", "patch", message)];
        return status;
    }

    /// <summary>
    /// Read, change, compare-and-set; again when a race was lost and the client asked for no version. <paramref name="applied"/> tells, for an
    /// apply, who manages which fields afterwards; it is told whether anything else changed.
    /// </summary>
    private async ValueTask<WriteResult> ChangeAsync(ResourceType type, string? ns, string name, string? subresource, string verb, CallContext call, Change change, Func<bool, ManagedFields>? applied = null)
    {
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            CachedObject? current = await ReadAsync(type, ns, name, call.Cancellation).ConfigureAwait(false);
            if (current is null)
                return Missing(type, ns, name);
            JsonObject old = JsonNode.Parse(current.Utf8.Span)!.AsObject();
            (JsonObject? sent, ApiStatus? error) = change(EventForms.ToServed(type, old));
            if (error is not null)
                return error;
            if (CheckVersion(type, name, sent!, current) is { } conflict)
                return conflict;
            if (CheckFields(type, sent!, EventForms.ToServed(type, old), call) is { } unknown)
                return unknown;
            ManagedFields? given = ManagedFields.Given(sent!);
            JsonObject next = EventForms.ToStored(type, sent!);
            if (Finish(type, old, ref next, subresource, verb, current, call) is { } refused)
                return refused;
            if (applied is not null)
                applied(!SameWithoutManagers(old, next)).Write(next);
            else
                Track(type, old, next, given, subresource, call).Write(next);
            if (JsonNode.DeepEquals(old, next))
                return current;
            bool over = IsOver(type, old, next);
            WriteResult? written = over
                ? await RemoveAsync(type, ns, name, current, call).ConfigureAwait(false)
                : await StoreAsync(type, ns, name, next, current, call).ConfigureAwait(false);
            if (written is { } done)
                return over ? done with { Object = Final(current, next) } : done;
        }
        return ApiStatus.Conflict(type, name, "too many concurrent writes; try again");
    }

    private static bool SameWithoutManagers(JsonObject old, JsonObject next)
    {
        var bare = (JsonObject)old.DeepClone();
        bare.Map("metadata")!.Remove("managedFields");
        return JsonNode.DeepEquals(bare, next);
    }

    private static CachedObject Final(CachedObject current, JsonObject last)
    {
        last.Map("metadata")!.Remove("resourceVersion");
        return new CachedObject(current.Key, last.ToBytes(), current.Revision, isPod: false);
    }

    private static ApiStatus? CheckVersion(ResourceType type, string name, JsonObject next, CachedObject current)
    {
        JsonObject meta = next.Ensure("metadata");
        string? uid = meta.Text("uid"), version = meta.Text("resourceVersion");
        if (!string.IsNullOrEmpty(uid) && uid != current.Uid)
            return ApiStatus.Conflict(type, name, $"Precondition failed: UID in precondition: {uid}, UID in object meta: {current.Uid}");
        if (!string.IsNullOrEmpty(version) && version != "0" && version != current.Revision.ToString(CultureInfo.InvariantCulture))
            return ApiStatus.Conflict(type, name, "the object has been modified; please apply your changes to the latest version and try again");
        return null;
    }

    /// <summary>From what the client sent to what is stored: strategy, metadata, defaults, generation, validation, policy.</summary>
    private ApiStatus? Finish(ResourceType type, JsonObject old, ref JsonObject next, string? subresource, string verb, CachedObject current, CallContext call)
    {
        ResourceType stored = EventForms.IsNewer(type) ? Kinds.Event : type;
        next = Strategy.PrepareForUpdate(stored, old, next, subresource);
        var causes = new List<StatusCause>();
        JsonObject meta = next.Ensure("metadata");
        MetaRules.CarryOver(old.Map("metadata")!, meta, causes);
        meta["resourceVersion"] = current.Revision.ToString(CultureInfo.InvariantCulture);
        MetaRules.Check(type, meta, causes);
        string name = meta.Text("name") ?? "";
        if (causes.Count > 0)
            return ApiStatus.Invalid(type, name, causes);
        if (stored.Equals(Kinds.Pod))
            BatchResources.Convert(next);
        ObjectSchemas.ApplyDefaults(stored, next);
        if (stored.Equals(Kinds.Pod))
            PodAdmission.CarryOver(old, next);
        if (stored.Equals(Kinds.PriorityClass) && PodAdmission.CheckOneDefault(next, cacheOf(stored)) is { } second)
            return second;
        Strategy.BumpGeneration(stored, old, next);
        causes.AddRange(ObjectSchemas.Validate(stored, next, old, subresource));
        if (causes.Count > 0)
            return ApiStatus.Invalid(type, name, causes);
        return AskPolicy(call, verb, type, subresource, current.Object, next);
    }

    /// <summary>True when a change takes the last finalizer of an object whose deletion waits for nothing else.</summary>
    private static bool IsOver(ResourceType type, JsonObject old, JsonObject next)
    {
        JsonObject meta = next.Map("metadata")!;
        if (meta["deletionTimestamp"] is null || meta.List("finalizers") is { Count: > 0 })
            return false;
        if (type.Plural == "namespaces" && next.Map("spec").List("finalizers") is { Count: > 0 })
            return false;
        bool had = old.Map("metadata").List("finalizers") is { Count: > 0 } || (type.Plural == "namespaces" && old.Map("spec").List("finalizers") is { Count: > 0 });
        return had && meta.Number("deletionGracePeriodSeconds") is null or 0;
    }
}
