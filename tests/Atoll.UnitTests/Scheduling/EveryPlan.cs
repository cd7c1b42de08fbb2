using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Deliveries;
using Atoll.Scheduling.Offline;
using Atoll.Scheduling.Online;

[assembly: AssemblyFixture(typeof(Atoll.UnitTests.Scheduling.EveryPlan))]

namespace Atoll.UnitTests.Scheduling;

/// <summary>
/// Proves every plan that any test of the assembly makes, however deep below: placements, deliveries and moves. What the snapshot of a
/// plan holds is written down as documents, and the checkers carry the plan out over them. A plan that is not legal is an error where it
/// is made.
/// </summary>
public sealed class EveryPlan : IDisposable
{
    // Of a large fleet every refusal would be looked at over all nodes and pods: there the checker takes what its plain code is not meant for.
    private const long MostWork = 60_000_000;

    public EveryPlan()
    {
        Scheduler.Made = Check;
        DeliveryPlanner.Made = (request, sites, plan) => Told(DeliveryChecker.Check(request, sites, plan));
        FleetDefragmenter.Made = Check;
    }

    public void Dispose() => (Scheduler.Made, DeliveryPlanner.Made, FleetDefragmenter.Made) = (null, null, null);

    private static void Check(Snapshot fleet, IReadOnlyList<KubeObject> pending, PlanOptions options, Plan plan)
    {
        long placed = plan.Placements.Count(p => p.Node is not null), refused = pending.Count - placed;
        if ((placed + (refused * fleet.NodeCount)) * (fleet.PodCount + fleet.NodeCount) > MostWork)
            return;
        var documents = new FleetDocuments(fleet);
        Told(PlanChecker.Check(documents.Nodes, documents.Pods, documents.Namespaces, pending, plan, documents.Others, options.Profiles));
    }

    private static void Check(Snapshot fleet, FleetMovePlan plan)
    {
        var documents = new FleetDocuments(fleet);
        Told(FleetMoveChecker.Check(documents.Nodes, documents.Pods, documents.Namespaces, plan, documents.Others));
    }

    private static void Told(IReadOnlyList<string> wrong)
    {
        if (wrong.Count > 0)
            throw new InvalidOperationException("A plan is not legal: " + string.Join('\n', wrong));
    }
}

/// <summary>What a snapshot holds, as the documents that it might have come from.</summary>
internal sealed class FleetDocuments
{
    private readonly Snapshot _fleet;

    public FleetDocuments(Snapshot fleet)
    {
        _fleet = fleet;
        Nodes = [.. Enumerable.Range(0, fleet.Rows).Where(r => fleet.Nodes[r] is not null).Select(Node)];
        Dictionary<PodRow, Allocation> given = Given();
        Pods = [.. fleet.AllPods.Select(p => Pod(p, p.Allocation ?? given.GetValueOrDefault(p)))];
        Namespaces = [.. fleet.Namespaces.Select(n => Of("v1", "Namespace", n.Key, new JsonObject { ["metadata"] = new JsonObject { ["labels"] = Map(n.Value) } }))];
        Others = [.. Shared(), .. Storage()];
        // Members that have ended count for their group and nowhere else.
        foreach ((string gang, int members) in fleet.GangMembers)
            for (int i = Pods.Count(p => Snapshot.GangNamed(p) == gang && IsMember(p)); i < members; i++)
                Pods.Add(Of("v1", "Pod", $"ended-{i}", new JsonObject
                {
                    ["metadata"] = new JsonObject { ["namespace"] = gang.Split('/')[0], ["labels"] = new JsonObject { [Atoll.Api.Core.PodGroup.Label] = gang.Split('/')[1] } },
                    ["spec"] = new JsonObject { ["nodeName"] = "n" }, ["status"] = new JsonObject { ["phase"] = "Succeeded" },
                }));
    }

    public List<KubeObject> Nodes { get; }

    public List<KubeObject> Pods { get; }

    public List<KubeObject> Namespaces { get; }

    public List<KubeObject> Others { get; }

