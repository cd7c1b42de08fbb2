using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Store;

namespace Atoll.Kube.Import;

/// <summary>
/// Objects of a parent that are taken over as they are, with the keys that record how far the parent has been followed,
/// in one store transaction.
/// </summary>
public sealed record ImportBatch
{
    /// <summary>Objects to write.</summary>
    public IReadOnlyList<ImportObject> Upserts { get; init; } = [];

    /// <summary>Objects to remove.</summary>
    public IReadOnlyList<ImportDelete> Deletes { get; init; } = [];

    /// <summary>Other keys to write, outside <c>/registry</c> and <c>/events</c>.</summary>
    public IReadOnlyList<StoreWrite> Writes { get; init; } = [];
}

/// <summary>
/// One object, whole: uid, creationTimestamp, deletionTimestamp and the rest are kept as given; resourceVersion is
/// ignored. With <paramref name="KeepLocalStatus"/> the status that is stored here stays when the identity is the same.
/// With <paramref name="Over"/> it is written over that resourceVersion only; another one is a conflict.
/// </summary>
public sealed record ImportObject(ResourceType Type, JsonObject Document, bool KeepLocalStatus, string? Over = null);

/// <summary>One object to remove; an object of another uid is left alone.</summary>
public sealed record ImportDelete(ResourceType Type, string? Namespace, string Name, string Uid);

/// <summary>How an import ended: the revision after it, or why nothing (of the last part) was written.</summary>
public readonly record struct ImportResult(long Revision, ApiStatus? Error);
