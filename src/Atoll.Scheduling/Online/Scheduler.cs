using System.Globalization;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Scheduling.Online;

/// <summary>
/// <c>Plan(snapshot, pending) → plan</c>: pure and deterministic (same input and seed, same plan). Pods are planned in the order
/// given, each seeing those before it. Filters are Kubernetes', by their names and in their order; among the nodes that
/// pass, the score is least-allocated and balanced allocation, topology spread, preferred affinity and preferred taints;
/// ties go to the node that comes first in an order drawn from the seed.
/// <para>Pods of one template share their work: which nodes match by name, taint and label is found once, and spread
/// constraints are counted once and kept up to date.</para>
/// </summary>
public static class Scheduler
{
    /// <summary>Plans the pods.</summary>
    public static Plan Plan(Snapshot snapshot, IReadOnlyList<KubeObject> pending, int seed)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        ArgumentNullException.ThrowIfNull(pending);
        var run = new Run(snapshot, seed);
        var placements = new Placement[pending.Count];
        for (int i = 0; i < pending.Count; i++)
            placements[i] = run.Place(pending[i]);
        return new Plan(placements);
    }

    private sealed class Run
    {
        private readonly Snapshot _snapshot;
        private readonly long[][] _requested;
        private readonly int[] _tie;
        private readonly Dictionary<string, Template> _templates = new(StringComparer.Ordinal);
        private readonly Dictionary<int, List<HostPorts>> _planned = [];
        private readonly List<SpreadCounts> _counts = [];
        private readonly List<(NodeRow Node, string Namespace, Dictionary<string, string> Labels)> _placed = [];
        private readonly Dictionary<string, int> _reasons = new(StringComparer.Ordinal);

        public Run(Snapshot snapshot, int seed)
        {
            _snapshot = snapshot;
            _tie = new int[snapshot.Rows];
            for (int i = 0; i < _tie.Length; i++)
                _tie[i] = i;
#pragma warning disable RS0030 // Seeded: the same seed gives the same order.
            new Random(seed).Shuffle(_tie);
#pragma warning restore RS0030
            _requested = new long[snapshot.Requested.Length][];
            for (int r = 0; r < _requested.Length; r++)
                _requested[r] = snapshot.Requested[r].AsSpan(0, Math.Min(snapshot.Rows, snapshot.Requested[r].Length)).ToArray();
        }

        public Placement Place(KubeObject value)
        {
            if (_snapshot.NodeCount == 0)
                return new Placement(value, null, "no nodes available to schedule pods");
            Pod pod = value.View(ApiJson.Default.Pod);
            // Not placed rather than placed as if it had not said so.
            if (pod.Spec.Affinity?.PodAffinity?.RequiredDuringSchedulingIgnoredDuringExecution is { Count: > 0 } || pod.Spec.Affinity?.PodAntiAffinity?.RequiredDuringSchedulingIgnoredDuringExecution is { Count: > 0 })
                return new Placement(value, null, "required pod affinity and anti-affinity are not supported yet: use spec.topologySpreadConstraints");
            Dictionary<string, string> labels = value.Metadata.Labels ?? [];
            Template template = TemplateOf(value, pod, labels);
            _reasons.Clear();
            NodeRow? best = null;
            double bestScore = double.NegativeInfinity;
            for (int row = 0; row < _snapshot.Rows; row++)
            {
                if (_snapshot.Nodes[row] is not { } node)
                    continue;
                if (template.Static[row] is { } reason || (reason = Dynamic(template, node, labels)) is not null)
                {
                    if (reason.Length > 0)
                        Count(reason);
                    continue;
                }
                double score = Score(template, node);
                if (score > bestScore || (score == bestScore && _tie[row] < _tie[best!.Row]))
                    (best, bestScore) = (node, score);
            }
            if (best is null)
                return new Placement(value, null, Message());
            Take(template, best, value, labels);
            return new Placement(value, best.Name, null);
        }

        private void Take(Template template, NodeRow node, KubeObject value, Dictionary<string, string> labels)
        {
            for (int r = 0; r < template.Requests.Length && r < _requested.Length; r++)
                _requested[r][node.Row] += template.Requests[r];
            if (!template.Ports.IsEmpty)
            {
                if (!_planned.TryGetValue(node.Row, out List<HostPorts>? ports))
                    _planned[node.Row] = ports = [];
                ports.Add(template.Ports);
            }
            _placed.Add((node, value.Namespace, labels));
            foreach (SpreadCounts counts in _counts)
                counts.Placed(node, value.Namespace, labels);
        }

        // Empty when the reasons were counted here, because a node may lack several resources at once.
        private string? Dynamic(Template template, NodeRow node, Dictionary<string, string> labels)
        {
            if (!template.Ports.IsEmpty && PortsTaken(template.Ports, node))
                return "node(s) didn't have free ports for the requested pod ports";
            bool fits = true;
            for (int r = 0; r < template.Requests.Length; r++)
            {
                long request = template.Requests[r];
                if (request <= 0 || (r < _requested.Length && request <= _snapshot.Allocatable[r][node.Row] - _requested[r][node.Row]))
                    continue;
                fits = false;
                Count(r == ResourceNames.Pods ? "Too many pods" : $"Insufficient {_snapshot.Resources[r]}");
            }
            if (!fits)
                return "";
            foreach (SpreadCounts counts in template.Spread)
                if (counts.IsRequired && counts.Reason(node, labels) is { } reason)
                    return reason;
            return null;
        }

        private bool PortsTaken(HostPorts ports, NodeRow node)
        {
            foreach (PodRow pod in node.Pods)
                if (ports.Conflicts(pod.Ports))
                    return true;
            if (_planned.TryGetValue(node.Row, out List<HostPorts>? planned))
                foreach (HostPorts other in planned)
                    if (ports.Conflicts(other))
                        return true;
            return false;
        }

        // Each part is 0..100 before its weight, as Kubernetes' plugins are.
        private double Score(Template template, NodeRow node)
        {
            double cpu = Free(ResourceNames.Cpu, template, node), memory = Free(ResourceNames.Memory, template, node);
            double score = ((cpu + memory) * 50) + (100 * (1 - Math.Abs(cpu - memory)));
            foreach (SpreadCounts counts in template.Spread)
                score -= 200.0 * counts.CountAt(node) / (counts.CountAt(node) + 1.0);
            // Pods that ask for nothing still fill a node.
            score += 10 * Free(ResourceNames.Pods, template, node);
            score += 2 * Math.Min(100, NodeMatch.Preference(template.Spec, node));
            return score - (300 * NodeMatch.Disliked(template.Spec, node));
        }

        private double Free(int r, Template template, NodeRow node)
        {
            long allocatable = _snapshot.Allocatable[r][node.Row];
            // A pod that asks for nothing still takes something (Kubernetes: 100m and 200 MiB for scoring).
            long request = template.Requests[r] > 0 ? template.Requests[r] : r == ResourceNames.Cpu ? 100 : 200L << 20;
            return allocatable <= 0 ? 0 : Math.Clamp((double)(allocatable - _requested[r][node.Row] - request) / allocatable, 0, 1);
        }

        private void Count(string reason) => _reasons[reason] = _reasons.GetValueOrDefault(reason) + 1;

        private string Message()
        {
            var parts = new List<string>(_reasons.Count);
            foreach (KeyValuePair<string, int> reason in _reasons)
                parts.Add(string.Create(CultureInfo.InvariantCulture, $"{reason.Value} {reason.Key}"));
            parts.Sort(StringComparer.Ordinal);
            return string.Create(CultureInfo.InvariantCulture, $"0/{_snapshot.NodeCount} nodes are available: {string.Join(", ", parts)}.");
        }

        private Template TemplateOf(KubeObject value, Pod pod, Dictionary<string, string> labels)
        {
            string key = KeyOf(value, pod);
            if (_templates.TryGetValue(key, out Template? known))
                return known;
            var reasons = new string?[_snapshot.Rows];
            for (int row = 0; row < reasons.Length; row++)
                reasons[row] = _snapshot.Nodes[row] is { } node ? NodeMatch.Reason(pod.Spec, node) : null;
            var spread = new List<SpreadCounts>();
            foreach (TopologySpreadConstraint constraint in pod.Spec.TopologySpreadConstraints ?? Usual(value))
                spread.Add(new SpreadCounts(constraint, value.Namespace, pod.Spec, labels, _snapshot));
            // Counted from the snapshot: what this plan has already placed comes on top.
            foreach (SpreadCounts counts in spread)
                foreach ((NodeRow node, string ns, Dictionary<string, string> placed) in _placed)
                    counts.Placed(node, ns, placed);
            _counts.AddRange(spread);
            var template = new Template(pod.Spec, _snapshot.Resources.RequestsOf(pod.Spec), HostPorts.Of(pod.Spec), reasons, spread);
            _templates.Add(key, template);
            return template;
        }

        // Replicas that say nothing are spread over sites and, inside one, over nodes where that costs nothing else, as
        // Kubernetes' default constraints do. Pods of one controller share their labels.
        private static List<TopologySpreadConstraint> Usual(KubeObject value)
        {
            if (value.Metadata.Controller() is null || value.Metadata.Labels is not { Count: > 0 } labels)
                return [];
            var selector = new LabelSelector { MatchLabels = labels };
            return
            [
                new TopologySpreadConstraint { TopologyKey = WellKnown.ZoneLabel, MaxSkew = 3, WhenUnsatisfiable = "ScheduleAnyway", LabelSelector = selector },
                new TopologySpreadConstraint { TopologyKey = WellKnown.HostnameLabel, MaxSkew = 5, WhenUnsatisfiable = "ScheduleAnyway", LabelSelector = selector },
            ];
        }

        // Everything of a pod that a decision depends on. Pods of one controller differ in none of it.
        private static string KeyOf(KubeObject value, Pod pod) => JsonSerializer.Serialize(
            new Pod { Metadata = new ObjectMeta { Namespace = value.Namespace, Labels = pod.Spec.TopologySpreadConstraints is null && value.Metadata.Controller() is null ? null : value.Metadata.Labels }, Spec = Relevant(pod.Spec) }, ApiJson.Default.Pod);

        private static PodSpec Relevant(PodSpec spec) => new()
        {
            NodeName = spec.NodeName,
            NodeSelector = spec.NodeSelector,
            Affinity = spec.Affinity,
            Tolerations = spec.Tolerations,
            TopologySpreadConstraints = spec.TopologySpreadConstraints,
            Overhead = spec.Overhead,
            HostNetwork = spec.HostNetwork,
            Containers = spec.Containers.ConvertAll(Relevant),
            InitContainers = spec.InitContainers?.ConvertAll(Relevant),
        };

        private static Container Relevant(Container container) => new() { Ports = container.Ports, Resources = container.Resources, RestartPolicy = container.RestartPolicy };
    }

    private sealed record Template(PodSpec Spec, long[] Requests, HostPorts Ports, string?[] Static, List<SpreadCounts> Spread);
}
