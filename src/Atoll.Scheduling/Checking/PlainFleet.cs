using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Checking;

/// <summary>A pod that counts somewhere.</summary>
internal sealed record PlainPod(KubeObject Object, string Node, bool Promised)
{
    public string? Reservation { get; init; }

    public Pod View => Object.View(ApiJson.Default.Pod);

    public int Priority => View.Spec.Priority ?? 0;

    /// <summary>Parts that it was given.</summary>
    public Allocation? Given { get; init; } = Allocation.Of(Object);
}

/// <summary>
/// A fleet as a plain list of documents, and Kubernetes' filters over it written down as its documentation says them: no
/// columns, no caches, nothing shared with the scheduler. Slow, short, and easy to believe.
/// </summary>
internal sealed class PlainFleet
{
    private readonly Dictionary<string, Dictionary<string, string>> _namespaces = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SiteSpec> _sites = new(StringComparer.Ordinal);
    private readonly List<CpuModelSpec> _models = [];

    public PlainFleet(IEnumerable<KubeObject> nodes, IEnumerable<KubeObject> pods, IEnumerable<KubeObject> namespaces, IReadOnlyList<KubeObject>? others = null)
    {
        Storage = new PlainStorage(others ?? [], name => Nodes.ContainsKey(name));
        Reservations = [.. (others ?? []).Where(o => o.Kind == "Reservation" && o.View(ApiJson.Default.Reservation).Status is { Phase: not "Expired", NodeName.Length: > 0 })];
        foreach (KubeObject more in others ?? [])
            if (more.Kind == "Site")
                _sites[more.Name] = more.View(ApiJson.Default.Site).Spec;
            else if (more.Kind == "CPUModel")
                _models.Add(more.View(ApiJson.Default.CpuModel).Spec);
        foreach (KubeObject node in nodes)
            Nodes[node.Name] = node.View(ApiJson.Default.Node);
        foreach (KubeObject ns in namespaces)
            _namespaces[ns.Name] = ns.Metadata.Labels ?? [];
        foreach (KubeObject pod in pods)
        {
            Pod view = pod.View(ApiJson.Default.Pod);
            string? bound = view.Spec.NodeName, node = string.IsNullOrEmpty(bound) ? view.Status?.NominatedNodeName : bound;
            if (!string.IsNullOrEmpty(node) && view.Status?.Phase is not ("Succeeded" or "Failed"))
                Pods.Add(new PlainPod(pod, node, string.IsNullOrEmpty(bound)) { Reservation = string.IsNullOrEmpty(bound) ? null : pod.Metadata.Annotation(Reservation.Annotation) });
        }
    }

    public SortedDictionary<string, Node> Nodes { get; } = new(StringComparer.Ordinal);

    public List<PlainPod> Pods { get; } = [];

    /// <summary>Reservations that have a node and have not expired.</summary>
    public List<KubeObject> Reservations { get; }

    /// <summary>Profiles by schedulerName, for the constraints that they give to replicas; null for Kubernetes' default alone, whose constraints keep no pod away.</summary>
    public IReadOnlyDictionary<string, SchedulingProfile>? Profiles { get; init; }

    public PlainStorage Storage { get; }

    /// <summary>Every reason of the first filter that keeps the pod off the node; empty when it may go there.</summary>
    public List<string> Reasons(KubeObject value, string nodeName)
    {
        PodSpec spec = value.View(ApiJson.Default.Pod).Spec;
        Node node = Nodes[nodeName];
        if (Static(spec, node) is { } never)
            return [never];
        if (Platform(spec, node) is { } foreign)
            return [foreign];
        if ((Storage.Never(value) ?? Storage.Reason(value, node)) is { } volume)
            return [volume];
        if (Pods.Exists(p => p.Node == nodeName && Ports(spec).Exists(mine => Ports(p.View.Spec).Exists(theirs => Clash(mine, theirs)))))
            return ["node(s) didn't have free ports for the requested pod ports"];
        List<string> missing = Missing(value, spec, nodeName);
        if (missing.Count > 0)
            return missing;
        string? reason = Whole(value, spec, nodeName) ?? (IsWhole(spec) ? null : PlainParts.Reason(value, node, CoresAt(spec, nodeName), Beside(nodeName), p => CoresAt(p.View.Spec, p.Node))) ?? OfSite(value, spec, node)
            ?? Spread(value, spec, node) ?? Near(value, spec, node);
        return reason is null ? [] : [reason];
    }

