using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Kube.Access;
using Atoll.Kube.Schema;
using Atoll.Kube.Watch;
using Atoll.Store;

namespace Atoll.Kube.Resources;

/// <summary>
/// The writes of the API: create, update, patch, delete and the subresources, each a read of the newest state, a change
/// of the document and a compare-and-set. What is common to them is here; each verb has its own part of the class.
/// Access was checked before.
/// </summary>
internal sealed partial class Verbs(IStore store, CacheFeed feed, Func<ResourceType, ResourceCache> cacheOf, ApiServerOptions options)
{
    /// <summary>How often a write that lost a race is made again from a fresh read.</summary>
    private const int MaxAttempts = 64;

    private async ValueTask<CachedObject?> ReadAsync(ResourceType type, string? ns, string name, CancellationToken cancellation)
    {
        await feed.WaitFreshAsync(cancellation).ConfigureAwait(false);
        return Peek(type, ns, name);
    }

    /// <summary>Why there is nothing to write: no such object, or a node's Lease that is made when somebody gets it.</summary>
    private ApiStatus Missing(ResourceType type, string? ns, string name) =>
        type.Equals(Kinds.Lease) && ns == NodeLease.Namespace && Peek(Kinds.Node, null, name) is not null
            ? ApiStatus.MethodNotAllowed($"the Lease of node {name} is made of what the node reports whenever it is got: it is not stored, and cannot be changed or deleted")
            : ApiStatus.NotFound(type, name);

    /// <summary>What the cache holds now: enough for a write that compares, which is made again from a fresh read when it was not.</summary>
    private CachedObject? Peek(ResourceType type, string? ns, string name) => cacheOf(type).Get(Keys.Local(ns, name));

    /// <summary>Writes a document over a state (null: nothing must exist). Null and no error: the race was lost.</summary>
    private async ValueTask<WriteResult?> StoreAsync(ResourceType type, string? ns, string name, JsonObject document, CachedObject? over, CallContext call, StoreCompare? also = null)
    {
        document.Map("metadata")!.Remove("resourceVersion");
        return await StoreAsync(type, ns, name, document.ToBytes(), over, call, also).ConfigureAwait(false);
    }

    private async ValueTask<WriteResult?> StoreAsync(ResourceType type, string? ns, string name, byte[] bytes, CachedObject? over, CallContext call, StoreCompare? also = null)
    {
        if (bytes.Length > options.MaxObjectBytes)
            return ApiStatus.TooLarge(options.MaxObjectBytes);
        string local = Keys.Local(ns, name);
        if (call.DryRun)
            return over is null ? CachedObject.Unstored(local, bytes) : new CachedObject(local, bytes, over.Revision, isPod: false);
        byte[] key = Keys.Of(type, ns, name);
        var compare = new StoreCompare(key, over?.Revision ?? 0);
        StoreResult result = await store.TransactAsync(new StoreTransaction(also is { } second ? [compare, second] : [compare], [new StoreWrite(key, bytes)]), call.Cancellation).ConfigureAwait(false);
        return result.Error switch
        {
            StoreError.None => new CachedObject(local, bytes, result.Revision, isPod: false),
            StoreError.CompareFailed => (WriteResult?)null,
            StoreError.TooLarge => ApiStatus.TooLarge(options.MaxObjectBytes),
            _ => throw new IOException($"The store answered a write with {result.Error}."),
        };
    }

    /// <summary>Removes a state. Null: the race was lost.</summary>
    private async ValueTask<WriteResult?> RemoveAsync(ResourceType type, string? ns, string name, CachedObject current, CallContext call)
    {
        if (call.DryRun)
            return new WriteResult(null, null, GoneUid: current.Uid);
        byte[] key = Keys.Of(type, ns, name);
        StoreResult result = await store.TransactAsync(new StoreTransaction([new StoreCompare(key, current.Revision)], [new StoreWrite(key, null)]), call.Cancellation).ConfigureAwait(false);
        return result.Error switch
        {
            StoreError.None => new WriteResult(null, null, GoneUid: current.Uid),
            StoreError.CompareFailed => (WriteResult?)null,
            _ => throw new IOException($"The store answered a deletion with {result.Error}."),
        };
    }

    private ApiStatus? AskPolicy(CallContext call, string verb, ResourceType type, string? subresource, KubeObject? old, JsonObject? next) =>
        call.Identity.IsTrusted ? null : options.WritePolicy?.Invoke(new WriteAttempt(call.Identity, verb, type, subresource, old, next));

    private string Now() => KubeTime.Format(options.Time.GetUtcNow());

    /// <summary>Fields that the schema does not know: an error when Strict, warnings when Warn. Those that are stored already are no news.</summary>
    private static ApiStatus? CheckFields(ResourceType type, JsonObject document, JsonObject? old, CallContext call)
    {
        if (call.FieldValidation == "Ignore")
            return null;
        var found = new List<string>();
        HashSet<string> known = old is null ? [] : [.. ObjectSchemas.UnknownFields(type, old)];
        foreach (string field in ObjectSchemas.UnknownFields(type, document))
            if (!known.Contains(field))
                found.Add($"unknown field \"{field}\"");
        foreach (string field in call.DuplicateFields)
            found.Add($"duplicate field \"{field}\"");
        if (found.Count == 0)
            return null;
        if (call.FieldValidation == "Warn")
        {
            call.Warnings.AddRange(found);
            return null;
        }
        return ApiStatus.BadRequest($"{type.Kind} in version \"{type.Version}\" cannot be handled as a {type.Kind}: strict decoding error: {string.Join(", ", found)}");
    }

    /// <summary>The document must be of the type and place that the path names; what it leaves out is filled in.</summary>
    private static ApiStatus? CheckPlace(ResourceType type, string? ns, string? name, JsonObject document)
    {
        string apiVersion = document.Text("apiVersion") ?? type.ApiVersion, kind = document.Text("kind") ?? type.Kind;
        if (apiVersion != type.ApiVersion || kind != type.Kind)
            return ApiStatus.BadRequest($"{kind} in version \"{apiVersion}\" cannot be handled as a {type.Kind}: the path is of {type.ApiVersion} {type.Kind}");
        document["apiVersion"] = apiVersion;
        document["kind"] = kind;
        if (document["metadata"] is not null and not JsonObject)
            return ApiStatus.BadRequest("metadata must be an object");
        JsonObject meta = document.Ensure("metadata");
        foreach (string field in (ReadOnlySpan<string>)["name", "namespace", "generateName", "uid", "resourceVersion"])
            if (meta[field] is not null && meta.Text(field) is null)
                return ApiStatus.BadRequest($"{type.Kind} in version \"{type.Version}\" cannot be handled as a {type.Kind}: metadata.{field} must be a string");
        string given = meta.Text("namespace") ?? "";
        if (type.Namespaced && given.Length > 0 && given != ns)
            return ApiStatus.BadRequest($"the namespace of the provided object does not match the namespace sent on the request ({given} != {ns})");
        if (type.Namespaced)
            meta["namespace"] = ns;
        else
            meta.Remove("namespace");
        if (name is null)
            return null;
        given = meta.Text("name") ?? "";
        if (given.Length > 0 && given != name)
            return ApiStatus.BadRequest($"the name of the object ({given}) does not match the name on the URL ({name})");
        meta["name"] = name;
        return null;
    }
}
