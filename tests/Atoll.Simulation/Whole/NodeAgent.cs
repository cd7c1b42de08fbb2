using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Instances;
using Atoll.Edge.Runtimes;

namespace Atoll.Simulation.Whole;

/// <summary>
/// Node control over simulated hardware: a worker for each pod by UID, adoption at the start, successors of a name after their
/// predecessors, orphans once the wanted set is known. What a pod does is decided by the real <see cref="PodMachine"/>.
/// </summary>
internal sealed class NodeAgent(World world, Node node)
{
    private readonly Dictionary<string, PodRun> _workers = new(StringComparer.Ordinal);
    private readonly int _life = node.Life;
    private int _report, _turn;

    public DateTimeOffset Since { get; } = world.Time.GetUtcNow();

    public Node Node => node;

    public bool IsAlive => _life == node.Life;

    public IReadOnlyDictionary<string, PodRun> Workers => _workers;

    public void Start()
    {
        foreach (Instance instance in node.Machine.Instances.Values.ToArray())
            if (node.Store.Find(Kinds.Pod, $"{instance.Labels[InstanceNames.PodNamespace]}/{instance.Labels[InstanceNames.PodName]}") is { } wanted
                && instance.Labels[InstanceNames.PodUid] is var uid && wanted.Uid != uid && !_workers.ContainsKey(uid))
                Orphan(uid);
        foreach (KubeObject pod in node.Store.All(Kinds.Pod).ToArray())
            if (IsHere(pod) && !IsGivenUp(pod))
                Run(pod);
        Report();
        Resync();
    }

    /// <summary>The site's store changed.</summary>
    public void Changed(ResourceType type, KubeObject? old, KubeObject? now)
    {
        if (type == Kinds.Node && (now ?? old)!.Name == node.Name)
            NodeChanged(now);
        if (type == Kinds.Secret || type == Kinds.ConfigMap)
            Nudge();
        if (type != Kinds.Pod)
            return;
        // As a watch of the node's own pods tells of it: one that was given to another node is gone.
        if (old is not null && (now is null || now.Uid != old.Uid || !IsHere(now)) && _workers.TryGetValue(old.Uid, out PodRun? left))
            left.Gone();
        if (now is null || !IsHere(now))
            return;
        if (IsGivenUp(now))
        {
            if (_workers.TryGetValue(now.Uid, out PodRun? replaced))
                replaced.Gone();
            return;
        }
        if (_workers.TryGetValue(now.Uid, out PodRun? worker2))
            worker2.Update(now);
        else
            Run(now);
    }

    public void Completed(PodRun worker)
    {
        _workers.Remove(worker.Object.Uid);
        // Stopped as one that nobody wants, and wanted after all.
        if (node.Store.Find(Kinds.Pod, worker.Object.Key) is { } pod && pod.Uid == worker.Object.Uid && IsHere(pod) && !IsGivenUp(pod))
            Run(pod);
        foreach (PodRun other in _workers.Values.ToArray())
            other.Nudge();
    }

    /// <summary>True while another pod of this name is not yet gone from the node.</summary>
    public bool HasPredecessor(PodRun worker)
    {
        foreach (PodRun other in _workers.Values)
            if (other != worker && !worker.IsUnwanted && other.Object.Key == worker.Object.Key && other.Order < worker.Order)
                return true;
        return false;
    }

    /// <summary>An application crashes, or the node has something to say.</summary>
    public void Disturb()
    {
        string[] running = [.. node.Machine.Instances.Values.Where(i => i.Phase == InstancePhase.Running).Select(i => i.Id)];
        if (running.Length > 0 && world.Chance(60))
        {
            string id = running[world.Below(running.Length)];
            world.Trace($"{node.Name}: {id} exits");
            node.Machine.Exit(id, 1);
            Nudge();
            return;
        }
        _report = world.Below(1000);
        Report();
    }

    /// <summary>Every pod looks at its instances.</summary>
    public void Nudge()
    {
        foreach (PodRun worker in _workers.Values.ToArray())
            worker.Nudge();
    }