    public static string? Static(PodSpec spec, Node node)
    {
        List<NodeSelectorTerm>? terms = Required(spec);
        if (terms is { Count: > 0 } && terms.TrueForAll(NamesNodes) && !terms.Exists(t => t.MatchFields!.TrueForAll(f => f.Operator != "In" || FieldHolds(f, node))))
            return "node(s) didn't satisfy plugin(s) [NodeAffinity]";
        if (node.Spec.Unschedulable == true && !Tolerated(spec, new Taint { Key = "node.kubernetes.io/unschedulable", Effect = "NoSchedule" }))
            return "node(s) were unschedulable";
        if (!string.IsNullOrEmpty(spec.NodeName) && spec.NodeName != node.Metadata.Name)
            return "node(s) didn't match the requested node name";
        Taint? taint = Taints(node).Find(t => t.Effect is "NoSchedule" or "NoExecute" && !Tolerated(spec, t));
        if (taint is not null)
            return $"node(s) had untolerated taint {{{taint.Key}: {taint.Value}}}";
        return Selected(spec, node) ? null : "node(s) didn't match Pod's node affinity/selector";
    }

    private string? Platform(PodSpec spec, Node node)
    {
        string? own = node.Metadata.Labels?.GetValueOrDefault(WellKnown.ArchLabel);
        foreach (Container container in spec.Containers.Concat(spec.InitContainers ?? []))
        {
            List<NodeImage> told = [.. Nodes.Values.SelectMany(n => n.Status?.Edge?.Images ?? []).Where(i => i.Name == ImageNames.Canonical(container.Image) && i.Architectures.Count > 0)];
            if (own is not null && told.Count > 0 && !told.Exists(i => i.Architectures.Contains(own)))
                return "node(s) had no image for their architecture";
        }
        return null;
    }

    public static bool Selected(PodSpec spec, Node node)
    {
        Dictionary<string, string> labels = node.Metadata.Labels ?? [];
        if (spec.NodeSelector is not null && spec.NodeSelector.Any(s => labels.GetValueOrDefault(s.Key) != s.Value))
            return false;
        return Required(spec) is not { } terms || terms.Exists(t => TermHolds(t, node));
    }

    public static bool TermHolds(NodeSelectorTerm term, Node node) =>
        (term.MatchExpressions ?? []).Count + (term.MatchFields ?? []).Count > 0
        && (term.MatchExpressions ?? []).TrueForAll(e => e.Matches(node.Metadata.Labels))
        && (term.MatchFields ?? []).TrueForAll(f => FieldHolds(f, node));

    /// <summary>The node's taints, and the one that follows from its Ready condition.</summary>
    public static List<Taint> Taints(Node node)
    {
        List<Taint> taints = [.. node.Spec.Taints ?? []];
        string? ready = node.Status?.Conditions?.Find(c => c.Type == "Ready")?.Status;
        string implied = ready == "Unknown" ? "node.kubernetes.io/unreachable" : "node.kubernetes.io/not-ready";
        if (ready != "True" && !taints.Exists(t => t.Key == implied && t.Effect == "NoSchedule"))
            taints.Add(new Taint { Key = implied, Effect = "NoSchedule" });
        return taints;
    }

    public static bool Tolerated(PodSpec spec, Taint taint) => (spec.Tolerations ?? []).Exists(t =>
        (string.IsNullOrEmpty(t.Effect) || t.Effect == taint.Effect)
        && (string.IsNullOrEmpty(t.Key) ? t.Operator == "Exists" : t.Key == taint.Key && (t.Operator == "Exists" || (t.Value ?? "") == (taint.Value ?? ""))));

    /// <summary>What a pod needs of a resource, in thousandths.</summary>
    public static Int128 Need(PodSpec spec, string resource, long otherwiseMilli = 0)
    {
        Int128 running = 0, sidecars = 0, peak = 0;
        foreach (Container container in spec.InitContainers ?? [])
        {
            Int128 own = Of(container);
            peak = Int128.Max(peak, sidecars + own);
            if (container.RestartPolicy == "Always")
                sidecars += own;
        }
        foreach (Container container in spec.Containers)
            running += Of(container);
        Int128 overhead = spec.Overhead?.TryGetValue(resource, out string? more) == true ? Quantity.Parse(more).Milli : 0;
        return Int128.Max(running + sidecars, peak) + overhead;

        Int128 Of(Container c) =>
            c.Resources?.Requests?.TryGetValue(resource, out string? value) == true || c.Resources?.Limits?.TryGetValue(resource, out value) == true ? Quantity.Parse(value).Milli : otherwiseMilli;
    }

