using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Scheduling.Online;

/// <summary>One plan while it is made.</summary>
internal sealed partial class PlanRun : IDisposable
{
    // Labels that every replica has a value of its own for: they say nothing of what belongs together.
    private static readonly string[] s_ownLabels = ["apps.kubernetes.io/pod-index", "statefulset.kubernetes.io/pod-name", "batch.kubernetes.io/job-completion-index"];

    private readonly Snapshot _snapshot;
    private readonly PlanOptions _options;
    private readonly Working _working;
    private readonly Preemption _preemption;
    private readonly Dictionary<string, SpecClass> _specs = new(StringComparer.Ordinal);
    private readonly Dictionary<string, PodClass> _classes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, PodGroup> _groups = new(StringComparer.Ordinal);

    // By the instance: pods of one template have the same parsed spec when they come out of a store.
    private readonly Dictionary<PodSpec, string> _keys = [];

    // Pods so far for which nothing could be kept: what their claims can have changes with each placement and each one taken back.
    private int _depends;

    public PlanRun(Snapshot snapshot, PlanOptions options)
    {
        _snapshot = snapshot;
        _options = options;
        _working = new Working(snapshot, options.Seed);
        foreach (GroupRows group in snapshot.GroupList)
            _working.AnyTerms |= !group.Group.Terms.IsEmpty;
        _preemption = new Preemption(_working);
    }

    /// <summary>Finds the best node for a pod and counts it there, or says why there is none, with or without displacing lesser pods.</summary>
    private Placement Place(KubeObject value, bool preempt = true)
    {
        if (_snapshot.NodeCount == 0)
            return new Placement(value, null, "no nodes available to schedule pods") { HelpedBy = ClusterEvents.NodeAdded };
        Pod pod = value.View(ApiJson.Default.Pod);
        Release(value);
        PodClass pods = ClassOf(value, pod);
        // Said before any node is looked at; a pod that goes would not help.
        if (pods.Spec.Volumes?.Never is { } never)
            return new Placement(value, null, $"0/{_snapshot.NodeCount} nodes are available: {never}. preemption: 0/{_snapshot.NodeCount} nodes are available: {_snapshot.NodeCount} Preemption is not helpful for scheduling.") { HelpedBy = ClusterEvents.Storage };
        PodGroup? group = _working.Quotas.IsEmpty && value.Metadata.Label(ElasticQuota.Label) is null ? null : GroupOf(value, pods);
        string? over = group is null ? null : _working.Quotas.Problem(group, pods.Spec.FullRequests, _working.Resources);
        pods.Sync();
        int best = over is null && pods.Spec.Reserved is not null ? pods.PickReserved() : -1;
        if (best >= 0)
            return Take(value, pods, pods.Spec.Rows[best], pods.Spec.ReservationAt(pods.Spec.Rows[best]));
        best = over is null ? pods.Pick() : -1;
        if (best >= 0)
            return Take(value, pods, pods.Spec.Rows[best]);
        int priority = pod.Spec.Priority ?? 0;
        // Pods of one class need not all be such as displace others.
        string? barred = Preemption.Barred(value, pod);
        if (pods.LastFailure is { } known && known.Changes == _working.Changes && known.Priority == priority && known.Preempt == preempt && known.Barred == barred && ReferenceEquals(known.Group, group) && pod.Status?.NominatedNodeName is null)
            return known.Placement with { Pod = value };
        Placement refused = Refuse(value, pod, pods, over, preempt, barred);
        if (refused.Node is null && refused.Nominated is null)
            pods.LastFailure = new Failure(_working.Changes, priority, preempt, barred, group, refused);
        return refused;
    }

    // What was promised to the pod is room that it may take, and is nobody's when it gets none.
    private void Release(KubeObject value)
    {
        if (_snapshot.Nominated.TryGetValue(value.Uid, out PodRow? promised))
            _working.Release(promised, _snapshot.RowOf(promised.Node));
    }

    /// <summary>Every node, the best first.</summary>
    public List<NodeVerdict> Explain(KubeObject value)
    {
        PodClass pods = ClassOf(value, value.View(ApiJson.Default.Pod));
        pods.Sync();
        var verdicts = new List<NodeVerdict>(_snapshot.NodeCount);
        var fits = new HashSet<int>();
        // What is said of the pod whatever the node.
        if ((pods.Spec.Volumes?.Never ?? _working.Quotas.Problem(GroupOf(value, pods), pods.Spec.FullRequests, _working.Resources)) is { } never)
            return [.. Enumerable.Range(0, _snapshot.Rows).Where(r => _snapshot.Nodes[r] is not null).Select(r => new NodeVerdict(_snapshot.Nodes[r]!.Name, [never], new Dictionary<string, long>(), 0)).OrderBy(v => v.Node, StringComparer.Ordinal)];
        foreach ((int row, Dictionary<string, long> scores) in pods.Scores())
        {
            fits.Add(row);
            verdicts.Add(new NodeVerdict(_snapshot.Nodes[row]!.Name, [], scores, scores.Values.Sum()));
        }
        for (int row = 0; row < _snapshot.Rows; row++)
            if (_snapshot.Nodes[row] is { } node && !fits.Contains(row))
                verdicts.Add(new NodeVerdict(node.Name, pods.Reasons.Of(row), new Dictionary<string, long>(), 0));
        verdicts.Sort(static (a, b) =>
        {
            int order = a.Reasons.Count.CompareTo(b.Reasons.Count) is var less && (a.Reasons.Count == 0 || b.Reasons.Count == 0) ? less : 0;
            order = order != 0 ? order : b.Total.CompareTo(a.Total);
            return order != 0 ? order : string.CompareOrdinal(a.Node, b.Node);
        });
        return verdicts;
    }

