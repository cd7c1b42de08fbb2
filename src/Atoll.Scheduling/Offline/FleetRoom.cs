namespace Atoll.Scheduling.Offline;

/// <summary>What is free while moves are made and taken back, and what the fleet is worth then, above its worth before.</summary>
internal sealed class FleetRoom
{
    private readonly FleetModel _model;
    private readonly long[] _value;
    private readonly List<MovablePod>?[] _pods;
    private readonly HashSet<int> _touched = [];
    private readonly Stack<int> _placeOf = new();

    public FleetRoom(FleetModel model)
    {
        _model = model;
        Free = [.. model.Free];
        _value = new long[model.Rows.Length];
        for (int n = 0; n < _value.Length; n++)
            _value[n] = model.Value(n, Left(n));
        _pods = new List<MovablePod>?[_value.Length];
    }

    /// <summary>Free amounts: node × columns + column.</summary>
    public long[] Free { get; }

    /// <summary>Worth of all nodes, less that of the untouched fleet.</summary>
    public long Value { get; private set; }

    /// <summary>Nodes that differ from the untouched fleet.</summary>
    public IReadOnlyCollection<int> Touched => _touched;

    public ReadOnlySpan<long> Left(int node) => Free.AsSpan(node * _model.Columns, _model.Columns);

    public long ValueOf(int node) => _value[node];

    /// <summary>Movable pods that are still where they were.</summary>
    public List<MovablePod> PodsOn(int node) => _pods[node] ?? _model.Pods[node];

    public bool Fits(PodKind pod, int node)
    {
        ReadOnlySpan<long> left = Left(node);
        long[] requests = pod.On(_model.Rows[node]);
        for (int r = 0; r < requests.Length; r++)
            if (requests[r] > 0 && requests[r] > left[r])
                return false;
        return true;
    }

    /// <summary>What the node is worth when a pod comes (sign −1) or goes.</summary>
    public long ValueWith(PodKind pod, int node, int sign)
    {
        Span<long> left = stackalloc long[_model.Columns];
        Left(node).CopyTo(left);
        long[] requests = pod.On(_model.Rows[node]);
        for (int r = 0; r < left.Length; r++)
            left[r] += sign * requests[r];
        return _model.Value(node, left);
    }

    /// <summary>A pod goes from its node to another; it is not moved again.</summary>
    public void Move(MovablePod pod, int to)
    {
        _touched.Add(pod.Node);
        _touched.Add(to);
        Try(pod, to);
    }

    /// <summary>The same, to be taken back by <see cref="Back"/> before anything else happens.</summary>
    public void Try(MovablePod pod, int to)
    {
        Change(pod.Class, pod.Node, 1);
        Change(pod.Class, to, -1);
        List<MovablePod> pods = _pods[pod.Node] ??= [.. _model.Pods[pod.Node]];
        int at = pods.IndexOf(pod);
        pods.RemoveAt(at);
        _placeOf.Push(at);
    }

    /// <summary>Takes the last move back.</summary>
    public void Back(MovablePod pod, int to)
    {
        Change(pod.Class, to, 1);
        Change(pod.Class, pod.Node, -1);
        _pods[pod.Node]!.Insert(_placeOf.Pop(), pod);
    }

    /// <summary>The untouched fleet.</summary>
    public void Reset()
    {
        foreach (int node in _touched)
        {
            _model.Free.AsSpan(node * _model.Columns, _model.Columns).CopyTo(Free.AsSpan(node * _model.Columns));
            _value[node] = _model.Value(node, Left(node));
            _pods[node] = null;
        }
        _touched.Clear();
        _placeOf.Clear();
        Value = 0;
    }

    private void Change(PodKind pod, int node, int sign)
    {
        Span<long> left = Free.AsSpan(node * _model.Columns, _model.Columns);
        long[] requests = pod.On(_model.Rows[node]);
        for (int r = 0; r < left.Length; r++)
            left[r] += sign * requests[r];
        long now = _model.Value(node, left);
        Value += now - _value[node];
        _value[node] = now;
    }
}