    private KubeObject Node(int row)
    {
        NodeRow node = _fleet.Nodes[row]!;
        NodeGate gate = _fleet.Gates[row]!;
        JsonObject edge = _fleet.Parts[row] is { } parts ? JsonNode.Parse(parts.Source)!.AsObject() : [];
        edge["cpuModel"] = _fleet.Models[row];
        edge["images"] = new JsonArray([.. node.Told.Select(i => (JsonNode)new JsonObject { ["name"] = i.Name, ["architectures"] = new JsonArray([.. i.Architectures.Select(a => (JsonNode)a)]) })]);
        return Of("v1", "Node", node.Name, new JsonObject
        {
            ["metadata"] = new JsonObject { ["labels"] = Map(node.Labels) },
            ["spec"] = new JsonObject { ["unschedulable"] = gate.Unschedulable, ["taints"] = new JsonArray([.. gate.Taints.Select(t => (JsonNode)new JsonObject { ["key"] = t.Key, ["value"] = t.Value, ["effect"] = t.Effect })]) },
            ["status"] = new JsonObject { ["allocatable"] = Amounts([.. _fleet.Allocatable.Select(c => c[row])]), ["edge"] = edge, ["conditions"] = new JsonArray(new JsonObject { ["type"] = "Ready", ["status"] = "True" }) },
        });
    }

    // As the pod counts: bindings and promises that are on their way are not in its document yet.
    private static KubeObject Pod(PodRow row, Allocation? given)
    {
        Pod view = row.Pod.View(ApiJson.Default.Pod);
        string? bound = row.Nominated ? null : row.Node, promised = row.Nominated ? row.Node : view.Status?.NominatedNodeName;
        if (Same(view.Spec.NodeName, bound) && Same(view.Status?.NominatedNodeName, promised) && row.Pod.Metadata.Annotation(Reservation.Annotation) == row.Reservation && row.Pod.Metadata.Annotation(Allocation.Annotation) == given?.ToString())
            return row.Pod;
        JsonObject pod = row.Pod.ToNode();
        pod["spec"]!["nodeName"] = bound;
        Under(pod, "status")["nominatedNodeName"] = promised;
        JsonObject annotations = Under(Under(pod, "metadata"), "annotations");
        annotations[Reservation.Annotation] = row.Reservation;
        annotations[Allocation.Annotation] = given?.ToString();
        foreach (string none in annotations.Where(a => a.Value is null).Select(a => a.Key).ToList())
            annotations.Remove(none);
        return KubeObject.FromNode(pod);
    }

    // Parts that nobody wrote down are those that the snapshot counts as given.
    private Dictionary<PodRow, Allocation> Given()
    {
        var given = new Dictionary<PodRow, Allocation>();
        for (int row = 0; row < _fleet.Rows; row++)
        {
            if (_fleet.Parts[row] is not { } parts)
                continue;
            PartsUse use = _fleet.UseOf(row, p => p.Allocation is null);
            foreach (PodRow pod in (_fleet.PodsAt[row] ?? []).Where(p => p.Allocation is null).OrderBy(p => p.Uid, StringComparer.Ordinal))
                if (_fleet.NeedOf(pod, row) is { } need && parts.Choose(need, use) is { } claim)
                {
                    use.Add(claim);
                    given.Add(pod, parts.Describe(claim));
                }
        }
        return given;
    }

