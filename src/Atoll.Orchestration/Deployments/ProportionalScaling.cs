namespace Atoll.Orchestration.Deployments;

/// <summary>
/// Scaling in the middle of a rollout (or while it is paused): the change is shared between the sets that have pods, by
/// their size, and the largest takes what rounding leaves over. Behaviour: kubernetes.io, "Proportional scaling".
/// </summary>
internal static class ProportionalScaling
{
    /// <summary>The new size of each set with pods.</summary>
    public static Dictionary<ReplicaSetState, int> Share(DeploymentView view, IReadOnlyList<ReplicaSetState> sets)
    {
        List<ReplicaSetState> active = [.. sets.Where(s => s.Size > 0)];
        int allowed = view.Replicas > 0 ? view.Replicas + view.MaxSurge : 0;
        int change = allowed - active.Sum(s => s.Size);
        active.Sort((a, b) => a.Size != b.Size ? b.Size.CompareTo(a.Size) : change > 0 ? Age(b, a) : Age(a, b));
        var sizes = new Dictionary<ReplicaSetState, int>();
        int given = 0;
        foreach (ReplicaSetState set in active)
        {
            int share = change == 0 ? 0 : Proportion(view, set, change, given);
            sizes[set] = set.Size + share;
            given += share;
        }
        if (change != 0 && active.Count > 0)
            sizes[active[0]] = Math.Max(0, sizes[active[0]] + change - given);
        return sizes;
    }

    /// <summary>Older first.</summary>
    private static int Age(ReplicaSetState a, ReplicaSetState b)
    {
        int order = a.Created.CompareTo(b.Created);
        return order != 0 ? order : string.CompareOrdinal(a.Object.Name, b.Object.Name);
    }

    private static int Proportion(DeploymentView view, ReplicaSetState set, int change, int given)
    {
        if (set.Size == 0 || change == given)
            return 0;
        int fraction = Fraction(view, set), left = change - given;
        return change > 0 ? Math.Min(fraction, left) : Math.Max(fraction, left);
    }

    private static int Fraction(DeploymentView view, ReplicaSetState set)
    {
        if (view.Replicas == 0)
            return -set.Size;
        long before = Annotations.Number(set.Object, Annotations.Max);
        if (before == 0)
            before = view.Deployment.Status?.Replicas ?? 0;
        if (before == 0)
            return 0;
        double size = (double)set.Size * (view.Replicas + view.MaxSurge) / before;
        return (int)Math.Round(size, MidpointRounding.AwayFromZero) - set.Size;
    }
}
