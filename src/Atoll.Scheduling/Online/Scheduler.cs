using System.Text.Json.Nodes;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>
/// <c>Plan(snapshot, pending) → plan</c>: pure and deterministic (same input and seed, same plan; the order in which nodes came
/// does not matter). Pods are planned in the order given, each seeing those before it. Filters and scores are Kubernetes', by
/// their names, in their order and with their arithmetic; ties go to the node that comes first in an order drawn from the
/// seed. A pod that fits nowhere may be promised the room of pods of lower priority. Members of a pod group are planned together at
/// the place of the first of them: enough of them get a node, or none does.
/// <para>Pods of one template share their work: where they may be at all is found once (and only among the rows of a label's
/// value when the pod names one), scores are kept and only rows that changed are scored again, and constraints between
/// pods are counted by group and domain and followed. No node is sampled: every plan is over all of them.</para>
/// <para>It deliberately does not bind, delete or tell anybody: see <see cref="Placement"/> for what is to be done.</para>
/// </summary>
public static class Scheduler
{
    /// <summary>Told of every plan that is made, in whatever way it was asked for: tests prove them all. Null outside of tests.</summary>
    internal static Action<Snapshot, IReadOnlyList<KubeObject>, PlanOptions, Plan>? Made { get; set; }

    /// <summary>Plans the pods with Kubernetes' default profile.</summary>
    public static Plan Plan(Snapshot snapshot, IReadOnlyList<KubeObject> pending, int seed) => Plan(snapshot, pending, new PlanOptions { Seed = seed });

    /// <summary>Plans the pods.</summary>
    public static Plan Plan(Snapshot snapshot, IReadOnlyList<KubeObject> pending, PlanOptions options)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        ArgumentNullException.ThrowIfNull(pending);
        ArgumentNullException.ThrowIfNull(options);
        using var run = new PlanRun(snapshot, options);
        Plan plan = run.PlaceAll(pending);
        Made?.Invoke(snapshot, pending, options, plan);
        return plan;
    }

    /// <summary>
    /// What the scheduler thinks of every node for a pod, best first, then the nodes that will not do by name: why this node, and
    /// why not that one. A pod that has a node is looked at as if it had none.
    /// </summary>
    public static IReadOnlyList<NodeVerdict> Explain(Snapshot snapshot, KubeObject pod, PlanOptions options)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        ArgumentNullException.ThrowIfNull(pod);
        ArgumentNullException.ThrowIfNull(options);
        Snapshot without = snapshot.Fork();
        without.RemovePod(pod.Uid);
        JsonObject unbound = pod.ToNode();
        unbound["spec"]?.AsObject().Remove("nodeName");
        (unbound["status"] as JsonObject)?.Remove("nominatedNodeName");
        using var run = new PlanRun(without, options);
        return run.Explain(KubeObject.FromNode(unbound));
    }
}
