using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>Pod groups of a snapshot: what they need, and how many of their members have a node.</summary>
public sealed partial class Snapshot
{
    /// <summary>minMember by <c>namespace/name</c>.</summary>
    internal ImmutableDictionary<string, int> Gangs { get; private set; } = ImmutableDictionary.Create<string, int>(StringComparer.Ordinal);

    /// <summary>Members that have a node, ended ones too, by the same key, whether or not the group exists.</summary>
    internal ImmutableDictionary<string, int> GangMembers { get; private set; } = ImmutableDictionary.Create<string, int>(StringComparer.Ordinal);

    private ImmutableDictionary<string, string> GangOf { get; set; } = ImmutableDictionary.Create<string, string>(StringComparer.Ordinal);

    /// <summary>The PodGroup that a pod names, as <c>namespace/name</c>; null for a pod that stands by itself.</summary>
    internal static string? GangNamed(KubeObject pod) => pod.Metadata.Label(Atoll.Api.Core.PodGroup.Label) is { } name ? $"{pod.Namespace}/{name}" : null;

    /// <summary>Takes in a PodGroup. True when it needs something else than before.</summary>
    public bool UpsertPodGroup(KubeObject value)
    {
        ArgumentNullException.ThrowIfNull(value);
        int least = value.View(ApiJson.Default.PodGroup).Spec.MinMember;
        if (Gangs.TryGetValue(value.Key, out int known) && known == least)
            return false;
        Gangs = Gangs.SetItem(value.Key, least);
        return true;
    }

    /// <summary>Forgets a PodGroup by its <c>namespace/name</c>.</summary>
    public void RemovePodGroup(string key) => Gangs = Gangs.Remove(key);

    private void SetMember(string uid, string? gang)
    {
        if (GangOf.TryGetValue(uid, out string? before))
        {
            if (before == gang)
                return;
            GangOf = GangOf.Remove(uid);
            int left = GangMembers[before] - 1;
            GangMembers = left > 0 ? GangMembers.SetItem(before, left) : GangMembers.Remove(before);
        }
        if (gang is null)
            return;
        GangOf = GangOf.Add(uid, gang);
        GangMembers = GangMembers.SetItem(gang, GangMembers.GetValueOrDefault(gang) + 1);
    }
}