    /// <summary>What a node has of a resource, in thousandths.</summary>
    public static Int128 Has(Node node, string resource) => Quantity.Parse((node.Status?.Allocatable ?? node.Status?.Capacity)?.GetValueOrDefault(resource)).Milli;

    public IEnumerable<PlainPod> On(string node) => Pods.Where(p => p.Node == node);

    /// <summary>What is wrong with the parts that a pod was given on a node; null when they are as asked for.</summary>
    public string? CheckParts(KubeObject value, string node, Allocation? given)
    {
        PodSpec spec = value.View(ApiJson.Default.Pod).Spec;
        if (IsWhole(spec))
            return given is null ? null : "a whole node was divided";
        long? cores = Need(spec, WellKnown.Compute) > 0 ? CoresAt(spec, node) : null;
        return given?.CpuMilli != cores ? $"its normalised cores come to {cores} thousandths there, not {given?.CpuMilli}"
            : PlainParts.Check(value, Nodes[node], given, CoresAt(spec, node), Beside(node), p => CoresAt(p.View.Spec, p.Node));
    }

    private static bool IsWhole(PodSpec spec) => spec.RuntimeClassName == "metal";

    private List<PlainPod> Beside(string node) => [.. On(node)];

    private string? Whole(KubeObject value, PodSpec spec, string node)
    {
        List<KubeObject> kept = Reservations.FindAll(r => r.View(ApiJson.Default.Reservation).Status!.NodeName == node && Left(r, "pods") > 0);
        return IsWhole(spec) && (On(node).Any() || kept.Count > 1 || (kept.Count == 1 && (!IsOwner(kept[0], value) || Missing(spec, node, kept[0]).Count > 0))) ? "node(s) were not empty and a whole node was asked for" : null;
    }

    /// <summary>Thousandths of a core of a node that a pod takes: its cores, and its normalised ones by what a core is worth there.</summary>
    private long CoresAt(PodSpec spec, string node)
    {
        string model = Nodes.TryGetValue(node, out Node? found) ? found.Status?.Edge?.CpuModel ?? "" : "";
        CpuModelSpec? entry = _models.Where(m => m.Match == model || (m.Match.EndsWith('*') && model.StartsWith(m.Match.TrimEnd('*'), StringComparison.Ordinal))).MaxBy(m => m.Match.Length);
        long factor = model.Length == 0 || entry is null ? 1000 : (long)Math.Round(entry.Factor * 1000);
        return (long)Int128.Min(long.MaxValue, Need(spec, "cpu") + ((Need(spec, WellKnown.Compute) * 1000 + factor - 1) / factor));
    }

    /// <summary>What a pod takes of a node, in thousandths.</summary>
    private Int128 Takes(PodSpec spec, string node, string resource) =>
        IsWhole(spec) ? Int128.Max(Has(Nodes[node], resource), resource == "cpu" ? CoresAt(spec, node) : Need(spec, resource)) : resource == "cpu" ? CoresAt(spec, node) : Need(spec, resource);

    private string? OfSite(KubeObject value, PodSpec spec, Node node)
    {
        string site = node.Metadata.Labels?.GetValueOrDefault(WellKnown.SiteLabel) ?? "";
        SiteSpec? pool = _sites.GetValueOrDefault(site);
        List<string> nodes = [.. Nodes.Where(n => site.Length > 0 && n.Value.Metadata.Labels?.GetValueOrDefault(WellKnown.SiteLabel) == site).Select(n => n.Key)];
        foreach (string name in Names(spec).Where(n => n.StartsWith(WellKnown.SiteResourcePrefix, StringComparison.Ordinal) && Need(spec, n) > 0).Order(StringComparer.Ordinal))
        {
            Int128 used = 0;
            foreach (PlainPod pod in Pods.Where(p => nodes.Contains(p.Node)))
                used += Need(pod.View.Spec, name);
            if (used + Need(spec, name) > Quantity.Parse(pool?.Resources?.GetValueOrDefault(name)).Milli)
                return $"Insufficient {name}";
        }
        bool may = value.Metadata.Label(WellKnown.CreatedByLabel) == "site" || value.Metadata.Label(WellKnown.ServiceLabel) is not null || value.Metadata.Controller()?.Kind == "DaemonSet";
        foreach (KeyValuePair<string, string> kept in may ? [] : pool?.Headroom ?? [])
        {
            Int128 need = Takes(spec, node.Metadata.Name!, kept.Key), free = 0;
            foreach (string name in nodes.Where(n => Nodes[n].Spec.Unschedulable != true && !Taints(Nodes[n]).Exists(t => t.Effect is "NoSchedule" or "NoExecute")))
                free += Int128.Max(0, Has(Nodes[name], kept.Key) - Taken(name, kept.Key) - Reserved(name, kept.Key));
            if (need > 0 && Quantity.Parse(kept.Value) > Quantity.Zero && free - need < Quantity.Parse(kept.Value).Milli)
                return "node(s) were in sites that keep the rest for replacements";
        }
        return null;
    }

