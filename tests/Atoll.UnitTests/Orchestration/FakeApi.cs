using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Api.Patches;
using Atoll.Api.Resources;
using Atoll.Kube.Import;
using Atoll.Kube.Resources;

namespace Atoll.UnitTests.Orchestration;

/// <summary>
/// A small API in memory with what controllers rely on: versions, identities, preconditions, generations, finalizers,
/// graceful deletion of bound pods, subresources status and finalize. Its log lets a test show changes late.
/// </summary>
internal sealed class FakeApi(TimeProvider time, long revision = 100) : IResources
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Resource, string Key), KubeObject> _items = [];
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _revision = revision;
    private int _ids;

    public List<(long Revision, ResourceType Type, WatchEventType Event, KubeObject Object)> Log { get; } = [];

    /// <summary>Called before each write (verb, type); an answer refuses it.</summary>
    public Func<string, ResourceType, ApiStatus?>? Refuse { get; set; }

    /// <summary>Called after each write took effect; true loses the answer, as a broken connection does.</summary>
    public Func<bool>? LoseAnswer { get; set; }

    /// <summary>Called in each write, with the state before and after (null: removed).</summary>
    public Action<ResourceType, KubeObject?, KubeObject?>? Stored { get; set; }

    /// <summary>Revision of the last write.</summary>
    public long Revision => _revision;

    /// <summary>Undoes every write above a revision, newest first, given what was there before each.</summary>
    public void Rewind(long to, Func<int, KubeObject?> before)
    {
        lock (_gate)
        {
            for (int i = Log.Count - 1; i >= 0 && Log[i].Revision > to; i--)
            {
                (string, string) key = (Log[i].Type.GroupResource, Log[i].Object.Key);
                if (before(i) is { } old)
                    _items[key] = old;
                else
                    _items.Remove(key);
                Log.RemoveAt(i);
            }
            _revision = to;
        }
    }

    /// <summary>Begins the next epoch, as a store does that was put back: no revision of the one before comes again.</summary>
    public void BeginEpoch() => _revision = ((_revision >> 48) + 1) << 48;

    public List<KubeObject> All(ResourceType type)
    {
        lock (_gate)
            return [.. _items.Where(i => i.Key.Resource == type.GroupResource).Select(i => i.Value)];
    }

    public KubeObject? Find(ResourceType type, string key)
    {
        lock (_gate)
            return _items.GetValueOrDefault((type.GroupResource, key));
    }

    public ValueTask<ApiResult> GetAsync(ResourceType type, string? ns, string name, CancellationToken cancellation) =>
        ValueTask.FromResult(Find(type, Key(ns, name)) is { } found ? (ApiResult)found : ApiStatus.NotFound(type, name));

    public ValueTask<ApiList> ListAsync(ResourceType type, string? ns, ListOptions options, CancellationToken cancellation)
    {
        lock (_gate)
            return ValueTask.FromResult(new ApiList([.. All(type).Where(o => ns is null || o.Namespace == ns)], _revision.ToString(CultureInfo.InvariantCulture)));
    }

    public async IAsyncEnumerable<WatchEvent> WatchAsync(ResourceType type, string? ns, WatchOptions options, [EnumeratorCancellation] CancellationToken cancellation)
    {
        long from = long.Parse(options.ResourceVersion ?? "0", CultureInfo.InvariantCulture);
        int next = 0;
        while (true)
        {
            Task changed;
            var found = new List<WatchEvent>();
            lock (_gate)
            {
                changed = _changed.Task;
                for (; next < Log.Count; next++)
                    if (Log[next].Revision > from && Log[next].Type == type && (ns is null || Log[next].Object.Namespace == ns))
                        found.Add(new WatchEvent(Log[next].Event, Log[next].Object));
            }
            foreach (WatchEvent e in found)
                yield return e;
            await changed.WaitAsync(cancellation);
        }
    }

    public ValueTask<ApiResult> CreateAsync(ResourceType type, string? ns, JsonObject document, CancellationToken cancellation, string? name = null, string? subresource = null) => Write("create", type, () =>
    {
        JsonObject copy = document.DeepClone().AsObject();
        JsonObject metadata = copy["metadata"]!.AsObject();
        if (subresource == "binding")
            return Bind(ns, name!, copy);
        if ((string?)metadata["name"] is null)
            metadata["name"] = (string?)metadata["generateName"] + "x" + (++_ids).ToString("x5", CultureInfo.InvariantCulture);
        if (type.Namespaced)
            metadata["namespace"] = ns;
        string key = Key(type.Namespaced ? ns : null, (string)metadata["name"]!);
        if (_items.ContainsKey((type.GroupResource, key)))
            return ApiStatus.AlreadyExists(type, (string)metadata["name"]!);
        // An API server keeps the identity that a site gave its node.
        metadata["uid"] ??= "uid-" + (++_ids).ToString(CultureInfo.InvariantCulture);
        metadata["creationTimestamp"] = KubeTime.Format(time.GetUtcNow());
        metadata["generation"] = 1;
        if (type == Kinds.Namespace)
            copy["spec"] = new JsonObject { ["finalizers"] = new JsonArray("kubernetes") };
        return Store(type, copy, WatchEventType.Added);
    });

    public ValueTask<ApiResult> UpdateAsync(ResourceType type, string? ns, string name, JsonObject document, CancellationToken cancellation, string? subresource = null) => Write("update", type, () =>
    {
        KubeObject? old = Find(type, Key(ns, name));
        return old is null ? ApiStatus.NotFound(type, name) : Replace(type, old, document.DeepClone().AsObject(), subresource);
    });

    public ValueTask<ApiResult> PatchAsync(ResourceType type, string? ns, string name, PatchType patchType, JsonNode patch, CancellationToken cancellation, string? subresource = null) => Write("patch", type, () =>
    {
        KubeObject? old = Find(type, Key(ns, name));
        if (old is null)
            return ApiStatus.NotFound(type, name);
        if (patchType == PatchType.Json)
            return JsonPatch.Apply(old.ToNode(), patch) is { Document: JsonObject patched } ? Replace(type, old, patched, subresource) : ApiStatus.Conflict(type, name, "the patch does not apply");
        Assert.True(patchType is PatchType.Merge or PatchType.StrategicMerge);
        if (patch["metadata"]?["uid"] is { } uid && (string)uid! != old.Uid)
            return ApiStatus.Conflict(type, name, "uid");
        return Replace(type, old, patchType == PatchType.Merge ? Merge(old.ToNode(), patch.AsObject()) : StrategicMergePatch.Apply(old.ToNode(), patch.AsObject()).Document!.AsObject(), subresource);
    });

    public ValueTask<ApiResult> DeleteAsync(ResourceType type, string? ns, string name, DeleteOptions options, CancellationToken cancellation) => Write("delete", type, () =>
    {
        KubeObject? old = Find(type, Key(ns, name));
        if (old is null)
            return ApiStatus.NotFound(type, name);
        if ((options.Uid is not null && options.Uid != old.Uid) || (options.ResourceVersion is not null && options.ResourceVersion != old.ResourceVersion))
            return ApiStatus.Conflict(type, name, "precondition");
        JsonObject node = old.ToNode();
        JsonArray finalizers = node["metadata"]!["finalizers"] as JsonArray ?? [];
        node["metadata"]!["finalizers"] = finalizers;
        foreach ((string policy, string finalizer) in new[] { ("Foreground", "foregroundDeletion"), ("Orphan", "orphan") })
            if (options.PropagationPolicy == policy && !finalizers.Any(f => (string?)f == finalizer))
                finalizers.Add((JsonNode)finalizer);
        bool graceful = type == Kinds.Pod && options.GracePeriodSeconds != 0 && !string.IsNullOrEmpty((string?)node["spec"]?["nodeName"])
            && (string?)node["status"]?["phase"] is not ("Succeeded" or "Failed");
        if (finalizers.Count == 0 && !graceful && type != Kinds.Namespace)
        {
            Remove(type, old);
            return default;
        }
        if (node["metadata"]!["deletionTimestamp"] is not null && !(options.GracePeriodSeconds == 0 && finalizers.Count == 0))
            return old;
        node["metadata"]!["deletionTimestamp"] ??= KubeTime.Format(time.GetUtcNow());
        if (options.GracePeriodSeconds == 0)
            node["metadata"]!["deletionGracePeriodSeconds"] = 0;
        if (type == Kinds.Namespace)
            node["status"] = new JsonObject { ["phase"] = "Terminating" };
        return Store(type, node, WatchEventType.Modified);
    });

    /// <summary>Takes whole objects over in one revision, or, when one of them changed meanwhile, none.</summary>
    public ValueTask<ImportResult> ImportAsync(ImportBatch batch, CancellationToken cancellation)
    {
        lock (_gate)
        {
            var now = new List<(ImportObject Item, KubeObject? Old, JsonObject Document)>();
            foreach (ImportObject item in batch.Upserts)
            {
                JsonNode metadata = item.Document["metadata"]!;
                KubeObject? old = Find(item.Type, Key((string?)metadata["namespace"], (string)metadata["name"]!));
                if (item.Over is { } version && old?.ResourceVersion != version)
                    return ValueTask.FromResult(new ImportResult(_revision, ApiStatus.Conflict(item.Type, (string)metadata["name"]!, "it was changed meanwhile")));
                if (item.Merged(old?.ToNode()) is { } document)
                    now.Add((item, old, document));
            }
            for (int i = 0; i < now.Count; i++)
                Store(now[i].Item.Type, now[i].Document, now[i].Old is null ? WatchEventType.Added : WatchEventType.Modified, same: i > 0);
            return ValueTask.FromResult(new ImportResult(_revision, null));
        }
    }

    /// <summary>What a kubelet does at the end: the object is gone, whatever its grace (finalizers still hold it).</summary>
    public void Finish(ResourceType type, KubeObject value)
    {
        lock (_gate)
            if (Find(type, value.Key) is { } now && now.Uid == value.Uid && (now.Metadata.Finalizers ?? []).Count == 0)
                Remove(type, now);
    }

    private ApiResult Bind(string? ns, string name, JsonObject binding)
    {
        KubeObject? pod = Find(Kinds.Pod, Key(ns, name));
        if (pod is null)
            return ApiStatus.NotFound(Kinds.Pod, name);
        JsonObject node = pod.ToNode();
        if ((string?)binding["metadata"]?["uid"] is { } uid && uid != pod.Uid)
            return ApiStatus.Conflict(Kinds.Pod, name, "uid");
        if (!string.IsNullOrEmpty((string?)node["spec"]?["nodeName"]))
            return ApiStatus.Conflict(Kinds.Pod, name, "it is already assigned to a node");
        node["spec"]!["nodeName"] = (string?)binding["target"]?["name"];
        if (binding["metadata"]?["annotations"] is { } annotations)
            Merge(node["metadata"]!.AsObject(), new JsonObject { ["annotations"] = annotations.DeepClone() });
        Store(Kinds.Pod, node, WatchEventType.Modified);
        return default;
    }

    private ValueTask<ApiResult> Write(string verb, ResourceType type, Func<ApiResult> write)
    {
        lock (_gate)
        {
            if (Refuse?.Invoke(verb, type) is { } refused)
                return ValueTask.FromResult((ApiResult)refused);
            ApiResult result = write();
            return LoseAnswer?.Invoke() == true ? ValueTask.FromException<ApiResult>(new IOException("The answer was lost.")) : ValueTask.FromResult(result);
        }
    }

    private ApiResult Replace(ResourceType type, KubeObject old, JsonObject wanted, string? subresource)
    {
        string? version = (string?)wanted["metadata"]?["resourceVersion"];
        if (version is not null && version != old.ResourceVersion)
            return ApiStatus.Conflict(type, old.Name, "the object has been modified");
        JsonObject before = old.ToNode(), now = subresource is null ? wanted : old.ToNode();
        if (subresource == "status")
            now["status"] = wanted["status"]?.DeepClone();
        else if (subresource == "finalize")
            now["spec"] = wanted["spec"]?.DeepClone();
        else if (before["status"] is { } status)
            now["status"] = status.DeepClone();
        else
            now.Remove("status");
        if (type == Kinds.Pod)
            PodAdmission.KeepEnd(before, now);
        if (JsonNode.DeepEquals(now, before))
            return old;
        if (subresource is null && type != Kinds.Node && !JsonNode.DeepEquals(now["spec"], before["spec"]))
            now["metadata"]!["generation"] = (old.Metadata.Generation ?? 1) + 1;
        bool held = now["metadata"]!["finalizers"] is JsonArray { Count: > 0 } || now["spec"]?["finalizers"] is JsonArray { Count: > 0 };
        bool bound = type == Kinds.Pod && !string.IsNullOrEmpty((string?)now["spec"]?["nodeName"]) && (string?)now["status"]?["phase"] is not ("Succeeded" or "Failed") && (long?)now["metadata"]!["deletionGracePeriodSeconds"] != 0;
        if (now["metadata"]!["deletionTimestamp"] is null || held || bound)
            return Store(type, now, WatchEventType.Modified);
        Remove(type, old);
        return KubeObject.FromNode(now);
    }

    private KubeObject Store(ResourceType type, JsonObject node, WatchEventType kind, bool same = false)
    {
        node["metadata"]!["resourceVersion"] = (_revision += same ? 0 : 1).ToString(CultureInfo.InvariantCulture);
        KubeObject value = KubeObject.FromNode(node);
        Stored?.Invoke(type, _items.GetValueOrDefault((type.GroupResource, value.Key)), value);
        _items[(type.GroupResource, value.Key)] = value;
        Append(type, kind, value);
        return value;
    }

    private void Remove(ResourceType type, KubeObject old)
    {
        Stored?.Invoke(type, old, null);
        _items.Remove((type.GroupResource, old.Key));
        _revision++;
        JsonObject last = old.ToNode();
        last["metadata"]!["resourceVersion"] = _revision.ToString(CultureInfo.InvariantCulture);
        Append(type, WatchEventType.Deleted, KubeObject.FromNode(last));
    }

    private void Append(ResourceType type, WatchEventType kind, KubeObject value)
    {
        Log.Add((_revision, type, kind, value));
        TaskCompletionSource done = _changed;
        _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        done.TrySetResult();
    }

    private static JsonObject Merge(JsonObject target, JsonObject patch)
    {
        foreach ((string key, JsonNode? value) in patch)
            if (value is null)
                target.Remove(key);
            else if (value is JsonObject inner)
                target[key] = Merge(target[key] as JsonObject is { } present ? present.DeepClone().AsObject() : [], inner);
            else
                target[key] = value.DeepClone();
        return target;
    }

    private static string Key(string? ns, string name) => string.IsNullOrEmpty(ns) ? name : $"{ns}/{name}";
}
