using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Resources;
using Atoll.Kube.Watch;
using Atoll.Store;

namespace Atoll.Kube.Import;

/// <summary>Writes a parent's objects into the local store, whole. See <see cref="ApiServer.ImportAsync"/>.</summary>
internal sealed class Importer(IStore store, CacheFeed feed, Func<ResourceType, ResourceCache> cacheOf)
{
    /// <summary>Most writes in one transaction of the store.</summary>
    private const int MaxWrites = 1000;

    private const int MaxAttempts = 64;

    public async ValueTask<ImportResult> ImportAsync(ImportBatch batch, CancellationToken cancellation)
    {
        if (Invalid(batch) is { } error)
            return new ImportResult(store.CurrentRevision, error);
        int objects = batch.Upserts.Count + batch.Deletes.Count;
        int done = 0;
        while (true)
        {
            // The other keys say how far the import came: they go with the last part.
            bool last = objects - done + batch.Writes.Count <= MaxWrites;
            int count = last ? objects - done : Math.Min(MaxWrites, objects - done);
            StoreResult result = await WritePartAsync(batch, done, count, last, cancellation).ConfigureAwait(false);
            if (result.Error != StoreError.None)
                return new ImportResult(store.CurrentRevision, result.Error == StoreError.TooLarge
                    ? ApiStatus.BadRequest("an object of the import is larger than the store's limit")
                    : IsOutdated(batch, 0, objects) ? new ApiStatus { Code = 409, Reason = "Conflict", Message = "an object of the import was changed meanwhile" }
                    : ApiStatus.InternalError($"the import could not be stored: {result.Error}"));
            done += count;
            if (last)
                return new ImportResult(result.Revision, null);
        }
    }

    private async ValueTask<StoreResult> WritePartAsync(ImportBatch batch, int start, int count, bool last, CancellationToken cancellation)
    {
        StoreResult result = default;
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            await feed.WaitFreshAsync(cancellation).ConfigureAwait(false);
            var compares = new List<StoreCompare>();
            var writes = new List<StoreWrite>();
            for (int i = start; i < start + count; i++)
            {
                if (i < batch.Upserts.Count)
                    Upsert(batch.Upserts[i], compares, writes);
                else
                    Delete(batch.Deletes[i - batch.Upserts.Count], compares, writes);
            }
            if (last)
                writes.AddRange(batch.Writes);
            if (IsOutdated(batch, start, count))
                return new StoreResult(StoreError.CompareFailed, store.CurrentRevision);
            if (writes.Count == 0)
                return new StoreResult(StoreError.None, store.CurrentRevision);
            result = await store.TransactAsync(new StoreTransaction(compares, writes), cancellation).ConfigureAwait(false);
            if (result.Error != StoreError.CompareFailed)
                return result;
        }
        return result;
    }

    private bool IsOutdated(ImportBatch batch, int start, int count)
    {
        for (int i = start; i < Math.Min(start + count, batch.Upserts.Count); i++)
            if (batch.Upserts[i] is { Over: { } version } item)
            {
                JsonObject? meta = item.Document.Map("metadata");
                if (cacheOf(item.Type).Get(Keys.Local(meta.Text("namespace"), meta.Text("name")!))?.Revision.ToString(System.Globalization.CultureInfo.InvariantCulture) != version)
                    return true;
            }
        return false;
    }

    private void Upsert(ImportObject item, List<StoreCompare> compares, List<StoreWrite> writes)
    {
        JsonObject meta = item.Document.Map("metadata")!;
        string? ns = meta.Text("namespace");
        string name = meta.Text("name")!;
        byte[] key = Keys.Of(item.Type, ns, name);
        CachedObject? current = cacheOf(item.Type).Get(Keys.Local(ns, name));
        if (item.Merged(current is null ? null : JsonNode.Parse(current.Utf8.Span)!.AsObject()) is not { } document)
            return;
        compares.Add(new StoreCompare(key, current?.Revision ?? 0));
        writes.Add(new StoreWrite(key, document.ToBytes()));
    }

    private void Delete(ImportDelete item, List<StoreCompare> compares, List<StoreWrite> writes)
    {
        CachedObject? current = cacheOf(item.Type).Get(Keys.Local(item.Namespace, item.Name));
        if (current is null || current.Uid != item.Uid)
            return;
        byte[] key = Keys.Of(item.Type, item.Namespace, item.Name);
        // Its successor of the same name came in the same batch and takes its place: a transaction writes a key once.
        if (writes.Exists(write => write.Key.Span.SequenceEqual(key)))
            return;
        compares.Add(new StoreCompare(key, current.Revision));
        writes.Add(new StoreWrite(key, null));
    }

    private static ApiStatus? Invalid(ImportBatch batch)
    {
        if (batch.Writes.Count > MaxWrites)
            return ApiStatus.BadRequest($"an import may have at most {MaxWrites} other keys, not {batch.Writes.Count}");
        foreach (ImportObject item in batch.Upserts)
        {
            JsonObject? meta = item.Document.Map("metadata");
            if (string.IsNullOrEmpty(meta.Text("name")) || string.IsNullOrEmpty(meta.Text("uid")) || item.Type.Namespaced == string.IsNullOrEmpty(meta.Text("namespace")))
                return ApiStatus.BadRequest($"an imported {item.Type.Kind} must have a name, a uid{(item.Type.Namespaced ? " and a namespace" : " and no namespace")}");
        }
        foreach (StoreWrite write in batch.Writes)
            if (Keys.PrefixOf(write.Key.Span) is not null)
                return ApiStatus.BadRequest("other keys of an import must be outside /registry and /events");
        return null;
    }
}