    private Int128 Reserved(string node, string resource)
    {
        Int128 kept = 0;
        foreach (KubeObject reservation in Reservations)
            if (reservation.View(ApiJson.Default.Reservation).Status!.NodeName == node)
                kept += Left(reservation, resource);
        return kept;
    }

    private Int128 Taken(string node, string resource)
    {
        Int128 taken = 0;
        foreach (PlainPod pod in On(node))
            taken += Takes(pod.View.Spec, node, resource);
        return taken;
    }

    private static IEnumerable<string> Names(PodSpec spec) =>
        spec.Containers.Concat(spec.InitContainers ?? []).SelectMany(c => (c.Resources?.Requests?.Keys.AsEnumerable() ?? []).Concat(c.Resources?.Limits?.Keys.AsEnumerable() ?? [])).Concat(spec.Overhead?.Keys.AsEnumerable() ?? []).Distinct(StringComparer.Ordinal);

    /// <summary>True when a pod may use a reservation.</summary>
    public static bool IsOwner(KubeObject reservation, KubeObject pod) => reservation.View(ApiJson.Default.Reservation).Spec.Owners?.Exists(o =>
        (string.IsNullOrEmpty(o.Namespace) || o.Namespace == pod.Namespace) && (o.Selector is null || o.Selector.IsEmpty || o.Selector.Matches(pod.Metadata.Labels))) == true;

    /// <summary>What of a reservation no pod has taken.</summary>
    public Int128 Left(KubeObject reservation, string resource)
    {
        Reservation view = reservation.View(ApiJson.Default.Reservation);
        Int128 left = resource == "pods" ? 1000 : Quantity.Parse(view.Spec.Resources?.GetValueOrDefault(resource)).Milli;
        foreach (PlainPod pod in On(view.Status!.NodeName!))
            if (pod.Reservation == reservation.Name)
                left -= resource == "pods" ? 1000 : Takes(pod.View.Spec, pod.Node, resource);
        return Int128.Max(0, left);
    }

    // With the room of a reservation that is the pod's, or without.
    private List<string> Missing(KubeObject value, PodSpec spec, string node)
    {
        List<string> missing = Missing(spec, node, null);
        foreach (KubeObject reservation in Reservations)
            if (missing.Count > 0 && reservation.View(ApiJson.Default.Reservation).Status!.NodeName == node && IsOwner(reservation, value) && Missing(spec, node, reservation).Count == 0)
                return [];
        return missing;
    }

    /// <summary>What is short for a pod that takes of a reservation, or of none.</summary>
    public List<string> Missing(PodSpec spec, string node, KubeObject? used)
    {
        Int128 Kept(string resource)
        {
            Int128 kept = 0;
            foreach (KubeObject reservation in Reservations)
                if (reservation.View(ApiJson.Default.Reservation).Status!.NodeName == node)
                    kept += Left(reservation, resource) - (ReferenceEquals(reservation, used) ? Int128.Min(Left(reservation, resource), resource == "pods" ? 1000 : resource == "cpu" ? CoresAt(spec, node) : Need(spec, resource)) : 0);
            return kept;
        }

        var missing = new List<string>();
        if (On(node).Count() + 1 + (Kept("pods") / 1000) > Has(Nodes[node], "pods") / 1000 || On(node).Any(p => IsWhole(p.View.Spec)))
            missing.Add("Too many pods");
        foreach (string name in Names(spec).Select(n => n == WellKnown.Compute ? "cpu" : n).Distinct(StringComparer.Ordinal))
        {
            // What the site has as a whole is no node's.
            if (name.StartsWith(WellKnown.SiteResourcePrefix, StringComparison.Ordinal))
                continue;
            Int128 need = name == "cpu" ? CoresAt(spec, node) : Need(spec, name);
            if (need > 0 && need > Has(Nodes[node], name) - Taken(node, name) - Kept(name))
                missing.Add($"Insufficient {name}");
        }
        return missing;
    }

