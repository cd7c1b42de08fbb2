using System.Globalization;
using System.Net;
using System.Text;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Watch;
using Atoll.Store;

namespace Atoll.Kube.Resources;

/// <summary>
/// Gets, lists and watches, with Kubernetes' rules of consistency (API concepts, "Resource versions"): no version means
/// the most recent, "0" any, a version at least that; Exact and continued lists come from the store's history unless
/// nothing changed since.
/// </summary>
internal sealed class Reader(IStore store, CacheFeed feed, Func<ResourceType, ResourceCache> cacheOf, TimeProvider time)
{
    /// <summary>Revisions have the epoch in their high bits.</summary>
    private const int EpochShift = 48;

    private static readonly TimeSpan s_futureWait = TimeSpan.FromSeconds(3);
    private static readonly ResourceType s_listOptions = new() { Group = "meta.k8s.io", Version = "v1", Kind = "ListOptions", Plural = "listoptions", Namespaced = false };

    /// <summary>One object; <paramref name="resourceVersion"/> as in a list.</summary>
    public async ValueTask<WriteResult> GetAsync(ResourceType type, string? ns, string name, string? resourceVersion, CancellationToken cancellation)
    {
        if (await WaitForAsync(resourceVersion, cancellation).ConfigureAwait(false) is { } error)
            return error;
        CachedObject? found = cacheOf(type).Get(Keys.Local(ns, name));
        if (found is null && type == Kinds.Lease && ns == NodeLease.Namespace && cacheOf(Kinds.Node).Get(Keys.Local(null, name)) is { } node)
            return NodeLease.Of(node, Keys.Local(ns, name), time.GetUtcNow());
        return found is null ? ApiStatus.NotFound(type, name) : found;
    }

    /// <summary>A list.</summary>
    public async ValueTask<CacheList> ListAsync(ResourceType type, string? ns, ListOptions options, Func<KubeObject, bool>? filter, CancellationToken cancellation)
    {
        if (Validate(options) is { } invalid)
            return CacheList.Fail(invalid);
        if (Selection.TryMake(type, ns, options.LabelSelector, options.FieldSelector, filter, out Selection selection) is { } bad)
            return CacheList.Fail(bad);
        ResourceCache cache = cacheOf(type);
        if (!string.IsNullOrEmpty(options.Continue))
        {
            if (!ContinueToken.TryRead(options.Continue, out long at, out string start))
                return CacheList.Fail(ApiStatus.BadRequest("continue key is not valid: take it from the answer before, unchanged"));
            return await AtAsync(cache, selection, at, start, options.Limit, cancellation).ConfigureAwait(false);
        }
        if (options.ResourceVersionMatch == "Exact" && TryRevision(options.ResourceVersion, out long exact))
            return await AtAsync(cache, selection, exact, "", options.Limit, cancellation).ConfigureAwait(false);
        if (await WaitForAsync(options.ResourceVersion, cancellation).ConfigureAwait(false) is { } late)
            return CacheList.Fail(late);
        return Now(cache, selection, "", options.Limit);
    }

    /// <summary>Starts a watch; the caller disposes it.</summary>
    public async ValueTask<(CacheWatcher? Watcher, ApiStatus? Error)> WatchAsync(ResourceType type, string? ns, WatchOptions options, Func<KubeObject, bool>? filter, CancellationToken cancellation)
    {
        if (Selection.TryMake(type, ns, options.LabelSelector, options.FieldSelector, filter, out Selection selection) is { } bad)
            return (null, bad);
        long? after = null;
        if (!string.IsNullOrEmpty(options.ResourceVersion) && options.ResourceVersion != "0")
        {
            if (!TryRevision(options.ResourceVersion, out long revision))
                return (null, InvalidVersion(options.ResourceVersion));
            after = revision;
        }
        bool fromState = after is null || options.SendInitialEvents;
        if (fromState && options.ResourceVersion != "0" && await WaitForAsync(options.ResourceVersion, cancellation).ConfigureAwait(false) is { } late)
            return (null, late);
        CacheWatcher? watcher = cacheOf(type).Watch(selection, fromState ? null : after, options.SendInitialEvents && options.AllowBookmarks, out ApiStatus? error);
        return (watcher, error);
    }

    /// <summary>Waits until the caches satisfy a resource version.</summary>
    public async ValueTask<ApiStatus?> WaitForAsync(string? resourceVersion, CancellationToken cancellation)
    {
        if (resourceVersion == "0")
            return null;
        if (string.IsNullOrEmpty(resourceVersion))
        {
            await feed.WaitFreshAsync(cancellation).ConfigureAwait(false);
            return null;
        }
        return TryRevision(resourceVersion, out long revision)
            ? await WaitForFutureAsync(revision, cancellation).ConfigureAwait(false)
            : InvalidVersion(resourceVersion);
    }

    private async ValueTask<ApiStatus?> WaitForFutureAsync(long revision, CancellationToken cancellation)
    {
        if (feed.Revision >= revision)
            return null;
        using var limit = new CancellationTokenSource(s_futureWait, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            await feed.WaitAsync(revision, linked.Token).ConfigureAwait(false);
            return null;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            string message = $"Too large resource version: {revision}, current: {feed.Revision}";
            return new ApiStatus
            {
                Code = (int)HttpStatusCode.GatewayTimeout,
                Reason = "Timeout",
                Message = "Timeout: " + message,
                Details = new StatusDetails { Causes = [new StatusCause { Reason = "ResourceVersionTooLarge", Message = "Too large resource version" }], RetryAfterSeconds = 1 },
            };
        }
    }