    public void Dispose() => _working.Dispose();

    private Placement Take(KubeObject value, PodClass pods, int row, string? reservation = null, Func<PodRow, bool>? gone = null)
    {
        SpecClass spec = pods.Spec;
        Allocation? allocation = null;
        long[] demand = spec.FullRequests;
        if (spec.Special is { } special)
        {
            demand = special.DemandAt(row);
            if (special.Choose(row, gone) is { } claim)
            {
                _working.Claim(row, claim);
                if (claim.Cells.Length + claim.Devices.Length > 0)
                    allocation = _snapshot.Parts[row]!.Describe(claim);
            }
            if (!spec.Whole && demand[ResourceNames.Cpu] != spec.FullRequests[ResourceNames.Cpu])
                (allocation ??= new Allocation()).CpuMilli = demand[ResourceNames.Cpu];
        }
        _working.Count(row, GroupOf(value, pods), demand, spec.ScoredCpu, spec.ScoredMemory, spec.Ports, 1, null, reservation, spec.FullRequests);
        return new Placement(value, _snapshot.Nodes[row]!.Name, null) { Reservation = reservation, Allocation = allocation, Volumes = spec.Volumes?.Take(row) ?? [] };
    }

    private Placement Refuse(KubeObject value, Pod pod, PodClass pods, string? over, bool preempt, string? barred)
    {
        (string message, ClusterEvents help, List<int> helpable) = over is null ? Reasons(pods) : OverQuota(pods, over, GroupOf(value, pods));
        if (!preempt || !pods.Spec.Profile.DefaultPreemption)
            return new Placement(value, null, message) { HelpedBy = help };
        PodGroup group = GroupOf(value, pods);
        Preempted outcome = barred is not null ? new Preempted(-1, [], false, barred) : _preemption.Try(value, pod, pods, group, helpable);
        if (outcome.Message is not null)
            message = $"{message} preemption: {outcome.Message}";
        if (outcome.Row < 0)
            return new Placement(value, null, message) { HelpedBy = help };
        // Only promises to lesser pods were in the way: the room is there.
        if (outcome.Direct)
            return Take(value, pods, outcome.Row, pods.Spec.ReservationAt(outcome.Row), p => p.Nominated && p.Priority < (pod.Spec.Priority ?? 0));
        SpecClass spec = pods.Spec;
        _working.Count(outcome.Row, group, spec.DemandAt(outcome.Row), spec.ScoredCpu, spec.ScoredMemory, spec.Ports, 1, outcome.Promise, asked: spec.FullRequests);
        return new Placement(value, null, message) { HelpedBy = help | ClusterEvents.PodGone, Nominated = _snapshot.Nodes[outcome.Row]!.Name, Victims = outcome.Victims };
    }

    private static (string, ClusterEvents, List<int>) Reasons(PodClass pods)
    {
        RowReasons reasons = pods.Reasons;
        reasons.Sync();
        return (reasons.Message(), reasons.HelpedBy, reasons.Helpable);
    }

    // Wherever the pod may be at all, lesser pods of its quota may make room in the quota; nobody helps against one that does not exist.
    private (string, ClusterEvents, List<int>) OverQuota(PodClass pods, string over, PodGroup group) =>
        (RowReasons.Format(new Dictionary<string, int> { [over] = _snapshot.NodeCount }, _snapshot.NodeCount), ClusterEvents.PodGone | ClusterEvents.Quotas, _working.Quotas.Of(group) is null ? [] : [.. pods.Spec.Rows]);

    private PodGroup GroupOf(KubeObject value, PodClass pods)
    {
        PodSpec spec = value.View(ApiJson.Default.Pod).Spec;
        string key = PodGroup.KeyOf(value, spec);
        if (pods.Group.Key == key)
            return pods.Group;
        if (!_groups.TryGetValue(key, out PodGroup? group))
            _groups.Add(key, group = _snapshot.GroupOf(value, spec));
        return group;
    }

