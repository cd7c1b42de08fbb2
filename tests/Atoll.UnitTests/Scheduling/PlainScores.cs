using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Online;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Kubernetes' scores of the default profile, or of another strategy for free room, written down plainly over plain documents: what the scheduler has to match.</summary>
internal static class PlainScores
{
    /// <summary>Total of each node that passes the filters.</summary>
    public static Dictionary<string, long> Of(PlainFleet fleet, KubeObject pod, SchedulingProfile? profile = null)
    {
        PodSpec spec = pod.View(ApiJson.Default.Pod).Spec;
        List<string> feasible = [.. fleet.Nodes.Keys.Where(n => fleet.Reasons(pod, n).Count == 0)];
        var total = feasible.ToDictionary(n => n, n => Resources(fleet, spec, n, profile ?? SchedulingProfile.Default) + Images(fleet, spec, n));
        Add(total, 2, Share(feasible.ToDictionary(n => n, n => (long)(spec.Affinity?.NodeAffinity?.PreferredDuringSchedulingIgnoredDuringExecution ?? []).Where(t => PlainFleet.TermHolds(t.Preference, fleet.Nodes[n])).Sum(t => t.Weight)), false));
        Add(total, 3, Share(feasible.ToDictionary(n => n, n => (long)PlainFleet.Taints(fleet.Nodes[n]).Count(t => t.Effect == "PreferNoSchedule" && !PlainFleet.Tolerated(spec, t))), true));
        Add(total, 2, Near(fleet, pod, feasible));
        Add(total, 2, Spread(fleet, pod, spec, feasible));
        return total;
    }

    private static void Add(Dictionary<string, long> total, int weight, Dictionary<string, long> scores)
    {
        foreach ((string node, long score) in scores)
            total[node] += weight * score;
    }

    private static Dictionary<string, long> Share(Dictionary<string, long> raw, bool reverse)
    {
        long most = raw.Values.DefaultIfEmpty(0).Max();
        return raw.ToDictionary(r => r.Key, r => (reverse ? 100 : 0) + ((reverse ? -1 : 1) * (most == 0 ? 0 : r.Value * 100 / most)));
    }

    private static long Fit(PlainFleet fleet, PodSpec spec, string name, SchedulingProfile profile)
    {
        long sum = 0, weights = 0;
        bool shaped = profile.Strategy == ScoringStrategy.RequestedToCapacityRatio;
        foreach ((string resource, int weight) in profile.StrategyResources)
        {
            bool always = resource is "cpu" or "memory" or "ephemeral-storage";
            long otherwise = resource switch { "cpu" => 100L, "memory" => (200L << 20) * 1000, _ => 0 };
            Int128 has = PlainFleet.Has(fleet.Nodes[name], resource), asked = PlainFleet.Need(spec, resource, otherwise);
            foreach (PlainPod pod in fleet.On(name))
                asked += PlainFleet.Need(pod.View.Spec, resource, otherwise);
            if (has == 0 || (!always && PlainFleet.Need(spec, resource) == 0))
                continue;
            long use = asked > has ? 100 : (long)(asked * 100 / has);
            long score = shaped ? Shaped(profile.Shape, use) : profile.Strategy == ScoringStrategy.MostAllocated ? use : asked > has ? 0 : (long)((has - asked) * 100 / has);
            if (shaped && score == 0)
                continue;
            (sum, weights) = (sum + (weight * score), weights + weight);
        }
        return weights == 0 ? 0 : shaped ? (long)Math.Round(sum / (double)weights, MidpointRounding.AwayFromZero) : sum / weights;
    }

    private static long Shaped(IReadOnlyList<ShapePoint> shape, long use)
    {
        int right = 0;
        while (right < shape.Count && use > shape[right].Utilization)
            right++;
        if (right == 0 || right == shape.Count)
            return 10 * shape[Math.Min(right, shape.Count - 1)].Score;
        ShapePoint from = shape[right - 1], to = shape[right];
        return (10 * from.Score) + (10 * (to.Score - from.Score) * (use - from.Utilization) / (to.Utilization - from.Utilization));
    }

    private static long Resources(PlainFleet fleet, PodSpec spec, string name, SchedulingProfile profile)
    {
        Node node = fleet.Nodes[name];
        long fit = Fit(fleet, spec, name, profile);
        if (PlainFleet.Need(spec, "cpu") == 0 && PlainFleet.Need(spec, "memory") == 0)
            return fit;
        double cpu = Fraction("cpu"), memory = Fraction("memory");
        return fit + (long)((1 - (Math.Abs(cpu - memory) / 2)) * 100);

        double Fraction(string resource)
        {
            Int128 taken = PlainFleet.Need(spec, resource);
            foreach (PlainPod pod in fleet.On(name))
                taken += PlainFleet.Need(pod.View.Spec, resource);
            return Math.Min(1, (double)(taken / (resource == "cpu" ? 1 : 1000)) / (double)(PlainFleet.Has(node, resource) / (resource == "cpu" ? 1 : 1000)));
        }
    }

