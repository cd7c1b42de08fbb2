using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

/// <summary>
/// What a new pod takes from the classes that it names: its priority and whether it may preempt from its PriorityClass,
/// overhead, node selector and tolerations from its RuntimeClass. Source: Kubernetes' admission plugins Priority and
/// RuntimeClass, in their words.
/// </summary>
internal static class PodAdmission
{
    private const string DefaultPolicy = "PreemptLowerPriority";

    /// <summary>Classes that every cluster has.</summary>
    public static readonly (string Name, long Value, string Policy, string Description)[] SystemClasses =
    [
        ("system-node-critical", 2_000_001_000, DefaultPolicy, "Used for system critical pods that must not be moved from their current node."),
        ("system-cluster-critical", 2_000_000_000, DefaultPolicy, "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
        (WellKnown.BatchClass, -1_000_000, "Never", "Used for offline pods that run in what online pods reserved and do not use."),
    ];

    /// <summary>Fills a new pod in, or says why it is refused. What a trusted writer (a site's replacement) brings along is kept.</summary>
    public static ApiStatus? Admit(JsonObject pod, Func<ResourceType, ResourceCache> cacheOf, bool trusted)
    {
        JsonObject spec = pod.Ensure("spec");
        string? why = (trusted && spec.Number("priority") is not null ? null : Priority(spec, cacheOf(Kinds.PriorityClass)))
            ?? (trusted && spec["overhead"] is not null ? null : RuntimeClass(spec, cacheOf(Kinds.RuntimeClass)));
        JsonObject? meta = pod.Map("metadata");
        return why is null ? null : ApiStatus.Forbidden(Kinds.Pod, meta.Text("name") ?? meta.Text("generateName") ?? "", why);
    }

    /// <summary>A replacing document that says nothing of the priority leaves it as it was; one that says another end of a pod that has ended too.</summary>
    public static void CarryOver(JsonObject old, JsonObject next)
    {
        KeepEnd(old, next);
        foreach (string field in (ReadOnlySpan<string>)["priority", "preemptionPolicy"])
            if (old.Map("spec")?[field] is { } value && next.Map("spec") is { } spec && spec[field] is null)
                spec.Put(field, value);
    }

    /// <summary>
    /// A pod that has ended stays as it ended. One that was given up for its dead node: a word of that node that was under way when the site did
    /// it must not bring the pod back beside its replacement. One that came to its end by itself: a site whose leader had an older copy must
    /// not make a loss of what was counted already.
    /// </summary>
    public static void KeepEnd(JsonObject old, JsonObject next)
    {
        JsonObject? last = old.Map("status"), said = next.Map("status");
        if (IsGivenUp(last) || (HasEnded(last) && (said.Text("phase") != last.Text("phase") || IsGivenUp(said))))
            next["status"] = last!.DeepClone();
    }

    /// <summary>A pod's status says that it has ended.</summary>
    public static bool HasEnded(JsonObject? status) => status.Text("phase") is "Succeeded" or "Failed";

    /// <summary>A pod's status says that it was given up for its dead node.</summary>
    public static bool IsGivenUp(JsonObject? status) => status.Text("phase") == "Failed" && status.Text("reason") == WellKnown.NodeLost;

    /// <summary>Only one class can be the default of pods that name none.</summary>
    public static ApiStatus? CheckOneDefault(JsonObject document, ResourceCache classes)
    {
        if (!IsDefault(document))
            return null;
        string name = document.Map("metadata").Text("name") ?? "";
        foreach (JsonObject other in All(classes))
            if (IsDefault(other) && other.Map("metadata").Text("name") is { } holder && holder != name)
                return ApiStatus.Forbidden(Kinds.PriorityClass, name, $"PriorityClass {holder} is already marked as default. Only one default can exist");
        return null;
    }

    private static string? Priority(JsonObject spec, ResourceCache classes)
    {
        string name = spec.Text("priorityClassName") ?? "";
        long value = 0;
        string policy = DefaultPolicy;
        if (name.Length == 0 && Default(classes) is { } byDefault)
        {
            name = byDefault.Map("metadata").Text("name")!;
            spec["priorityClassName"] = name;
        }
        if (name.Length > 0)
        {
            if (Find(classes, name) is { } found)
                (value, policy) = (found.Number("value") ?? 0, found.Text("preemptionPolicy") ?? DefaultPolicy);
            else if (Array.Find(SystemClasses, known => known.Name == name) is { Name: not null } known)
                (value, policy) = (known.Value, known.Policy);
            else
                return $"no PriorityClass with name {name} was found";
        }
        if (spec["priority"] is { } given && spec.Number("priority") != value)
            return $"the integer value of priority ({given.ToJsonString()}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name";
        if (spec.Text("preemptionPolicy") is { Length: > 0 } asked && asked != policy)
            return $"the string value of PreemptionPolicy ({asked}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name";
        spec["priority"] = value;
        spec["preemptionPolicy"] = policy;
        return null;
    }

    private static string? RuntimeClass(JsonObject spec, ResourceCache classes)
    {
        JsonObject? found = null;
        if (spec.Text("runtimeClassName") is { Length: > 0 } name && (found = Find(classes, name)) is null)
            return $"pod rejected: RuntimeClass \"{name}\" not found";
        JsonObject? overhead = found.Map("overhead").Map("podFixed");
        if (spec.Map("overhead") is { Count: > 0 } given && !JsonNode.DeepEquals(given, overhead))
            return found is null
                ? "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
                : "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
        if (overhead is { Count: > 0 })
            spec.Put("overhead", overhead);
        return Scheduling(spec, found.Map("scheduling"));
    }

    private static string? Scheduling(JsonObject spec, JsonObject? scheduling)
    {
        if (scheduling.Map("nodeSelector") is { Count: > 0 } wanted)
        {
            JsonObject selector = spec.Ensure("nodeSelector");
            foreach ((string key, JsonNode? value) in wanted)
            {
                if (selector.Text(key) is { } own && own != wanted.Text(key))
                    return $"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted.Text(key)}; pod.spec.nodeSelector[{key}] = {own}";
                selector.Put(key, value);
            }
        }
        if (scheduling.List("tolerations") is not { Count: > 0 } tolerations)
            return null;
        if (spec["tolerations"] is not JsonArray all)
            spec["tolerations"] = all = [];
        foreach (JsonNode? toleration in tolerations)
            if (!all.Any(existing => JsonNode.DeepEquals(existing, toleration)))
                all.Add(toleration?.DeepClone());
        return null;
    }

    // Two defaults can only be left from a race: the lowest counts, as in Kubernetes.
    private static JsonObject? Default(ResourceCache classes) => Marked(classes).MinBy(found => found.Number("value") ?? 0);

    // Stored documents have no blanks between tokens: only those that may be marked are read.
    private static IEnumerable<JsonObject> Marked(ResourceCache classes) =>
        classes.List(Selection.All, "", out _).Where(static found => found.Utf8.Span.IndexOf("\"globalDefault\":true"u8) >= 0).Select(Document).Where(IsDefault);

    private static bool IsDefault(JsonObject document) =>
        document["globalDefault"] is JsonValue flag && flag.GetValueKind() == System.Text.Json.JsonValueKind.True;

    private static JsonObject? Find(ResourceCache classes, string name) =>
        classes.Get(Keys.Local(null, name)) is { } cached ? Document(cached) : null;

    private static IEnumerable<JsonObject> All(ResourceCache classes) => classes.List(Selection.All, "", out _).Select(Document);

    private static JsonObject Document(CachedObject cached) => JsonNode.Parse(cached.Utf8.Span)!.AsObject();
}
