using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Checking;

namespace Atoll.UnitTests.Scheduling;

/// <summary>What it costs to make room for a pod on a node, as Kubernetes' Pod Priority and Preemption says it, over plain documents.</summary>
internal sealed class PlainPreemption(PlainFleet fleet, List<KubeObject> others)
{
    /// <summary>What counts first stands first: budgets broken, priority of the greatest victim, sum of priorities, victims.</summary>
    public readonly record struct Cost(int Broken, int Highest, long Sum, int Victims) : IComparable<Cost>
    {
        public int CompareTo(Cost other) => (Broken, Highest, Sum, Victims).CompareTo((other.Broken, other.Highest, other.Sum, other.Victims));
    }

    /// <summary>The cost; null where no pod that goes would help.</summary>
    public Cost? Of(KubeObject pod, string node)
    {
        int priority = pod.View(ApiJson.Default.Pod).Spec.Priority ?? 0;
        List<PlainPod> lesser = [.. fleet.On(node).Where(p => p.Priority < priority)];
        // Kubernetes looks for no victims where the pod lacks company or a label: UnschedulableAndUnresolvable.
        if (lesser.Count == 0 || fleet.Reasons(pod, node).Exists(r => r.Contains("pod affinity rules", StringComparison.Ordinal) || r.Contains("missing required label", StringComparison.Ordinal)))
            return null;
        fleet.Pods.RemoveAll(lesser.Contains);
        try
        {
            if (fleet.Reasons(pod, node).Count > 0)
                return null;
            List<PlainPod> stay = [.. lesser.Where(p => !p.Promised && !p.Object.IsDeleting).OrderByDescending(p => p.Priority).ThenBy(p => p.Object.Uid, StringComparer.Ordinal)];
            var left = others.FindAll(o => o.Kind == "PodDisruptionBudget").ToDictionary(o => o, o => o.View(ApiJson.Default.PodDisruptionBudget).Status?.DisruptionsAllowed ?? 0);
            List<PlainPod> guarded = stay.FindAll(Breaks), victims = PutBack(guarded);
            int broken = victims.Count;
            victims.AddRange(PutBack(stay.FindAll(p => !guarded.Contains(p))));
            return new Cost(broken, victims.Count == 0 ? int.MinValue : victims.Max(v => v.Priority), victims.Sum(v => v.Priority + (long)int.MaxValue + 1), victims.Count);

            bool Breaks(PlainPod of)
            {
                bool breaks = false;
                foreach (KubeObject budget in left.Keys.Where(b => b.Namespace == of.Object.Namespace && b.View(ApiJson.Default.PodDisruptionBudget).Spec.Selector!.Matches(of.Object.Metadata.Labels)).ToList())
                    breaks |= --left[budget] < 0;
                return breaks;
            }
        }
        finally
        {
            fleet.Pods.RemoveAll(lesser.Contains);
            fleet.Pods.AddRange(lesser);
        }

        List<PlainPod> PutBack(List<PlainPod> those) => those.FindAll(p =>
        {
            fleet.Pods.Add(p);
            return fleet.Reasons(pod, node).Count > 0 && fleet.Pods.Remove(p);
        });
    }
}
