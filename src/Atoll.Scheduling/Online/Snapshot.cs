using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>
/// The fleet as columns: an array for each resource, label key and kind of fact over all nodes, kept incrementally from the
/// changes of nodes and pods. A plan reads it and never writes it. A node keeps its row while it exists; freed rows are used
/// again.
/// <para><see cref="Fork"/> gives a copy that shares every page until one side writes it, so that a plan may be made from one
/// while changes go on, and a what-if may change another. One snapshot is for one thread at a time; different ones are
/// independent.</para>
/// </summary>
public sealed partial class Snapshot
{
    private object _owner = new();
    private Dictionary<string, int> _rows = new(StringComparer.Ordinal);
    private bool _rowsShared, _labelsShared;
    private Stack<int> _free = new();
    private Dictionary<string, NodeGate> _gates = new(StringComparer.Ordinal);

    /// <summary>Rows in use or freed: the length of every column.</summary>
    internal int Rows { get; private set; }

    /// <summary>How many nodes there are.</summary>
    public int NodeCount => _rows.Count;

    /// <summary>Columns by name.</summary>
    public ResourceNames Resources { get; private init; } = new();

    internal LabelTable Labels { get; private set; } = new();

    internal Column<NodeRow?> Nodes { get; private init; } = new();

    /// <summary>Null where no node is.</summary>
    internal Column<NodeGate?> Gates { get; private init; } = new();

    internal Column<uint> Hashes { get; private init; } = new();

    /// <summary>Allocatable amounts: [resource][row].</summary>
    internal List<Column<long>> Allocatable { get; private init; } = [new(), new(), new()];

    /// <summary>Requested amounts: [resource][row].</summary>
    internal List<Column<long>> Requested { get; private init; } = [new(), new(), new()];

    /// <summary>Cpu and memory as they count in scores: requests, or what a pod that asks for none counts with.</summary>
    internal Column<long>[] Scored { get; private init; } = [new(), new()];

    /// <summary>Scores of pages from plan to plan; shared by all copies.</summary>
    internal ScoreMemo Scores { get; private init; } = new();

    /// <summary>How many nodes have an image, and its size there.</summary>
    internal ImmutableDictionary<string, ImageState> Images { get; private set; } = ImmutableDictionary.Create<string, ImageState>(StringComparer.Ordinal);

    /// <summary>Labels of namespaces.</summary>
    internal ImmutableDictionary<string, Dictionary<string, string>> Namespaces { get; private set; } = ImmutableDictionary.Create<string, Dictionary<string, string>>(StringComparer.Ordinal);

    /// <summary>
    /// A copy of this moment. It costs a pointer for each page of 512 rows, not a copy of the fleet; whichever side writes
    /// first copies the page it writes.
    /// </summary>
    public Snapshot Fork()
    {
        _rowsShared = _labelsShared = true;
        _owner = new object();
        return new Snapshot(Groups())
        {
            Rows = Rows,
            _rows = _rows,
            _rowsShared = true,
            _labelsShared = true,
            _free = new Stack<int>(_free.Reverse()),
            _gates = new Dictionary<string, NodeGate>(_gates, StringComparer.Ordinal),
            _pods = null,
            _use = null,
            _capacity = [.. _capacity],
            _podCount = _podCount,
            _waiting = _waiting.ToDictionary(w => w.Key, w => new List<PodRow>(w.Value), StringComparer.Ordinal),
            Resources = Resources.Copy(),
            Labels = Labels,
            Nodes = Nodes.Fork(),
            Gates = Gates.Fork(),
            Hashes = Hashes.Fork(),
            Allocatable = Allocatable.ConvertAll(c => c.Fork()),
            Requested = Requested.ConvertAll(c => c.Fork()),
            Scored = [Scored[0].Fork(), Scored[1].Fork()],
            Scores = Scores,
            Parts = Parts.Fork(),
            Uses = Uses.Fork(),
            Factors = Factors.Fork(),
            Models = Models.Fork(),
            DeviceColumns = DeviceColumns,
            AnyGpu = AnyGpu,
            Sites = Sites,
            AnyHeadroom = AnyHeadroom,
            CpuModels = CpuModels,
            _dependent = _dependent,
            PodsAt = PodsAt.Fork(),
            Nominated = Nominated,
            Images = Images,
            Architectures = Architectures,
            Namespaces = Namespaces,
            Budgets = Budgets,
            Gangs = Gangs,
            GangMembers = GangMembers,
            GangOf = GangOf,
            Reserved = Reserved,
            Limits = Limits,
            _quotas = Quotas.Copy(),
            Claims = Claims,
            DecidedClaims = DecidedClaims,
            Volumes = Volumes,
            StorageClasses = StorageClasses,
        };
    }

