using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Offline;

/// <summary>A pod that may be moved.</summary>
/// <param name="Row">The pod.</param>
/// <param name="Node">Number of its node.</param>
/// <param name="Class">Pods of one class take the same and may go to the same nodes.</param>
/// <param name="Restarts">It has to go before its owner makes it anew, so it is away for a while and may lose work: of pods that serve alike another moves.</param>
internal sealed record MovablePod(PodRow Row, int Node, PodKind Class, bool Restarts);

/// <summary>What pods of one class take and where they may go.</summary>
internal sealed class PodKind(int number, long[] requests, PodSpec spec, Snapshot fleet)
{
    private readonly NodeSelection _selection = new(spec, fleet);

    /// <summary>Its number.</summary>
    public int Number { get; } = number;

    private readonly Dictionary<long, long[]> _byCores = [];

    /// <summary>What one of them takes of a row, by column: normalised cores as cores of the row.</summary>
    public long[] On(int row)
    {
        if (requests[ResourceNames.Compute] <= 0)
            return requests;
        long cores = fleet.CoresOf(requests[ResourceNames.Compute], row);
        if (_byCores.TryGetValue(cores, out long[]? on))
            return on;
        on = [.. requests];
        on[ResourceNames.Cpu] += cores;
        on[ResourceNames.Compute] = 0;
        return _byCores[cores] = on;
    }

    /// <summary>Whether a row's labels suit it.</summary>
    public bool Suits(int row) => _selection.IsEmpty || (_selection.Matches(row) && _selection.Names(row));
}

/// <summary>
/// A fleet as moves see it: open nodes with what is free on them, pods that may be moved, and what each flavour needs. The value of a
/// node is what it can sell: each flavour as if it were the only one, times its weight.
/// </summary>
internal sealed class FleetModel
{
    private readonly Snapshot _fleet;
    private readonly (int Column, long Need)[][] _needs;
    private readonly Dictionary<(int Flavour, long Cores), (int Column, long Need)[]> _needsByCores = [];
    private readonly long[] _weights;
    private readonly bool[][] _sells;
    private readonly Dictionary<string, int> _staying = new(StringComparer.Ordinal);
    private readonly Dictionary<string, PodKind> _kinds = new(StringComparer.Ordinal);

    public FleetModel(Snapshot fleet, FleetGoal goal)
    {
        _fleet = fleet;
        ResourceNames names = fleet.Resources.Copy();
        _weights = [.. goal.Flavours.Select(f => (long)f.Weight)];
        _needs = [.. goal.Flavours.Select(f => f.Flavour.Needs(names))];
        Columns = names.Count;
        var domains = new Dictionary<string, int>(StringComparer.Ordinal);
        var rows = new List<int>();
        var domainOf = new List<int>();
        for (int row = 0; row < fleet.Rows; row++)
        {
            if (fleet.Nodes[row] is not { } node || FleetCapacity.ClosedFor(fleet.Gates[row]!) is not null)
                continue;
            string region = node.Labels.GetValueOrDefault(WellKnown.RegionLabel, ""), site = node.Labels.GetValueOrDefault(WellKnown.ZoneLabel, "");
            if ((goal.Region is not null && region != goal.Region) || (goal.Site is not null && site != goal.Site))
                continue;
            string domain = goal.WithinSite ? $"{region}\n{site}" : region;
            if (!domains.TryGetValue(domain, out int number))
                domains.Add(domain, number = domains.Count);
            rows.Add(row);
            domainOf.Add(number);
        }
        Rows = [.. rows];
        DomainOf = [.. domainOf];
        Domains = domains.Count;
        _sells = [.. goal.Flavours.Select(f => Array.ConvertAll(Rows, row => f.Flavour.Suits(fleet.Nodes[row]!.Labels)))];
        Free = new long[Rows.Length * Columns];
        Pods = new List<MovablePod>[Rows.Length];
        var movable = new Movable(fleet, goal);
        for (int n = 0; n < Rows.Length; n++)
        {
            for (int r = 0; r < Columns; r++)
                Free[n * Columns + r] = FleetCapacity.FreeOf(fleet, r, Rows[n]);
            Pods[n] = [];
            foreach (PodRow pod in fleet.PodsAt[Rows[n]] ?? [])
                if (movable.Reason(pod) is { } reason)
                    _staying[reason] = _staying.GetValueOrDefault(reason) + 1;
                else
                    Pods[n].Add(new MovablePod(pod, n, KindOf(pod), pod.Pod.Metadata.Controller()?.Kind != "ReplicaSet"));
            // Snapshots keep pods in no order; a plan must not depend on it. Of one class those that move without a restart are found first.
            Pods[n].Sort(static (a, b) => a.Restarts != b.Restarts ? a.Restarts.CompareTo(b.Restarts) : string.CompareOrdinal(a.Row.Uid, b.Row.Uid));
        }
    }