    private IEnumerable<KubeObject> Shared()
    {
        const string Scheduling = "scheduling.x-k8s.io/v1alpha1", Edge = "edge.atoll.dev/v1alpha1";
        foreach ((string key, int least) in _fleet.Gangs)
            yield return Spaced(Scheduling, "PodGroup", key, new JsonObject { ["spec"] = new JsonObject { ["minMember"] = least } });
        foreach ((string key, QuotaLimits limits) in _fleet.Limits)
            yield return Spaced(Scheduling, "ElasticQuota", key, new JsonObject { ["spec"] = new JsonObject { ["min"] = Amounts(limits.Min, 0), ["max"] = Amounts(limits.Max, long.MaxValue), ["parent"] = limits.Parent } });
        foreach (ReservedRow reserved in _fleet.Reserved.Values)
        {
            long[] amounts = [.. reserved.Amounts];
            amounts[ResourceNames.Pods] = 0;
            yield return KubeObject.FromView(new Reservation
            {
                Metadata = new ObjectMeta { Name = reserved.Name, Uid = reserved.Uid },
                Spec = new ReservationSpec { Resources = Amounts(amounts).ToDictionary(a => a.Key, a => (string)a.Value!), Owners = [.. reserved.Owners] },
                Status = new ReservationStatus { Phase = "Available", NodeName = reserved.Node },
            }, ApiJson.Default.Reservation);
        }
        foreach ((string name, SitePool pool) in _fleet.Sites)
            yield return Of(Edge, "Site", name, new JsonObject { ["spec"] = new JsonObject { ["resources"] = Amounts(pool.Resources), ["headroom"] = Amounts(pool.Headroom) } });
        foreach ((string name, CpuModelSpec model) in _fleet.CpuModels)
            yield return Of(Edge, "CPUModel", name, new JsonObject { ["spec"] = new JsonObject { ["match"] = model.Match, ["factor"] = model.Factor } });
    }

    private IEnumerable<KubeObject> Storage()
    {
        foreach (StorageClass storage in _fleet.StorageClasses.Values)
            yield return KubeObject.FromView(storage, ApiJson.Default.StorageClass);
        foreach (KubeObject volume in _fleet.Volumes.Values)
        {
            JsonObject own = volume.ToNode();
            if (own["spec"]!["claimRef"] is null && _fleet.DecidedClaims.FirstOrDefault(d => d.Value.Volume == volume.Name).Key is { } taken)
                own["spec"]!["claimRef"] = new JsonObject { ["namespace"] = taken.Split('/')[0], ["name"] = taken.Split('/')[1] };
            yield return KubeObject.FromNode(own);
        }
        foreach (KubeObject claim in _fleet.Claims.Values)
        {
            JsonObject own = claim.ToNode();
            if (_fleet.DecidedClaims.TryGetValue(claim.Key, out ClaimDecision? decision) && decision.Volume is not null)
                own["spec"]!["volumeName"] = decision.Volume;
            else if (decision is not null)
                Under(Under(own, "metadata"), "annotations")[StorageNames.SelectedNode] = decision.Node;
            yield return KubeObject.FromNode(own);
        }
    }

    // Of what is not there nothing is said.
    private JsonObject Amounts(long[] amounts, long nothing = 0)
    {
        var list = new JsonObject();
        for (int r = 0; r < amounts.Length; r++)
            if (amounts[r] != nothing)
                list[_fleet.Resources[r]] = amounts[r].ToString(CultureInfo.InvariantCulture) + (r is ResourceNames.Cpu or ResourceNames.Compute ? "m" : "");
        return list;
    }

    private static bool IsMember(KubeObject pod) => !pod.IsDeleting && !string.IsNullOrEmpty(pod.View(ApiJson.Default.Pod).Spec.NodeName);

    private static bool Same(string? left, string? right) => (left ?? "") == (right ?? "");

    private static JsonObject Map(Dictionary<string, string> labels) => new(labels.Select(l => new KeyValuePair<string, JsonNode?>(l.Key, l.Value)));

    private static JsonObject Under(JsonObject parent, string name) => parent[name] as JsonObject ?? (JsonObject)(parent[name] = new JsonObject());

    private static KubeObject Spaced(string version, string kind, string key, JsonObject more)
    {
        more["metadata"] = new JsonObject { ["namespace"] = key.Split('/')[0] };
        return Of(version, kind, key.Split('/')[1], more, key);
    }

    private static KubeObject Of(string version, string kind, string name, JsonObject more, string? uid = null)
    {
        JsonObject metadata = Under(more, "metadata");
        (more["apiVersion"], more["kind"], metadata["name"], metadata["uid"]) = (version, kind, name, uid ?? name);
        return KubeObject.FromNode(more);
    }
}