    /// <summary>True when the node is known.</summary>
    public bool HasNode(string name) => _rows.ContainsKey(name);

    /// <summary>A node's row, or −1.</summary>
    internal int RowOf(string name) => _rows.TryGetValue(name, out int row) ? row : -1;

    /// <summary>Adds a node or takes in its change. The answer says what of it can matter to a pod that waits.</summary>
    public ClusterEvents UpsertNode(KubeObject value)
    {
        ArgumentNullException.ThrowIfNull(value);
        Node node = value.View(ApiJson.Default.Node);
        ClusterEvents events = ClusterEvents.None;
        bool isNew = !_rows.TryGetValue(value.Name, out int row);
        if (isNew)
        {
            row = _free.TryPop(out int freed) ? freed : Rows++;
            OwnRows().Add(value.Name, row);
            events = ClusterEvents.NodeAdded;
        }
        events |= Change(row, node, () => Allocate(row, Resources.Read(node.Status?.Allocatable ?? node.Status?.Capacity)));
        NodeRow? old = Nodes[row];
        NodeGate gate = GateOf(node);
        if (!ReferenceEquals(Gates[row], gate))
        {
            Gates.At(row) = gate;
            events |= ClusterEvents.NodeTaints;
        }
        Dictionary<string, string> labels = node.Metadata.Labels ?? [];
        if (old is null || !Same(old.Labels, labels))
        {
            if (_labelsShared)
                (Labels, _labelsShared) = (Labels.Copy(), false);
            Labels.Set(row, old?.Labels, labels);
            events |= ClusterEvents.NodeLabels;
        }
        Dictionary<string, long> images = ImagesOf(node);
        CountImages(old?.Images, images);
        IReadOnlyList<NodeImage> told = node.Status?.Edge?.Images ?? [];
        // An image for one more architecture may help pods of it.
        if (CountArchitectures(old?.Told ?? [], told))
            events |= ClusterEvents.NodeLabels;
        NodeRow now = new(value.Name, labels, images) { Told = told };
        Nodes.At(row) = now;
        if (Hashes[row] != now.Hash)
            Hashes.At(row) = now.Hash;
        if (isNew && _waiting.Remove(value.Name, out List<PodRow>? early))
            foreach (PodRow pod in early)
                Put(pod, row);
        if (isNew)
            HoldAll(value.Name, gone: false);
        return events;
    }

    /// <summary>Removes a node; its pods wait, uncounted, until it comes back or they go.</summary>
    public void RemoveNode(string name)
    {
        if (!_rows.TryGetValue(name, out int row))
            return;
        PodRow[] pods = PodsAt[row] ?? [];
        foreach (PodRow pod in pods)
            Take(pod, row);
        HoldAll(name, gone: true);
        TakeParts(row, null);
        if (Models[row] is not null)
            (Models.At(row), Factors.At(row)) = (null, 0);
        if (pods.Length > 0)
            _waiting[name] = [.. pods];
        OwnRows().Remove(name);
        if (_labelsShared)
            (Labels, _labelsShared) = (Labels.Copy(), false);
        NodeRow node = Nodes[row]!;
        Labels.Set(row, node.Labels, null);
        CountImages(node.Images, null);
        CountArchitectures(node.Told, []);
        Nodes.At(row) = null;
        Gates.At(row) = null;
        for (int r = 0; r < Allocatable.Count; r++)
        {
            AddCapacity(r, -Allocatable[r][row]);
            Allocatable[r].At(row) = 0;
        }
        _free.Push(row);
    }

    /// <summary>Disruption budgets, which preemption breaks last.</summary>
    internal ImmutableDictionary<string, PodDisruptionBudget> Budgets { get; private set; } = ImmutableDictionary.Create<string, PodDisruptionBudget>(StringComparer.Ordinal);

    /// <summary>Takes in a PodDisruptionBudget. Always true: its counts are news.</summary>
    public bool UpsertBudget(KubeObject value)
    {
        ArgumentNullException.ThrowIfNull(value);
        Budgets = Budgets.SetItem(value.Key, value.View(ApiJson.Default.PodDisruptionBudget));
        return true;
    }

    /// <summary>Forgets a PodDisruptionBudget by its <c>namespace/name</c>.</summary>
    public void RemoveBudget(string key) => Budgets = Budgets.Remove(key);