    private PodClass ClassOf(KubeObject value, Pod pod)
    {
        SchedulingProfile profile = _options.Profiles.GetValueOrDefault(pod.Spec.SchedulerName ?? "") ?? SchedulingProfile.Default;
        List<TopologySpreadConstraint> spread = pod.Spec.TopologySpreadConstraints is { Count: > 0 } own ? own : Usual(value, profile);
        PodWants? wants = PodWants.Of(value, pod.Spec);
        if (!_keys.TryGetValue(pod.Spec, out string? key))
            _keys.Add(pod.Spec, key = KeyOf(pod.Spec));
        key += wants?.Key;
        VolumeNeeds? volumes = VolumeNeeds.Of(value.Namespace, pod.Spec, _snapshot, _working.Volumes);
        if (volumes is not null)
            key = (volumes.Depends ? $"{_depends++}" : ClaimsOf(value.Namespace, pod.Spec)) + '\u0007' + key;
        string specKey = key;
        PodGroup? group = null;
        (string Name, int Row)[]? reserved = null;
        if (!_working.Reserved.IsEmpty && (reserved = _working.Reserved.For(group = _snapshot.GroupOf(value, pod.Spec))) is not null)
            specKey = key = string.Join('\u0007', reserved.Select(r => r.Name)) + '\u0008' + key;
        if (spread.Count > 0 || _working.AnyTerms || pod.Spec.Affinity?.PodAffinity is not null || pod.Spec.Affinity?.PodAntiAffinity is not null)
        {
            group ??= _snapshot.GroupOf(value, pod.Spec);
            key = group.Key + '\u0006' + (spread.Count > 0 && pod.Spec.TopologySpreadConstraints is null ? "u" : "") + key;
        }
        if (_classes.TryGetValue(key, out PodClass? known))
            return known;
        if (!_specs.TryGetValue(specKey, out SpecClass? spec))
            _specs.Add(specKey, spec = new SpecClass(pod.Spec, profile, _working, reserved, volumes, wants));
        var made = new PodClass(spec, group ?? _snapshot.GroupOf(value, pod.Spec), spread, _working);
        _classes.Add(key, made);
        return made;
    }

    private static string ClaimsOf(string ns, PodSpec spec) =>
        ns + '/' + string.Join(',', (spec.Volumes ?? []).Select(v => v.PersistentVolumeClaim?.ClaimName).Where(c => c is not null));

    // Replicas that say nothing are spread over sites and, inside one, over nodes where that costs nothing else, as
    // Kubernetes' default constraints do.
    private static List<TopologySpreadConstraint> Usual(KubeObject value, SchedulingProfile profile)
    {
        if (!profile.SystemDefaultSpread && profile.DefaultConstraints.Count == 0)
            return [];
        if (value.Metadata.Controller() is not { Kind: "ReplicaSet" or "StatefulSet" or "ReplicationController" } || value.Metadata.Labels is not { Count: > 0 } labels)
            return [];
        var shared = new Dictionary<string, string>(labels, StringComparer.Ordinal);
        foreach (string own in s_ownLabels)
            shared.Remove(own);
        var selector = new LabelSelector { MatchLabels = shared };
        if (!profile.SystemDefaultSpread)
            return [.. profile.DefaultConstraints.Select(c => new TopologySpreadConstraint
            {
                TopologyKey = c.TopologyKey, MaxSkew = c.MaxSkew, WhenUnsatisfiable = c.WhenUnsatisfiable, MinDomains = c.MinDomains, LabelSelector = selector,
                MatchLabelKeys = c.MatchLabelKeys, NodeAffinityPolicy = c.NodeAffinityPolicy, NodeTaintsPolicy = c.NodeTaintsPolicy,
            })];
        return
        [
            new TopologySpreadConstraint { TopologyKey = WellKnown.HostnameLabel, MaxSkew = 3, WhenUnsatisfiable = "ScheduleAnyway", LabelSelector = selector },
            new TopologySpreadConstraint { TopologyKey = WellKnown.ZoneLabel, MaxSkew = 5, WhenUnsatisfiable = "ScheduleAnyway", LabelSelector = selector },
        ];
    }

    // Everything of a spec that a decision depends on. Pods of one controller differ in none of it.
    private string KeyOf(PodSpec spec) => JsonSerializer.Serialize(
        new PodSpec
        {
            NodeName = spec.NodeName,
            SchedulerName = _options.Profiles.Count == 0 ? null : spec.SchedulerName,
            NodeSelector = spec.NodeSelector,
            Affinity = spec.Affinity,
            Tolerations = spec.Tolerations,
            TopologySpreadConstraints = spec.TopologySpreadConstraints,
            Overhead = spec.Overhead,
            HostNetwork = spec.HostNetwork,
            Containers = spec.Containers.ConvertAll(Relevant),
            InitContainers = spec.InitContainers?.ConvertAll(Relevant),
        }, ApiJson.Default.PodSpec);

    private Container Relevant(Container container) =>
        new() { Ports = container.Ports, Resources = container.Resources, RestartPolicy = container.RestartPolicy, Image = _snapshot.Images.Count + _snapshot.Architectures.Count == 0 ? null : container.Image };
}
