using Atoll.Api.Objects;

namespace Atoll.Orchestration.Namespaces;

/// <summary>What is left in a namespace that is ending, and how that is told (Kubernetes' condition types and words).</summary>
internal sealed class NamespaceContent
{
    private readonly SortedDictionary<string, int> _resources = new(StringComparer.Ordinal), _finalizers = new(StringComparer.Ordinal);

    /// <summary>What could not be listed or deleted.</summary>
    public List<string> Errors { get; } = [];

    public bool IsEmpty => _resources.Count == 0 && Errors.Count == 0;

    /// <summary>Counts an object that is still there.</summary>
    public void Add(ResourceType type, KubeObject value)
    {
        _resources[type.GroupResource] = _resources.GetValueOrDefault(type.GroupResource) + 1;
        foreach (string finalizer in value.Metadata.Finalizers ?? [])
            _finalizers[finalizer] = _finalizers.GetValueOrDefault(finalizer) + 1;
    }

    /// <summary>Each condition: its type, whether it holds, reason and message when it does, reason and message when not.</summary>
    public IEnumerable<(string Type, bool Holds, string Reason, string Message, string OtherReason, string OtherMessage)> Conditions()
    {
        yield return ("NamespaceDeletionDiscoveryFailure", false, "", "", "ResourcesDiscovered", "All resources successfully discovered");
        yield return ("NamespaceDeletionGroupVersionParsingFailure", false, "", "", "ParsedGroupVersions", "All legacy kube types successfully parsed");
        yield return ("NamespaceDeletionContentFailure", Errors.Count > 0, "ContentDeletionFailed", "Failed to delete all resource types, " + string.Join("; ", Errors),
            "ContentDeleted", "All content successfully deleted, may be waiting on finalization");
        yield return ("NamespaceContentRemaining", _resources.Count > 0, "SomeResourcesRemain",
            "Some resources are remaining: " + string.Join(", ", _resources.Select(r => $"{r.Key} has {r.Value} resource instances")),
            "ContentRemoved", "All content successfully removed");
        yield return ("NamespaceFinalizersRemaining", _finalizers.Count > 0, "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: " + string.Join(", ", _finalizers.Select(f => $"{f.Key} in {f.Value} resource instances")),
            "ContentHasNoFinalizers", "All content-preserving finalizers finished");
    }
}
