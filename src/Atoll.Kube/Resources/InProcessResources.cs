using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Access;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

/// <summary>The API for callers in the same program: the same checks and semantics as over HTTP, without the wire.</summary>
internal sealed class InProcessResources(ApiServer server, Identity identity) : IResources
{
    private const int MaxBatch = 256;

    public async ValueTask<ApiResult> GetAsync(ResourceType type, string? ns, string name, CancellationToken cancellation)
    {
        if (Denied("get", type, ns, name, null, null) is { } denied)
            return denied;
        return Present(type, await server.Reader.GetAsync(type, ns, name, null, cancellation).ConfigureAwait(false));
    }

    public async ValueTask<ApiList> ListAsync(ResourceType type, string? ns, ListOptions options, CancellationToken cancellation)
    {
        AccessDecision decision = server.Access.Check(new AccessRequest(identity, "list", type, ns, null, null));
        if (decision.Denial is { } denied)
            return new ApiList([], "", Error: denied);
        CacheList list = await server.Reader.ListAsync(type, ns, options, decision.Filter, cancellation).ConfigureAwait(false);
        if (list.Error is { } error)
            return new ApiList([], "", Error: error);
        var items = new KubeObject[list.Items.Count];
        for (int i = 0; i < items.Length; i++)
            items[i] = Forms.Present(type, list.Items[i]);
        return new ApiList(items, Text(list.Revision), list.Continue, list.Remaining);
    }

    public async IAsyncEnumerable<WatchEvent> WatchAsync(ResourceType type, string? ns, WatchOptions options, [EnumeratorCancellation] CancellationToken cancellation)
    {
        AccessDecision decision = server.Access.Check(new AccessRequest(identity, "watch", type, ns, null, null));
        if (decision.Denial is { } denied)
        {
            yield return new WatchEvent(WatchEventType.Error, null, denied);
            yield break;
        }
        (CacheWatcher? watcher, ApiStatus? error) = await server.Reader.WatchAsync(type, ns, options, decision.Filter, cancellation).ConfigureAwait(false);
        if (watcher is null)
        {
            yield return new WatchEvent(WatchEventType.Error, null, error);
            yield break;
        }
        using (watcher)
        {
            var batch = new List<WatchItem>();
            var pump = new WatchPump(watcher, server.Options, options.AllowBookmarks, server.Options.Time.GetUtcNow() + TimeSpan.FromDays(3650));
            while (await pump.NextAsync(batch, MaxBatch, cancellation).ConfigureAwait(false))
            {
                foreach (WatchItem item in batch)
                    yield return item.Type switch
                    {
                        WatchEventType.Error => new WatchEvent(WatchEventType.Error, null, item.Error),
                        WatchEventType.Bookmark => new WatchEvent(WatchEventType.Bookmark, Bookmarks.Make(type, item.Revision, item.InitialEnd)),
                        _ => new WatchEvent(item.Type, Forms.Present(type, item.Object!)),
                    };
            }
        }
    }

    public async ValueTask<ApiResult> CreateAsync(ResourceType type, string? ns, JsonObject document, CancellationToken cancellation, string? name = null, string? subresource = null)
    {
        ArgumentNullException.ThrowIfNull(document);
        if (Denied("create", type, ns, name, subresource, document) is { } denied)
            return denied;
        var call = new CallContext(identity, cancellation);
        return Present(type, subresource switch
        {
            null => await server.Verbs.CreateAsync(type, ns, (JsonObject)document.DeepClone(), call).ConfigureAwait(false),
            "binding" when name is not null => await server.Verbs.BindAsync(ns, name, document, call).ConfigureAwait(false),
            "eviction" when name is not null => await server.Verbs.EvictAsync(ns, name, document, call).ConfigureAwait(false),
            _ => ApiStatus.MethodNotAllowed($"{type.Plural}/{subresource} cannot be created"),
        });
    }

    public async ValueTask<ApiResult> UpdateAsync(ResourceType type, string? ns, string name, JsonObject document, CancellationToken cancellation, string? subresource = null)
    {
        ArgumentNullException.ThrowIfNull(document);
        if (Denied("update", type, ns, name, subresource, document) is { } denied)
            return denied;
        return Present(type, subresource, await server.Verbs.UpdateAsync(type, ns, name, (JsonObject)document.DeepClone(), subresource, new CallContext(identity, cancellation)).ConfigureAwait(false));
    }

    public async ValueTask<ApiResult> PatchAsync(ResourceType type, string? ns, string name, PatchType patchType, JsonNode patch, CancellationToken cancellation, string? subresource = null)
    {
        if (Denied("patch", type, ns, name, subresource, null) is { } denied)
            return denied;
        return Present(type, subresource, await server.Verbs.PatchAsync(type, ns, name, patchType, patch, subresource, new CallContext(identity, cancellation)).ConfigureAwait(false));
    }

    public async ValueTask<ApiResult> DeleteAsync(ResourceType type, string? ns, string name, DeleteOptions options, CancellationToken cancellation)
    {
        if (Denied("delete", type, ns, name, null, null) is { } denied)
            return denied;
        return Present(type, await server.Verbs.DeleteAsync(type, ns, name, options, new CallContext(identity, cancellation)).ConfigureAwait(false));
    }

    private ApiStatus? Denied(string verb, ResourceType type, string? ns, string? name, string? subresource, JsonObject? document)
    {
        if (subresource is not null && !type.Has(subresource))
            return ApiStatus.NotFound(type, name ?? "");
        return server.Access.Check(new AccessRequest(identity, verb, type, ns, name, subresource, document)).Denial;
    }

    private static ApiResult Present(ResourceType type, string? subresource, WriteResult result) =>
        subresource == "scale" && result.Object is { } workload && result.Error is null
            ? KubeObject.FromNode(Verbs.ScaleOf(workload.Object))
            : Present(type, result);

    private static ApiResult Present(ResourceType type, WriteResult result) =>
        result.Error is { } error ? error
        : result.GoneUid is null && result.Object is { } value ? Forms.Present(type, value)
        : default(ApiResult);

    private static string Text(long revision) => revision.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
