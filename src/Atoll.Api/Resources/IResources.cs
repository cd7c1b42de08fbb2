using System.Text.Json.Nodes;
using Atoll.Api.Objects;

namespace Atoll.Api.Resources;

/// <summary>
/// The only way in which controllers, the scheduler and node control reach the API. Implemented in process by the API
/// server and over HTTP, so the same controller runs beside Atoll's API or against an upstream cluster. Every call acts
/// as one identity, fixed when the implementation was made. Expected failures come back as values; exceptions mean a
/// broken invariant or cancellation.
/// </summary>
public interface IResources
{
    /// <summary>One object, at the newest revision.</summary>
    ValueTask<ApiResult> GetAsync(ResourceType type, string? ns, string name, CancellationToken cancellation);

    /// <summary>All objects of a resource, in one namespace or (null) in all, at the newest revision.</summary>
    ValueTask<ApiList> ListAsync(ResourceType type, string? ns, ListOptions options, CancellationToken cancellation);

    /// <summary>
    /// Events after <see cref="WatchOptions.ResourceVersion"/>, in order, without gaps. Ends with one event of type
    /// <see cref="WatchEventType.Error"/> when the revision was compacted (410) or the server closes.
    /// </summary>
    IAsyncEnumerable<WatchEvent> WatchAsync(ResourceType type, string? ns, WatchOptions options, CancellationToken cancellation);

    /// <summary>
    /// Creates an object. With a subresource (<c>binding</c>, <c>eviction</c>) posts to it; then <paramref name="name"/>
    /// names the object. metadata.uid of the document is kept only for callers that the server trusts (the link).
    /// </summary>
    ValueTask<ApiResult> CreateAsync(ResourceType type, string? ns, JsonObject document, CancellationToken cancellation, string? name = null, string? subresource = null);

    /// <summary>Replaces an object or its subresource; a resourceVersion in the document must match.</summary>
    ValueTask<ApiResult> UpdateAsync(ResourceType type, string? ns, string name, JsonObject document, CancellationToken cancellation, string? subresource = null);

    /// <summary>
    /// Patches an object or its subresource. A merge patch that sets metadata.uid or metadata.resourceVersion makes
    /// that a precondition (409 when it does not hold).
    /// </summary>
    ValueTask<ApiResult> PatchAsync(ResourceType type, string? ns, string name, PatchType patchType, JsonNode patch, CancellationToken cancellation, string? subresource = null);

    /// <summary>Asks for deletion. The object may remain, with deletionTimestamp set, until its finalizers and grace are over.</summary>
    ValueTask<ApiResult> DeleteAsync(ResourceType type, string? ns, string name, DeleteOptions options, CancellationToken cancellation);
}

/// <summary>Outcome of a call about one object: the object, or why not. A deletion that left nothing has neither.</summary>
public readonly record struct ApiResult(KubeObject? Object, ApiStatus? Error)
{
    /// <summary>True when the call did what was asked.</summary>
    public bool Ok => Error is null;

    /// <summary>True when the object does not exist.</summary>
    public bool IsNotFound => Error is { Reason: "NotFound" };

    /// <summary>True when the write lost a race and should be made again from a fresh read.</summary>
    public bool IsConflict => Error is { Reason: "Conflict" };

    /// <summary>True when an object of that name exists.</summary>
    public bool IsAlreadyExists => Error is { Reason: "AlreadyExists" };

    /// <summary>A success.</summary>
    public static implicit operator ApiResult(KubeObject value) => new(value, null);

    /// <summary>A failure.</summary>
    public static implicit operator ApiResult(ApiStatus error) => new(null, error);
}

/// <summary>Outcome of a list.</summary>
/// <param name="Items">The objects, by key.</param>
/// <param name="ResourceVersion">Revision of the list: watch from here.</param>
/// <param name="Continue">Token of the next page, or null.</param>
/// <param name="RemainingItems">How many objects follow this page, when known.</param>
/// <param name="Error">Why there is no list, or null.</param>
public sealed record ApiList(IReadOnlyList<KubeObject> Items, string ResourceVersion, string? Continue = null, long? RemainingItems = null, ApiStatus? Error = null);

/// <summary>What to list.</summary>
public sealed record ListOptions
{
    /// <summary>Everything, newest.</summary>
    public static ListOptions Default { get; } = new();

    /// <summary>Label selector in Kubernetes' syntax.</summary>
    public string? LabelSelector { get; init; }

    /// <summary>Field selector, such as <c>spec.nodeName=a</c>.</summary>
    public string? FieldSelector { get; init; }

    /// <summary>Page size; 0 is all.</summary>
    public int Limit { get; init; }

    /// <summary>Token of the page before.</summary>
    public string? Continue { get; init; }

    /// <summary>Null: most recent. "0": any the server has. Else at least as new (or see the match).</summary>
    public string? ResourceVersion { get; init; }

    /// <summary><c>NotOlderThan</c>, <c>Exact</c>, or null.</summary>
    public string? ResourceVersionMatch { get; init; }
}

/// <summary>What to watch.</summary>
public sealed record WatchOptions
{
    /// <summary>Label selector in Kubernetes' syntax.</summary>
    public string? LabelSelector { get; init; }

    /// <summary>Field selector.</summary>
    public string? FieldSelector { get; init; }

    /// <summary>Revision after which events are wanted; null or "0" starts with synthetic ADDED events of what is.</summary>
    public string? ResourceVersion { get; init; }

    /// <summary>True to get BOOKMARK events.</summary>
    public bool AllowBookmarks { get; init; }

    /// <summary>True to get the initial state, ended by an annotated bookmark (WatchList).</summary>
    public bool SendInitialEvents { get; init; }
}

/// <summary>What happened to an object.</summary>
public enum WatchEventType
{
    /// <summary>It appeared (or came into the selection).</summary>
    Added,

    /// <summary>It changed.</summary>
    Modified,

    /// <summary>It is gone (or left the selection); the object is its last state with the revision of the deletion.</summary>
    Deleted,

    /// <summary>Only the revision moved.</summary>
    Bookmark,

    /// <summary>The watch ended; <see cref="WatchEvent.Error"/> says why.</summary>
    Error,
}

/// <summary>One event of a watch. <see cref="Object"/> is null only for errors.</summary>
public readonly record struct WatchEvent(WatchEventType Type, KubeObject? Object, ApiStatus? Error = null);

/// <summary>How a patch is written.</summary>
public enum PatchType
{
    /// <summary>RFC 6902.</summary>
    Json,

    /// <summary>RFC 7386.</summary>
    Merge,

    /// <summary>Kubernetes' strategic merge patch.</summary>
    StrategicMerge,
}

/// <summary>How to delete.</summary>
public sealed record DeleteOptions
{
    /// <summary>The resource's default grace, background cascade.</summary>
    public static DeleteOptions Default { get; } = new();

    /// <summary>Grace in seconds; null is the object's own, 0 is at once.</summary>
    public long? GracePeriodSeconds { get; init; }

    /// <summary><c>Background</c>, <c>Foreground</c> or <c>Orphan</c>; null is Background.</summary>
    public string? PropagationPolicy { get; init; }

    /// <summary>Delete only this identity.</summary>
    public string? Uid { get; init; }

    /// <summary>Delete only this version.</summary>
    public string? ResourceVersion { get; init; }

    /// <summary>True to check everything and change nothing.</summary>
    public bool DryRun { get; init; }
}