    /// <summary>Tells everything anew where the API does not have it.</summary>
    public void Reassert()
    {
        Report();
        foreach (PodRun worker in _workers.Values.ToArray())
            worker.Forget();
    }

    private void Resync()
    {
        if (!IsAlive)
            return;
        if (node.IsScopeKnown)
            foreach (string uid in node.Machine.Instances.Values.Select(i => i.Labels[InstanceNames.PodUid]).Concat(node.Machine.Records.Keys).Distinct().ToArray())
                if (!_workers.ContainsKey(uid))
                    Orphan(uid);
        Nudge();
        world.At(10_000, Resync);
    }

    private void Orphan(string uid)
    {
        world.Trace($"{node.Name}: {uid} is not wanted");
        PodRun worker = Run(PodRecovery.Orphan(uid, node.Machine.Records.GetValueOrDefault(uid), InstancesOf(uid)));
        worker.IsUnwanted = true;
        worker.Gone();
    }

    private List<Instance> InstancesOf(string uid) => [.. node.Machine.Instances.Values.Where(i => i.Labels[InstanceNames.PodUid] == uid)];

    private PodRun Run(KubeObject pod)
    {
        PodRecord? known = node.Machine.Records.GetValueOrDefault(pod.Uid);
        List<Instance> instances = InstancesOf(pod.Uid);
        if (known is null && instances.Count == 0)
            known = node.Machine.Ended.GetValueOrDefault(pod.Uid);
        var worker = new PodRun(world, this, pod, PodRecovery.Recover(pod, known, instances), _workers.Count == 0 ? 0 : _workers.Values.Max(w => w.Order) + 1);
        _workers[pod.Uid] = worker;
        // An agent died while it stopped this as a pod that nobody wanted: that is brought to its end first.
        if (known?.Deletion is { Reason: not StopRecord.Deleted })
            worker.Gone();
        worker.Nudge();
        return worker;
    }

    private bool IsHere(KubeObject pod) => pod.View(ApiJson.Default.Pod).Spec.NodeName == node.Name;

    // While this node was silent the site gave the pod to another node: nothing of it may run here.
    private static bool IsGivenUp(KubeObject pod) => !pod.IsDeleting && pod.View(ApiJson.Default.Pod).Status?.IsGivenUp() == true;

    private void NodeChanged(KubeObject? now)
    {
        if (now is null)
            Report();
        else if (now.View(ApiJson.Default.Node).Status?.Conditions?.Find(c => c.Type == "Ready") is not { Status: "True" })
            Reassert();
    }

    /// <summary>The node's object is there and says that the node is ready; tried again until the site has it.</summary>
    private void Report()
    {
        int turn = ++_turn;
        node.Write(Kinds.Node, node.Name, document => With(document), done =>
        {
            if (!done && turn == _turn)
                world.At(1000, () =>
                {
                    if (IsAlive && turn == _turn)
                        Report();
                });
        });
    }

    private JsonObject With(JsonObject? known)
    {
        JsonObject document = known ?? new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Node",
            ["metadata"] = new JsonObject { ["name"] = node.Name, ["uid"] = node.NewUid() },
        };
        string message = string.Create(CultureInfo.InvariantCulture, $"report {_report}");
        if ((document["status"]?["conditions"] as JsonArray)?.FirstOrDefault() is { } before && (string?)before["message"] == message && (string?)before["status"] == "True")
            return document;
        document["status"] = new JsonObject
        {
            ["allocatable"] = new JsonObject { ["cpu"] = "64", ["memory"] = "64Gi", ["pods"] = "110" },
            ["conditions"] = new JsonArray(new JsonObject { ["type"] = "Ready", ["status"] = "True", ["reason"] = "KubeletReady", ["message"] = message, ["lastTransitionTime"] = KubeTime.Format(world.Time.GetUtcNow()) }),
        };
        return document;
    }
}