    private static long Images(PlainFleet fleet, PodSpec spec, string name)
    {
        static long? Size(Node node, string image) => node.Status?.Images?.Find(i => i.Names?.Contains(image) == true)?.SizeBytes;
        long sum = 0;
        foreach (Container container in spec.Containers)
            if (Size(fleet.Nodes[name], container.Image!) is { } size)
                sum += (long)(size * (fleet.Nodes.Values.Count(n => Size(n, container.Image!) is not null) / (double)fleet.Nodes.Count));
        long least = 23L << 20, most = (1000L << 20) * spec.Containers.Count;
        return 100 * (Math.Clamp(sum, least, most) - least) / (most - least);
    }

    private static Dictionary<string, long> Near(PlainFleet fleet, KubeObject pod, List<string> feasible)
    {
        var raw = feasible.ToDictionary(n => n, _ => 0L);
        foreach (PlainPod other in fleet.Pods)
        {
            foreach ((PodAffinityTerm term, int weight) in Preferred(pod))
                if (fleet.IsAbout(term, pod, other.Object))
                    Mark(other.Node, term.TopologyKey, weight);
            foreach ((PodAffinityTerm term, int weight) in Preferred(other.Object))
                if (fleet.IsAbout(term, other.Object, pod))
                    Mark(other.Node, term.TopologyKey, weight);
            foreach (PodAffinityTerm term in other.View.Spec.Affinity?.PodAffinity?.RequiredDuringSchedulingIgnoredDuringExecution ?? [])
                if (fleet.IsAbout(term, other.Object, pod))
                    Mark(other.Node, term.TopologyKey, 1);
        }
        long least = raw.Values.DefaultIfEmpty(0).Min(), most = raw.Values.DefaultIfEmpty(0).Max();
        return raw.ToDictionary(r => r.Key, r => most == least ? 0 : 100 * (r.Value - least) / (most - least));

        void Mark(string node, string key, int weight)
        {
            foreach (string n in feasible)
                if (fleet.Together(node, fleet.Nodes[n], key))
                    raw[n] += weight;
        }
    }

    private static IEnumerable<(PodAffinityTerm, int)> Preferred(KubeObject pod)
    {
        Affinity? affinity = pod.View(ApiJson.Default.Pod).Spec.Affinity;
        foreach (WeightedPodAffinityTerm term in affinity?.PodAffinity?.PreferredDuringSchedulingIgnoredDuringExecution ?? [])
            yield return (term.PodAffinityTerm, term.Weight);
        foreach (WeightedPodAffinityTerm term in affinity?.PodAntiAffinity?.PreferredDuringSchedulingIgnoredDuringExecution ?? [])
            yield return (term.PodAffinityTerm, -term.Weight);
    }

    private static Dictionary<string, long> Spread(PlainFleet fleet, KubeObject pod, PodSpec spec, List<string> feasible)
    {
        bool own = spec.TopologySpreadConstraints is { Count: > 0 };
        List<TopologySpreadConstraint> soft = own ? spec.TopologySpreadConstraints!.FindAll(c => c.WhenUnsatisfiable == "ScheduleAnyway")
            : pod.Metadata.Controller() is null ? []
            : [Usual(WellKnown.HostnameLabel, 3), Usual(WellKnown.ZoneLabel, 5)];
        if (soft.Count == 0)
            return [];
        List<string> scored = own ? feasible.FindAll(n => soft.TrueForAll(c => fleet.Domain(n, c.TopologyKey) is not null)) : feasible;
        var weights = soft.ConvertAll(c => Math.Log(2 + (c.TopologyKey == WellKnown.HostnameLabel ? scored.Count : scored.Select(n => fleet.Domain(n, c.TopologyKey)).OfType<string>().Distinct().Count())));
        var counts = soft.ConvertAll(c => fleet.SpreadCounts(pod, spec, c, own ? soft : [c]));
        var raw = new Dictionary<string, long>();
        foreach (string node in scored)
        {
            double sum = 0;
            for (int i = 0; i < soft.Count; i++)
                if (fleet.Domain(node, soft[i].TopologyKey) is { } domain)
                    sum += (counts[i].GetValueOrDefault(domain) * weights[i]) + soft[i].MaxSkew - 1;
            raw[node] = (long)Math.Round(sum, MidpointRounding.AwayFromZero);
        }
        long least = raw.Values.DefaultIfEmpty(0).Min(), most = raw.Values.DefaultIfEmpty(0).Max();
        return raw.ToDictionary(r => r.Key, r => most == 0 ? 100 : 100 * (most + least - r.Value) / most);

        TopologySpreadConstraint Usual(string key, int skew) => new() { TopologyKey = key, MaxSkew = skew, WhenUnsatisfiable = "ScheduleAnyway", LabelSelector = new LabelSelector { MatchLabels = pod.Metadata.Labels } };
    }
}
