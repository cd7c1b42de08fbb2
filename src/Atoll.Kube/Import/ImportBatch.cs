using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Resources;
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
/// ignored. With <paramref name="KeepLocalStatus"/> the status that is stored here stays when the identity is the same,
/// unless the document says that a pod has ended and the stored one does not, or gave it up: that was told by this site, and what is stored goes back to an older copy.
/// With <paramref name="Over"/> it is written over that resourceVersion only; another one is a conflict.
/// </summary>
public sealed record ImportObject(ResourceType Type, JsonObject Document, bool KeepLocalStatus, string? Over = null)
{
    /// <summary>The document to store over the one that is stored now (or none), or null when nothing would change.</summary>
    public JsonObject? Merged(JsonObject? stored)
    {
        var document = (JsonObject)Document.DeepClone();
        JsonObject meta = document.Map("metadata")!;
        meta.Remove("resourceVersion");
        meta.Remove("managedFields");
        if (stored is null)
            return document;
        if (KeepLocalStatus && stored.Map("metadata").Text("uid") == meta.Text("uid") && !KnowsItsEnd(document.Map("status"), stored.Map("status")))
            document.Put("status", stored["status"]);
        stored.Map("metadata")!.Remove("resourceVersion");
        return JsonNode.DeepEquals(stored, document) ? null : document;
    }

    private bool KnowsItsEnd(JsonObject? said, JsonObject? stored) => Type == Kinds.Pod && PodAdmission.HasEnded(said)
        && (!PodAdmission.HasEnded(stored) || (PodAdmission.IsGivenUp(stored) && !PodAdmission.IsGivenUp(said)));
}

/// <summary>One object to remove; an object of another uid is left alone.</summary>
public sealed record ImportDelete(ResourceType Type, string? Namespace, string Name, string Uid);

/// <summary>How an import ended: the revision after it, or why nothing (of the last part) was written.</summary>
public readonly record struct ImportResult(long Revision, ApiStatus? Error);
