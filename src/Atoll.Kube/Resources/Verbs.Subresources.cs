using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

internal sealed partial class Verbs
{
    /// <summary>pods/binding: gives a pod its node, once.</summary>
    public async ValueTask<WriteResult> BindAsync(string? ns, string name, JsonObject binding, CallContext call)
    {
        JsonObject? target = binding.Map("target");
        string node = target.Text("name") ?? "";
        if (node.Length == 0)
            return ApiStatus.Invalid(Kinds.Pod, name, [MetaRules.Cause("FieldValueRequired", "target.name", "Required value")]);
        if (target.Text("kind") is { Length: > 0 } kind and not "Node")
            return ApiStatus.Invalid(Kinds.Pod, name, [MetaRules.Cause("FieldValueNotSupported", "target.kind", $"Unsupported value: \"{kind}\": supported values: \"Node\"")]);
        JsonObject? meta = binding.Map("metadata");
        string? uid = meta.Text("uid"), version = meta.Text("resourceVersion");
        // The quick way, from what the cache holds and compared as it is stored. What is not as it should be goes the long way.
        if (!call.DryRun && call.Identity.IsTrusted && meta.Map("annotations") is null && Peek(Kinds.Pod, ns, name) is { } known
            && CheckPreconditions(Kinds.Pod, name, known, new DeleteOptions { Uid = uid, ResourceVersion = version }) is null
            && BoundPod.Of(known.Utf8.Span, node, Now()) is { } bytes && await StoreAsync(Kinds.Pod, ns, name, bytes, known, call).ConfigureAwait(false) is { } quick)
            return quick with { Created = true };
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            CachedObject? current = await ReadAsync(Kinds.Pod, ns, name, call.Cancellation).ConfigureAwait(false);
            if (current is null)
                return ApiStatus.NotFound(Kinds.Pod, name);
            if (CheckPreconditions(Kinds.Pod, name, current, new DeleteOptions { Uid = uid, ResourceVersion = version }) is { } conflict)
                return conflict;
            JsonObject pod = JsonNode.Parse(current.Utf8.Span)!.AsObject();
            if (pod.Map("metadata")!["deletionTimestamp"] is not null)
                return ApiStatus.Conflict(Kinds.Pod, name, $"pod {name} is being deleted, cannot be assigned to a host");
            if (pod.Map("spec").Text("nodeName") is { Length: > 0 } bound)
                return ApiStatus.Conflict(Kinds.Pod, name, $"pod {name} is already assigned to node \"{bound}\"");
            if (pod.Map("spec").List("schedulingGates") is { Count: > 0 })
                return ApiStatus.Conflict(Kinds.Pod, name, $"pod {name} has non-empty .spec.schedulingGates");
            Assign(pod, node, meta);
            if (AskPolicy(call, "create", Kinds.Pod, "binding", current.Object, pod) is { } refused)
                return refused;
            if (await StoreAsync(Kinds.Pod, ns, name, pod, current, call).ConfigureAwait(false) is { } done)
                return done with { Created = true };
        }
        return ApiStatus.Conflict(Kinds.Pod, name, "too many concurrent writes; try again");
    }

    private void Assign(JsonObject pod, string node, JsonObject? bindingMeta)
    {
        pod.Ensure("spec")["nodeName"] = node;
        JsonObject meta = pod.Map("metadata")!;
        if (bindingMeta.Map("annotations") is { } annotations)
            foreach ((string key, JsonNode? value) in annotations)
                meta.Ensure("annotations")[key] = value?.DeepClone();
        meta["generation"] = (meta.Number("generation") ?? 0) + 1;
        JsonObject status = pod.Ensure("status");
        if (status["conditions"] is not JsonArray conditions)
            status["conditions"] = conditions = [];
        for (int i = conditions.Count - 1; i >= 0; i--)
            if (conditions[i].Text("type") == "PodScheduled")
                conditions.RemoveAt(i);
        conditions.Add((JsonNode)new JsonObject { ["type"] = "PodScheduled", ["status"] = "True", ["lastProbeTime"] = null, ["lastTransitionTime"] = Now() });
    }

    /// <summary>pods/eviction: a graceful deletion, if the pod's disruption budget has one left.</summary>
    public async ValueTask<WriteResult> EvictAsync(string? ns, string name, JsonObject eviction, CallContext call)
    {
        if (eviction.Text("kind") is { Length: > 0 } kind and not "Eviction")
            return ApiStatus.BadRequest($"an Eviction (policy/v1) is needed, not a {kind}");
        string? given = eviction.Map("metadata").Text("name");
        if (!string.IsNullOrEmpty(given) && given != name)
            return ApiStatus.BadRequest($"name in URL does not match name in Eviction object: {name} is not {given}");
        (DeleteOptions deletion, ApiStatus? error) = DeleteOptionsReader.Read(eviction.Map("deleteOptions"));
        if (error is not null)
            return error;
        if (await SpendAsync(ns, name, call with { DryRun = call.DryRun || deletion.DryRun }).ConfigureAwait(false) is { } refused)
            return refused;
        WriteResult result = await DeleteAsync(Kinds.Pod, ns, name, deletion, call, "evict").ConfigureAwait(false);
        return result with { Created = result.Error is null };
    }

    /// <summary>The Scale (autoscaling/v1) of a workload.</summary>
    public static JsonObject ScaleOf(KubeObject workload)
    {
        JsonObject document = workload.ToNode();
        JsonObject meta = [];
        foreach (string field in (ReadOnlySpan<string>)["name", "namespace", "uid", "resourceVersion", "creationTimestamp"])
            meta.Put(field, document.Map("metadata")?[field]);
        long replicas = document.Map("spec").Number("replicas") ?? 1;
        return new JsonObject
        {
            ["kind"] = "Scale",
            ["apiVersion"] = "autoscaling/v1",
            ["metadata"] = meta,
            ["spec"] = replicas == 0 ? [] : new JsonObject { ["replicas"] = replicas },
            ["status"] = new JsonObject
            {
                ["replicas"] = document.Map("status").Number("replicas") ?? 0,
                ["selector"] = SelectorText(document.Map("spec").Map("selector")),
            },
        };
    }

    private static string SelectorText(JsonObject? selector)
    {
        var parts = new List<string>();
        foreach ((string key, JsonNode? value) in selector.Map("matchLabels") ?? [])
            parts.Add($"{key}={value}");
        foreach (JsonNode? requirement in selector.List("matchExpressions") ?? [])
        {
            string key = requirement.Text("key") ?? "", values = string.Join(",", MetaRules.Names(requirement.List("values")));
            parts.Add(requirement.Text("operator") switch
            {
                "In" => $"{key} in ({values})",
                "NotIn" => $"{key} notin ({values})",
                "DoesNotExist" => "!" + key,
                _ => key,
            });
        }
        return string.Join(",", parts);
    }

    private ValueTask<WriteResult> UpdateScaleAsync(ResourceType type, string? ns, string name, JsonObject scale, CallContext call)
    {
        if (scale.Text("kind") is { Length: > 0 } kind and not "Scale")
            return ValueTask.FromResult<WriteResult>(ApiStatus.BadRequest($"a Scale (autoscaling/v1) is needed, not a {kind}"));
        string? given = scale.Map("metadata").Text("name");
        if (!string.IsNullOrEmpty(given) && given != name)
            return ValueTask.FromResult<WriteResult>(ApiStatus.BadRequest($"the name of the object ({given}) does not match the name on the URL ({name})"));
        return ChangeAsync(type, ns, name, "scale", "update", call with { FieldValidation = "Ignore" }, old => Scaled(type, name, old, scale));
    }

    private ValueTask<WriteResult> PatchScaleAsync(ResourceType type, string? ns, string name, PatchType patchType, JsonNode patch, CallContext call) =>
        ChangeAsync(type, ns, name, "scale", "patch", call with { FieldValidation = "Ignore" }, old =>
        {
            JsonObject scale = ScaleOf(KubeObject.FromNode(old));
            (JsonObject? patched, ApiStatus? error) = ApplyPatch(type, name, scale, patchType, patch);
            return error is null ? Scaled(type, name, old, patched!) : (null, error);
        });

    private static (JsonObject? Next, ApiStatus? Error) Scaled(ResourceType type, string name, JsonObject old, JsonObject scale)
    {
        JsonNode? wanted = scale.Map("spec")?["replicas"];
        long replicas = scale.Map("spec").Number("replicas") ?? 0;
        if ((wanted is not null && scale.Map("spec").Number("replicas") is null) || replicas is < 0 or > int.MaxValue)
            return (null, ApiStatus.Invalid(type, name, [MetaRules.Cause("FieldValueInvalid", "spec.replicas", $"Invalid value: {wanted?.ToJsonString()}: must be a whole number from 0 to {int.MaxValue.ToString(CultureInfo.InvariantCulture)}")]));
        var next = (JsonObject)old.DeepClone();
        next.Ensure("spec")["replicas"] = replicas;
        foreach (string field in (ReadOnlySpan<string>)["uid", "resourceVersion"])
            if (scale.Map("metadata").Text(field) is { Length: > 0 } value)
                next.Map("metadata")![field] = value;
        return (next, null);
    }
}