    // A list at one revision of the past.
    private async ValueTask<CacheList> AtAsync(ResourceCache cache, Selection selection, long revision, string start, int limit, CancellationToken cancellation)
    {
        if (await WaitForFutureAsync(revision, cancellation).ConfigureAwait(false) is { } late)
            return CacheList.Fail(late);
        // A revision of an earlier epoch is of a history that this store never had.
        if (revision < store.Epoch << EpochShift)
            return CacheList.Fail(TooOld());
        if (cache.IsUnchangedSince(revision))
        {
            CacheList now = Now(cache, selection, start, limit, revision);
            if (cache.IsUnchangedSince(revision))
                return now;
        }
        var items = new List<CachedObject>();
        string prefix = cache.Prefix + selection.Prefix;
        (ReadOnlyMemory<byte> from, ReadOnlyMemory<byte> end) = Keys.Range(prefix);
        if (string.CompareOrdinal(cache.Prefix + start, prefix) > 0)
            from = Encoding.UTF8.GetBytes(cache.Prefix + start);
        StoreRange range = await store.RangeAsync(from, end, selection.IsWhole && limit > 0 ? limit + 1 : 0, revision, cancellation).ConfigureAwait(false);
        if (range.Error != StoreError.None)
            return CacheList.Fail(TooOld());
        foreach (StoreEntry entry in range.Entries)
        {
            var item = new CachedObject(Encoding.UTF8.GetString(entry.Key.Span[cache.Prefix.Length..]), entry.Value.Span, entry.ModRevision, cache.Type.Equals(Kinds.Pod));
            if (selection.Matches(item))
                items.Add(item);
        }
        return Page(items, revision, limit, selection, countKnown: !range.More);
    }

    // What the cache holds, told as of a revision since which it did not change (0: of its own).
    private static CacheList Now(ResourceCache cache, Selection selection, string start, int limit, long at = 0)
    {
        if (limit <= 0 || !selection.IsWhole)
        {
            List<CachedObject> all = cache.List(selection, start, out long whole);
            return Page(all, at > 0 ? at : whole, limit, selection);
        }
        List<CachedObject> items = cache.Page(selection, start, limit, out long revision, out int count);
        revision = at > 0 ? at : revision;
        return count <= limit ? new CacheList(items, revision) : new CacheList(items, revision, ContinueToken.Make(revision, items[^1].Key + "\0"), count - limit);
    }

    private static ApiStatus TooOld() =>
        ApiStatus.Expired("The provided continue parameter or resource version is too old: the history before it was compacted. Start the list again without it.");

    private static CacheList Page(List<CachedObject> items, long revision, int limit, Selection selection, bool countKnown = true)
    {
        if (limit <= 0 || items.Count <= limit)
            return new CacheList(items, revision);
        // The next page starts at the key after the last one given.
        string start = items[limit - 1].Key + "\0";
        long? remaining = selection.IsWhole && countKnown ? items.Count - limit : null;
        items.RemoveRange(limit, items.Count - limit);
        return new CacheList(items, revision, ContinueToken.Make(revision, start), remaining);
    }

    private static ApiStatus? Validate(ListOptions options)
    {
        string? field = null, message = null;
        string? match = options.ResourceVersionMatch;
        if (!string.IsNullOrEmpty(match))
        {
            field = "resourceVersionMatch";
            if (string.IsNullOrEmpty(options.ResourceVersion))
                message = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided";
            else if (!string.IsNullOrEmpty(options.Continue))
                message = "Forbidden: resourceVersionMatch is forbidden when continue is provided";
            else if (match is not ("Exact" or "NotOlderThan"))
                message = $"Unsupported value: \"{match}\": supported values: \"Exact\", \"NotOlderThan\"";
            else if (match == "Exact" && options.ResourceVersion == "0")
                message = "Forbidden: resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"";
        }
        if (message is not null)
            return ApiStatus.Invalid(s_listOptions, "", [new StatusCause { Reason = "FieldValueForbidden", Field = field, Message = message }]);
        if (!string.IsNullOrEmpty(options.Continue) && !string.IsNullOrEmpty(options.ResourceVersion) && options.ResourceVersion != "0")
            return ApiStatus.BadRequest("specifying resource version is not allowed when using continue");
        if (!string.IsNullOrEmpty(options.ResourceVersion) && !TryRevision(options.ResourceVersion, out _))
            return InvalidVersion(options.ResourceVersion);
        return options.Limit < 0 ? ApiStatus.BadRequest("limit must not be negative") : null;
    }

    private static bool TryRevision(string? text, out long revision) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out revision);

    private static ApiStatus InvalidVersion(string text) =>
        ApiStatus.Invalid(s_listOptions, "", [new StatusCause { Reason = "FieldValueInvalid", Field = "resourceVersion", Message = $"Invalid value: \"{text}\": a resource version is opaque: use one that the server gave" }]);
}