    private string? Spread(KubeObject value, PodSpec spec, Node node)
    {
        List<TopologySpreadConstraint> hard = Constraints(value, spec).FindAll(c => c.WhenUnsatisfiable == "DoNotSchedule");
        foreach (TopologySpreadConstraint constraint in hard)
        {
            if (node.Metadata.Labels?.TryGetValue(constraint.TopologyKey, out string? here) != true)
                return "node(s) didn't match pod topology spread constraints (missing required label)";
            Dictionary<string, int> counts = SpreadCounts(value, spec, constraint, hard);
            int least = counts.Count == 0 || counts.Count < (constraint.MinDomains ?? 0) ? 0 : counts.Values.Min();
            int self = SpreadSelector(constraint, value)(value) ? 1 : 0;
            if (counts.GetValueOrDefault(here!) + self - least > constraint.MaxSkew)
                return "node(s) didn't match pod topology spread constraints";
        }
        return null;
    }

    /// <summary>A pod's own constraints, or those that its profile lists for replicas without any.</summary>
    private List<TopologySpreadConstraint> Constraints(KubeObject value, PodSpec spec)
    {
        if (spec.TopologySpreadConstraints is { Count: > 0 } own)
            return own;
        if (Profiles?.GetValueOrDefault(spec.SchedulerName ?? "") is not { SystemDefaultSpread: false } profile || value.Metadata.Controller()?.Kind is not ("ReplicaSet" or "StatefulSet" or "ReplicationController") || value.Metadata.Labels is not { Count: > 0 } labels)
            return [];
        var shared = new LabelSelector { MatchLabels = labels.Where(l => l.Key is not ("apps.kubernetes.io/pod-index" or "statefulset.kubernetes.io/pod-name" or "batch.kubernetes.io/job-completion-index")).ToDictionary() };
        return [.. profile.DefaultConstraints.Select(c => new TopologySpreadConstraint { TopologyKey = c.TopologyKey, MaxSkew = c.MaxSkew, WhenUnsatisfiable = c.WhenUnsatisfiable, MinDomains = c.MinDomains, LabelSelector = shared, MatchLabelKeys = c.MatchLabelKeys, NodeAffinityPolicy = c.NodeAffinityPolicy, NodeTaintsPolicy = c.NodeTaintsPolicy })];
    }

    /// <summary>Pods of a constraint by domain; a domain is a value on a node that counts and has the labels of all constraints.</summary>
    public Dictionary<string, int> SpreadCounts(KubeObject value, PodSpec spec, TopologySpreadConstraint constraint, List<TopologySpreadConstraint> together)
    {
        Func<KubeObject, bool> selects = SpreadSelector(constraint, value);
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach ((string name, Node node) in Nodes)
        {
            if (!together.TrueForAll(c => node.Metadata.Labels?.ContainsKey(c.TopologyKey) == true))
                continue;
            if ((constraint.NodeAffinityPolicy != "Ignore" && !Selected(spec, node))
                || (constraint.NodeTaintsPolicy == "Honor" && Taints(node).Exists(t => t.Effect is "NoSchedule" or "NoExecute" && !Tolerated(spec, t))))
                continue;
            string domain = node.Metadata.Labels![constraint.TopologyKey];
            counts[domain] = counts.GetValueOrDefault(domain) + On(name).Count(p => !p.Object.IsDeleting && p.Object.Namespace == value.Namespace && selects(p.Object));
        }
        return counts;
    }

    private static Func<KubeObject, bool> SpreadSelector(TopologySpreadConstraint constraint, KubeObject value) => other =>
        constraint.LabelSelector?.Matches(other.Metadata.Labels) == true
        && (constraint.MatchLabelKeys ?? []).TrueForAll(k => value.Metadata.Label(k) is not { } mine || other.Metadata.Label(k) == mine);