    /// <summary>Rows of the nodes; everything else here is by the node's number in it.</summary>
    public int[] Rows { get; }

    /// <summary>Resource columns.</summary>
    public int Columns { get; }

    /// <summary>Free amounts: node × columns + column.</summary>
    public long[] Free { get; }

    /// <summary>A pod stays within its node's domain.</summary>
    public int[] DomainOf { get; }

    /// <summary>How many domains there are.</summary>
    public int Domains { get; }

    /// <summary>Movable pods by node.</summary>
    public List<MovablePod>[] Pods { get; }

    /// <summary>Pods that stay where they are, by reason, the most frequent first.</summary>
    public ImmutableArray<(string Reason, int Pods)> Staying => [.. _staying.OrderByDescending(s => s.Value).ThenBy(s => s.Key, StringComparer.Ordinal).Select(s => (s.Key, s.Value))];

    /// <summary>Classes of pods.</summary>
    public int Kinds => _kinds.Count;

    public string NameOf(int node) => _fleet.Nodes[Rows[node]]!.Name;

    public string SiteOf(int node) => _fleet.Nodes[Rows[node]]!.Labels.GetValueOrDefault(WellKnown.ZoneLabel, "");

    public int Flavours => _needs.Length;

    /// <summary>What one instance takes of a node: normalised cores as cores of the node.</summary>
    public ReadOnlySpan<(int Column, long Need)> NeedOf(int flavour, int node)
    {
        (int Column, long Need)[] needs = _needs[flavour];
        int compute = Array.FindIndex(needs, static n => n.Column == ResourceNames.Compute);
        if (compute < 0)
            return needs;
        long cores = _fleet.CoresOf(needs[compute].Need, Rows[node]);
        if (_needsByCores.TryGetValue((flavour, cores), out (int, long)[]? on))
            return on;
        int cpu = Array.FindIndex(needs, static n => n.Column == ResourceNames.Cpu);
        on = [.. needs.Where(static n => n.Column is not (ResourceNames.Compute or ResourceNames.Cpu)), (ResourceNames.Cpu, cores + (cpu < 0 ? 0 : needs[cpu].Need))];
        return _needsByCores[(flavour, cores)] = on;
    }

    public bool Counts(int flavour, int node) => _weights[flavour] > 0 && _sells[flavour][node];

    /// <summary>Instances of a flavour that a node with these amounts left sells.</summary>
    public long Units(int flavour, int node, ReadOnlySpan<long> free)
    {
        if (!_sells[flavour][node])
            return 0;
        long units = long.MaxValue;
        foreach ((int column, long need) in NeedOf(flavour, node))
            units = Math.Min(units, Math.Max(0, free[column]) / need);
        return units;
    }

    /// <summary>What a node with these amounts left is worth.</summary>
    public long Value(int node, ReadOnlySpan<long> free)
    {
        long value = 0;
        for (int f = 0; f < _needs.Length; f++)
            if (_weights[f] > 0)
                value += _weights[f] * Units(f, node, free);
        return value;
    }

    private PodKind KindOf(PodRow pod)
    {
        PodSpec spec = SpecOf(pod);
        var asked = new PodSpec { NodeSelector = spec.NodeSelector, Affinity = spec.Affinity is null ? null : new Affinity { NodeAffinity = spec.Affinity.NodeAffinity } };
        string key = string.Join(',', pod.Requests) + System.Text.Json.JsonSerializer.Serialize(asked, ApiJson.Default.PodSpec);
        if (!_kinds.TryGetValue(key, out PodKind? kind))
        {
            var requests = new long[Columns];
            pod.Requests.CopyTo(requests, 0);
            _kinds.Add(key, kind = new PodKind(_kinds.Count, requests, asked, _fleet));
        }
        return kind;
    }

    // A pod that was moved before has the name of its node in its affinity; its owner's template has not.
    private static PodSpec SpecOf(PodRow pod)
    {
        PodSpec spec = pod.Pod.View(ApiJson.Default.Pod).Spec;
        if (pod.Pod.Metadata.Annotation(DefragmentationPlan.StepAnnotation) is null || spec.Affinity?.NodeAffinity?.RequiredDuringSchedulingIgnoredDuringExecution is not { } required)
            return spec;
        var terms = (required.NodeSelectorTerms ?? []).FindAll(t => t.MatchExpressions is { Count: > 0 }).ConvertAll(t => new NodeSelectorTerm { MatchExpressions = t.MatchExpressions });
        return new PodSpec
        {
            NodeSelector = spec.NodeSelector,
            Affinity = terms.Count == 0 ? null : new Affinity { NodeAffinity = new NodeAffinity { RequiredDuringSchedulingIgnoredDuringExecution = new NodeSelector { NodeSelectorTerms = terms } } },
        };
    }
}
