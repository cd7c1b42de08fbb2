using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Checking;

/// <summary>What a plan may do with pod groups, written down plainly: enough members of a group get a node or are promised one, or none does.</summary>
internal sealed class PlainGangs
{
    private readonly Dictionary<string, int> _least = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<Placement>> _members = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _bound = new(StringComparer.Ordinal);

    public PlainGangs(IReadOnlyList<KubeObject> bound, IReadOnlyList<KubeObject> others, IReadOnlyList<KubeObject> pending, Plan plan)
    {
        foreach (KubeObject group in others)
            if (group.Kind == "PodGroup")
                _least[group.Key] = group.View(ApiJson.Default.PodGroup).Spec.MinMember;
        for (int i = 0; i < Math.Min(pending.Count, plan.Placements.Count); i++)
            if (GangOf(pending[i]) is { } key)
                (_members.TryGetValue(key, out List<Placement>? members) ? members : _members[key] = []).Add(plan.Placements[i]);
        foreach (KubeObject pod in bound)
            if (!pod.IsDeleting && !string.IsNullOrEmpty(pod.View(ApiJson.Default.Pod).Spec.NodeName) && GangOf(pod) is { } key)
                _bound[key] = _bound.GetValueOrDefault(key) + 1;
    }

    /// <summary>Groups that were taken apart.</summary>
    public IEnumerable<string> Check()
    {
        foreach ((string key, List<Placement> members) in _members)
        {
            int placed = members.Count(m => m.Node is not null), promised = members.Count(m => m.Nominated is not null), need = _least.GetValueOrDefault(key, int.MaxValue) - _bound.GetValueOrDefault(key);
            if (need <= 0)
                continue;
            // Members that wait for victims hold all others back.
            if (placed > 0 && placed < need)
                yield return $"pod group {key}: {placed} of the {need} members that it needs were given a node.";
            if (placed == 0 && promised > 0 && promised < need)
                yield return $"pod group {key}: {promised} of the {need} members that it needs were promised a node.";
            if (members.Exists(m => (m.Node ?? m.Nominated) is not null) && members.Count(m => m.Gang == key) < need)
                yield return $"pod group {key}: too few of its placements say that they belong together.";
        }
    }

    /// <summary>True when the answer to a pod is about its whole group.</summary>
    public bool Answers(Placement placement) =>
        placement.Node is null && placement.Nominated is null && GangOf(placement.Pod) is { } key && _least.GetValueOrDefault(key, int.MaxValue) > _bound.GetValueOrDefault(key);

    /// <summary>What is wrong with such an answer, or null.</summary>
    public string? CheckRefused(PlainFleet fleet, PlainQuotas quotas, Placement placement)
    {
        string key = GangOf(placement.Pod)!;
        int members = _members[key].Count, bound = _bound.GetValueOrDefault(key);
        if (!_least.TryGetValue(key, out int least))
            return Expect($"pod group {key} does not exist");
        if (bound + members < least)
            return Expect($"pod group {key} has {bound + members} of the {least} members that it needs.");
        // Others of the group got what they need: then this one has an answer of its own.
        if (_members[key].Exists(m => (m.Node ?? m.Nominated) is not null))
            return null;
        if (least - bound == 1 && quotas.Without(placement.Pod) is null && fleet.Nodes.Keys.FirstOrDefault(n => fleet.Reasons(placement.Pod, n).Count == 0) is { } node)
            return $"one member was enough, and {node} would have done.";
        return Expect($"pod group {key}: ");

        string? Expect(string text) => placement.Message?.Contains(text, StringComparison.Ordinal) == true ? null : $"it was told \"{placement.Message}\", not \"{text}\".";
    }

    private static string? GangOf(KubeObject pod) => pod.Metadata.Label(Api.Core.PodGroup.Label) is { } name ? $"{pod.Namespace}/{name}" : null;
}