    private string? Near(KubeObject value, PodSpec spec, Node node)
    {
        List<PodAffinityTerm> affinity = spec.Affinity?.PodAffinity?.RequiredDuringSchedulingIgnoredDuringExecution ?? [];
        if (affinity.Count > 0)
        {
            List<PlainPod> those = Pods.FindAll(p => affinity.TrueForAll(t => IsAbout(t, value, p.Object)));
            bool anywhere = those.Exists(p => affinity.Exists(t => Domain(p.Node, t.TopologyKey) is not null));
            bool labelled = affinity.TrueForAll(t => node.Metadata.Labels?.ContainsKey(t.TopologyKey) == true);
            bool near = labelled && affinity.TrueForAll(t => those.Exists(p => Together(p.Node, node, t.TopologyKey)));
            bool first = labelled && !anywhere && affinity.TrueForAll(t => IsAbout(t, value, value));
            if (!near && !first)
                return "node(s) didn't match pod affinity rules";
        }
        List<PodAffinityTerm> anti = Anti(spec);
        if (anti.Exists(t => Pods.Exists(p => Together(p.Node, node, t.TopologyKey) && IsAbout(t, value, p.Object))))
            return "node(s) didn't match pod anti-affinity rules";
        return Pods.Exists(p => Anti(p.View.Spec).Exists(t => Together(p.Node, node, t.TopologyKey) && IsAbout(t, p.Object, value)))
            ? "node(s) didn't satisfy existing pods anti-affinity rules" : null;
    }

    private static List<PodAffinityTerm> Anti(PodSpec spec) => spec.Affinity?.PodAntiAffinity?.RequiredDuringSchedulingIgnoredDuringExecution ?? [];

    public string? Domain(string node, string key) => Nodes.TryGetValue(node, out Node? found) ? found.Metadata.Labels?.GetValueOrDefault(key) : null;

    public bool Together(string node, Node other, string key) => Domain(node, key) is { } domain && other.Metadata.Labels?.GetValueOrDefault(key) == domain;

    /// <summary>True when a term of a pod is about another.</summary>
    public bool IsAbout(PodAffinityTerm term, KubeObject owner, KubeObject other)
    {
        bool own = term.Namespaces is not { Count: > 0 } && term.NamespaceSelector is null;
        bool space = own ? other.Namespace == owner.Namespace
            : term.Namespaces?.Contains(other.Namespace) == true || term.NamespaceSelector?.Matches(_namespaces.GetValueOrDefault(other.Namespace)) == true;
        return space && term.LabelSelector?.Matches(other.Metadata.Labels) == true
            && (term.MatchLabelKeys ?? []).TrueForAll(k => owner.Metadata.Label(k) is not { } mine || other.Metadata.Label(k) == mine)
            && (term.MismatchLabelKeys ?? []).TrueForAll(k => owner.Metadata.Label(k) is not { } mine || other.Metadata.Label(k) != mine);
    }

    private static List<NodeSelectorTerm>? Required(PodSpec spec) =>
        spec.Affinity?.NodeAffinity?.RequiredDuringSchedulingIgnoredDuringExecution is { } required ? required.NodeSelectorTerms ?? [] : null;

    private static bool NamesNodes(NodeSelectorTerm term) => term.MatchFields?.Exists(f => f.Key == "metadata.name" && f.Operator == "In") == true;

    private static bool FieldHolds(SelectorRequirement field, Node node) => field.Key == "metadata.name" && field.Operator switch
    {
        "In" => field.Values?.Contains(node.Metadata.Name!) == true,
        "NotIn" => field.Values?.Contains(node.Metadata.Name!) != true,
        _ => false,
    };

    private static List<(string Ip, string Protocol, int Port)> Ports(PodSpec spec)
    {
        var ports = new List<(string, string, int)>();
        foreach (Container container in spec.Containers.Concat((spec.InitContainers ?? []).Where(c => c.RestartPolicy == "Always")))
            foreach (ContainerPort port in container.Ports ?? [])
                if ((port.HostPort ?? (spec.HostNetwork == true ? port.Number : 0)) is > 0 and int number)
                    ports.Add((string.IsNullOrEmpty(port.HostIP) ? "0.0.0.0" : port.HostIP, string.IsNullOrEmpty(port.Protocol) ? "TCP" : port.Protocol, number));
        return ports;
    }

    private static bool Clash((string Ip, string Protocol, int Port) a, (string Ip, string Protocol, int Port) b) =>
        a.Port == b.Port && a.Protocol == b.Protocol && (a.Ip == b.Ip || a.Ip == "0.0.0.0" || b.Ip == "0.0.0.0");
}