    /// <summary>Takes in a namespace: terms of affinity may select namespaces by their labels. True when its labels are new.</summary>
    public bool UpsertNamespace(KubeObject value)
    {
        ArgumentNullException.ThrowIfNull(value);
        if (Namespaces.TryGetValue(value.Name, out Dictionary<string, string>? old) && Same(old, value.Metadata.Labels ?? []))
            return false;
        Namespaces = Namespaces.SetItem(value.Name, value.Metadata.Labels ?? []);
        return true;
    }

    /// <summary>Forgets a namespace.</summary>
    public void RemoveNamespace(string name) => Namespaces = Namespaces.Remove(name);

    private Dictionary<string, int> OwnRows()
    {
        if (_rowsShared)
            (_rows, _rowsShared) = (new Dictionary<string, int>(_rows, StringComparer.Ordinal), false);
        return _rows;
    }

    private ClusterEvents Allocate(int row, long[] amounts)
    {
        var events = ClusterEvents.None;
        while (Allocatable.Count < Resources.Count)
            Allocatable.Add(new());
        for (int r = 0; r < Allocatable.Count; r++)
        {
            // Who asks for more than is counted fits nowhere.
            long now = r < amounts.Length ? Math.Min(ResourceNames.Most - 1, amounts[r]) : 0, old = Allocatable[r][row];
            if (now == old)
                continue;
            Allocatable[r].At(row) = now;
            AddCapacity(r, now - old);
            if (now > old)
                events |= ClusterEvents.NodeAllocatable;
        }
        return events;
    }

    private void AddCapacity(int resource, long amount)
    {
        if (resource >= _capacity.Length)
            Array.Resize(ref _capacity, resource + 1);
        _capacity[resource] += amount;
    }

    private void CountImages(Dictionary<string, long>? old, Dictionary<string, long>? now)
    {
        if (old is not null && now is not null && old.Count == now.Count && !old.Except(now).Any())
            return;
        ImmutableDictionary<string, ImageState>.Builder images = Images.ToBuilder();
        foreach (string name in (old ?? []).Keys)
            if (images[name].Nodes == 1)
                images.Remove(name);
            else
                images[name] = images[name] with { Nodes = images[name].Nodes - 1 };
        foreach (KeyValuePair<string, long> image in now ?? [])
            images[image.Key] = new ImageState(images.GetValueOrDefault(image.Key).Nodes + 1, image.Value);
        Images = images.ToImmutable();
    }

    private static Dictionary<string, long> ImagesOf(Node node)
    {
        var images = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (ContainerImage image in node.Status?.Images ?? [])
            foreach (string name in image.Names ?? [])
                images[name] = image.SizeBytes ?? 0;
        return images;
    }

    // A node that is not ready takes nothing new, whether or not somebody has already written the taint that says so.
    private NodeGate GateOf(Node node)
    {
        var taints = new List<Taint>(node.Spec.Taints ?? []);
        string? ready = node.Status?.Conditions?.Find(c => c.Type == "Ready")?.Status;
        string? key = ready switch { "True" => null, "Unknown" => "node.kubernetes.io/unreachable", _ => "node.kubernetes.io/not-ready" };
        if (key is not null && !taints.Exists(t => t.Key == key && t.Effect is "NoSchedule"))
            taints.Add(new Taint { Key = key, Effect = "NoSchedule" });
        string all = (node.Spec.Unschedulable == true ? "1\n" : "0\n") + string.Join('\n', taints.Select(t => $"{t.Key}={t.Value}:{t.Effect}"));
        if (_gates.TryGetValue(all, out NodeGate? known))
            return known;
        // Taints come from people and controllers, a few of each kind; should they be without end, old ones are forgotten, not kept.
        if (_gates.Count >= 4096)
            _gates.Clear();
        _gates.Add(all, known = new NodeGate(node.Spec.Unschedulable == true, [.. taints]));
        return known;
    }

    private static bool Same(Dictionary<string, string> left, Dictionary<string, string> right)
    {
        if (ReferenceEquals(left, right))
            return true;
        if (left.Count != right.Count)
            return false;
        foreach (KeyValuePair<string, string> pair in left)
            if (!right.TryGetValue(pair.Key, out string? value) || value != pair.Value)
                return false;
        return true;
    }
}

/// <summary>An image: on how many nodes, how many bytes.</summary>
internal readonly record struct ImageState(int Nodes, long Bytes);
