using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Resources;

namespace Atoll.Simulation.Whole;

/// <summary>A node's own API: what the leader's parts write through it is told to be done when it is durable.</summary>
internal sealed class NodeApi(World world, Node node) : IResources
{
    public ValueTask<ApiResult> GetAsync(ResourceType type, string? ns, string name, CancellationToken cancellation) =>
        ValueTask.FromResult(node.Store.Find(type, Key(ns, name)) is { } found ? (ApiResult)found : ApiStatus.NotFound(type, name));

    public ValueTask<ApiList> ListAsync(ResourceType type, string? ns, ListOptions options, CancellationToken cancellation) =>
        ValueTask.FromResult(new ApiList([.. node.Store.All(type)], "1"));

    public IAsyncEnumerable<WatchEvent> WatchAsync(ResourceType type, string? ns, WatchOptions options, CancellationToken cancellation) => throw new NotSupportedException();

    public ValueTask<ApiResult> CreateAsync(ResourceType type, string? ns, JsonObject document, CancellationToken cancellation, string? name = null, string? subresource = null)
    {
        string key = Key(ns, (string)document["metadata"]!["name"]!);
        if (node.Store.Newest(type, key) is not null)
            return ValueTask.FromResult((ApiResult)ApiStatus.AlreadyExists(type, key));
        JsonObject made = document.DeepClone().AsObject();
        made["metadata"]!["creationTimestamp"] = KubeTime.Format(world.Time.GetUtcNow());
        return Write(type, key, made);
    }

    public ValueTask<ApiResult> UpdateAsync(ResourceType type, string? ns, string name, JsonObject document, CancellationToken cancellation, string? subresource = null) => throw new NotSupportedException();

    public ValueTask<ApiResult> PatchAsync(ResourceType type, string? ns, string name, PatchType patchType, JsonNode patch, CancellationToken cancellation, string? subresource = null)
    {
        string key = Key(ns, name);
        if (node.Store.Newest(type, key) is not { } document)
            return ValueTask.FromResult((ApiResult)ApiStatus.NotFound(type, name));
        if (patch["metadata"]?["uid"] is { } uid && (string)uid! != (string)document["metadata"]!["uid"]!)
            return ValueTask.FromResult((ApiResult)ApiStatus.Conflict(type, name, "uid"));
        Assert.True(patchType == PatchType.Merge);
        JsonObject own = patch.DeepClone().AsObject();
        if (subresource == "status")
            own = new JsonObject { ["status"] = own["status"]?.DeepClone() };
        else
            own.Remove("status");
        JsonObject next = Merge(document.DeepClone().AsObject(), own);
        if (type == Kinds.Pod)
            PodAdmission.KeepEnd(document, next);
        return Write(type, key, next);
    }

    public ValueTask<ApiResult> DeleteAsync(ResourceType type, string? ns, string name, DeleteOptions options, CancellationToken cancellation)
    {
        string key = Key(ns, name);
        if (node.Store.Newest(type, key) is not { } document)
            return ValueTask.FromResult((ApiResult)ApiStatus.NotFound(type, name));
        return options.Uid is { } uid && uid != (string)document["metadata"]!["uid"]! ? ValueTask.FromResult((ApiResult)ApiStatus.Conflict(type, name, "uid")) : Write(type, key, null);
    }

    private ValueTask<ApiResult> Write(ResourceType type, string key, JsonObject? document)
    {
        world.Trace($"{node.Name}: the leader {(document is null ? "removes" : "writes")} {type.Kind} {key}");
        var done = new TaskCompletionSource<ApiResult>();
        node.Store.Commit([(NodeStore.KeyOf(type, key), document is null ? null : NodeStore.Bytes(document))], () => done.SetResult(document is null ? default(ApiResult) : KubeObject.FromNode(document)));
        return new ValueTask<ApiResult>(done.Task);
    }

    private static JsonObject Merge(JsonObject target, JsonObject patch)
    {
        foreach ((string key, JsonNode? value) in patch)
            if (value is null)
                target.Remove(key);
            else if (value is JsonObject inner)
                target[key] = Merge(target[key]?.DeepClone() as JsonObject ?? [], inner);
            else
                target[key] = value.DeepClone();
        return target;
    }

    private static string Key(string? ns, string name) => string.IsNullOrEmpty(ns) ? name : $"{ns}/{name}";
}
