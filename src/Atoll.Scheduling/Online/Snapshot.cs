using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>
/// The fleet as columns: one array for each resource over all nodes, kept incrementally from the changes of nodes and pods. A
/// plan reads it and never writes it. Not thread-safe. A node keeps its row while it exists; freed rows are used again.
/// </summary>
public sealed class Snapshot
{
    private readonly Dictionary<string, int> _rows = new(StringComparer.Ordinal);
    private readonly Stack<int> _free = new();
    private readonly Dictionary<string, PodRow> _pods = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<PodRow>> _waiting = new(StringComparer.Ordinal);

    /// <summary>Rows in use or freed: the length of every column.</summary>
    internal int Rows { get; private set; }

    /// <summary>How many nodes there are.</summary>
    public int NodeCount => _rows.Count;

    /// <summary>How many pods have a node.</summary>
    public int PodCount => _pods.Count;

    /// <summary>Columns by name.</summary>
    public ResourceNames Resources { get; } = new();

    internal NodeRow?[] Nodes { get; private set; } = new NodeRow?[16];

    /// <summary>Requested amounts: [resource][row].</summary>
    internal long[][] Requested { get; private set; } = [new long[16], new long[16], new long[16]];

    /// <summary>Allocatable amounts: [resource][row].</summary>
    internal long[][] Allocatable { get; private set; } = [new long[16], new long[16], new long[16]];

    internal IReadOnlyCollection<PodRow> Pods => _pods.Values;

    /// <summary>Adds a node or takes in its change.</summary>
    public void UpsertNode(KubeObject value)
    {
        ArgumentNullException.ThrowIfNull(value);
        Node node = value.View(ApiJson.Default.Node);
        if (!_rows.TryGetValue(value.Name, out int row))
        {
            row = _free.TryPop(out int freed) ? freed : Rows++;
            _rows.Add(value.Name, row);
        }
        long[] allocatable = Resources.Read(node.Status?.Allocatable ?? node.Status?.Capacity);
        Grow();
        for (int r = 0; r < Allocatable.Length; r++)
            Allocatable[r][row] = r < allocatable.Length ? allocatable[r] : 0;
        List<PodRow> pods = Nodes[row]?.Pods ?? [];
        Nodes[row] = new NodeRow(value.Name, row, value.Metadata.Labels ?? [], node.Spec.Unschedulable == true, TaintsOf(node), pods);
        if (_waiting.Remove(value.Name, out List<PodRow>? early))
            foreach (PodRow pod in early)
                Place(pod, row);
    }

    /// <summary>Removes a node; its pods wait, uncounted, until it comes back or they go.</summary>
    public void RemoveNode(string name)
    {
        if (!_rows.Remove(name, out int row))
            return;
        if (Nodes[row]!.Pods.Count > 0)
            _waiting[name] = Nodes[row]!.Pods;
        Nodes[row] = null;
        for (int r = 0; r < Allocatable.Length; r++)
            Allocatable[r][row] = Requested[r][row] = 0;
        _free.Push(row);
    }

    /// <summary>
    /// Takes in a pod: one with a node counts there until it has finished; one without counts nowhere. <paramref name="node"/>
    /// overrides spec.nodeName for a binding that is on its way.
    /// </summary>
    public void UpsertPod(KubeObject value, string? node = null)
    {
        ArgumentNullException.ThrowIfNull(value);
        Pod pod = value.View(ApiJson.Default.Pod);
        node ??= pod.Spec.NodeName;
        bool counts = !string.IsNullOrEmpty(node) && pod.Status?.Phase is not ("Succeeded" or "Failed");
        if (_pods.TryGetValue(value.Uid, out PodRow? known))
        {
            if (counts && known.Node == node && ReferenceEquals(known.Labels, value.Metadata.Labels))
                return;
            RemovePod(value.Uid);
        }
        if (!counts)
            return;
        var row = new PodRow(value.Uid, value.Namespace, node!, value.Metadata.Labels ?? [], Resources.RequestsOf(pod.Spec), HostPorts.Of(pod.Spec), value.IsDeleting);
        _pods.Add(value.Uid, row);
        if (_rows.TryGetValue(node!, out int at))
            Place(row, at);
        else if (_waiting.TryGetValue(node!, out List<PodRow>? waiting))
            waiting.Add(row);
        else
            _waiting.Add(node!, [row]);
    }

    /// <summary>Forgets a pod.</summary>
    public void RemovePod(string uid)
    {
        if (!_pods.Remove(uid, out PodRow? pod))
            return;
        if (!_rows.TryGetValue(pod.Node, out int row))
        {
            if (_waiting.TryGetValue(pod.Node, out List<PodRow>? waiting) && waiting.Remove(pod) && waiting.Count == 0)
                _waiting.Remove(pod.Node);
            return;
        }
        Nodes[row]!.Pods.Remove(pod);
        for (int r = 0; r < pod.Requests.Length; r++)
            Requested[r][row] -= pod.Requests[r];
    }

    private void Place(PodRow pod, int row)
    {
        Grow();
        if (!Nodes[row]!.Pods.Contains(pod))
            Nodes[row]!.Pods.Add(pod);
        for (int r = 0; r < pod.Requests.Length; r++)
            Requested[r][row] += pod.Requests[r];
    }

    private void Grow()
    {
        if (Rows > Nodes.Length)
        {
            NodeRow?[] nodes = Nodes;
            Array.Resize(ref nodes, Rows * 2);
            Nodes = nodes;
        }
        Requested = Fit(Requested, Resources.Count, Nodes.Length);
        Allocatable = Fit(Allocatable, Resources.Count, Nodes.Length);
    }

    private static long[][] Fit(long[][] columns, int count, int length)
    {
        if (columns.Length < count)
            Array.Resize(ref columns, count);
        for (int i = 0; i < columns.Length; i++)
            if (columns[i] is null)
                columns[i] = new long[length];
            else if (columns[i].Length < length)
                Array.Resize(ref columns[i], length);
        return columns;
    }

    // A node that is not ready takes nothing new, whether or not somebody has already written the taint that says so.
    private static Taint[] TaintsOf(Node node)
    {
        var taints = new List<Taint>(node.Spec.Taints ?? []);
        string? ready = node.Status?.Conditions?.Find(c => c.Type == "Ready")?.Status;
        string? key = ready switch { "True" => null, "False" => "node.kubernetes.io/not-ready", "Unknown" => "node.kubernetes.io/unreachable", _ => "node.kubernetes.io/not-ready" };
        if (key is not null && !taints.Exists(t => t.Key == key))
            taints.Add(new Taint { Key = key, Effect = "NoSchedule" });
        return [.. taints];
    }
}

/// <summary>A node's row besides its amounts.</summary>
internal sealed record NodeRow(string Name, int Row, Dictionary<string, string> Labels, bool Unschedulable, Taint[] Taints, List<PodRow> Pods);

/// <summary>A pod that has a node.</summary>
internal sealed record PodRow(string Uid, string Namespace, string Node, Dictionary<string, string> Labels, long[] Requests, HostPorts Ports, bool Deleting);
