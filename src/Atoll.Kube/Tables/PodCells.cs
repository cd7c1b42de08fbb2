using System.Globalization;
using System.Text.Json;

namespace Atoll.Kube.Tables;

/// <summary>
/// The one word that kubectl shows for a pod: what its containers say is worth more than its phase. The same steps as
/// Kubernetes' printer: init containers in order until one is not done, then containers from the last to the first.
/// </summary>
internal sealed class PodCells
{
    private readonly JsonElement _pod, _spec, _status;
    private readonly HashSet<string> _sidecars = new(StringComparer.Ordinal);
    private long _restarts, _sidecarRestarts;
    private DateTimeOffset? _lastRestart, _lastSidecarRestart;
    private int _ready;
    private readonly int _total;

    public PodCells(JsonElement pod)
    {
        _pod = pod;
        _spec = pod.At("spec");
        _status = pod.At("status");
        foreach (JsonElement init in _spec.Each("initContainers"))
            if (init.Text("restartPolicy") == "Always")
                _sidecars.Add(init.Text("name"));
        _total = _spec.Count("containers") + _sidecars.Count;
        Status = Compute();
    }

    /// <summary>The Status cell.</summary>
    public string Status { get; }

    /// <summary>The Ready cell: <c>1/2</c>.</summary>
    public string Ready => $"{_ready}/{_total}";

    /// <summary>The Restarts cell: <c>3 (5m ago)</c>.</summary>
    public string Restarts(DateTimeOffset now)
    {
        string count = _restarts.ToString(CultureInfo.InvariantCulture);
        return _restarts != 0 && _lastRestart is not null ? $"{count} ({HumanDuration.Since(_lastRestart, now)} ago)" : count;
    }

    private string Compute()
    {
        string phase = _status.Text("phase");
        string reason = _status.Text("reason") is { Length: > 0 } given ? given : phase;
        if (_status.Condition("PodScheduled").Text("reason") == "SchedulingGated")
            reason = "SchedulingGated";
        bool initializing = Initialize(ref reason);
        if (!initializing || _status.IsTrue("Initialized"))
            reason = Run(reason);
        if (_pod.At("metadata").Has("deletionTimestamp"))
        {
            if (_status.Text("reason") == "NodeLost")
                reason = "Unknown";
            else if (phase is not "Succeeded" and not "Failed")
                reason = "Terminating";
        }
        return reason;
    }

    private bool Initialize(ref string reason)
    {
        int index = -1;
        foreach (JsonElement container in _status.Each("initContainerStatuses"))
        {
            index++;
            JsonElement state = container.At("state"), terminated = state.At("terminated");
            bool sidecar = _sidecars.Contains(container.Text("name"));
            DateTimeOffset? last = container.At("lastState", "terminated").Time("finishedAt");
            _restarts += container.Number("restartCount");
            _lastRestart = Later(_lastRestart, last);
            if (sidecar)
            {
                _sidecarRestarts += container.Number("restartCount");
                _lastSidecarRestart = Later(_lastSidecarRestart, last);
            }
            bool ended = terminated.ValueKind == JsonValueKind.Object;
            if (ended && terminated.Number("exitCode") == 0)
                continue;
            if (sidecar && container.Flag("started"))
            {
                if (container.Flag("ready"))
                    _ready++;
                continue;
            }
            string waiting = state.At("waiting").Text("reason");
            if (ended)
                reason = "Init:" + (terminated.Text("reason") is { Length: > 0 } why ? why : Ended(terminated));
            else if (waiting.Length > 0 && waiting != "PodInitializing")
                reason = "Init:" + waiting;
            else
                reason = $"Init:{index}/{_spec.Count("initContainers")}";
            return true;
        }
        return false;
    }

    private string Run(string reason)
    {
        _restarts = _sidecarRestarts;
        _lastRestart = _lastSidecarRestart;
        bool running = false;
        foreach (JsonElement container in _status.Each("containerStatuses").Reverse())
        {
            JsonElement state = container.At("state"), terminated = state.At("terminated");
            _restarts += container.Number("restartCount");
            _lastRestart = Later(_lastRestart, container.At("lastState", "terminated").Time("finishedAt"));
            if (state.At("waiting").Text("reason") is { Length: > 0 } waiting)
                reason = waiting;
            else if (terminated.ValueKind == JsonValueKind.Object)
                reason = terminated.Text("reason") is { Length: > 0 } why ? why : Ended(terminated);
            else if (container.Flag("ready") && state.Has("running"))
            {
                running = true;
                _ready++;
            }
        }
        // One container is done, another still runs: the pod does.
        return reason == "Completed" && running ? (_status.IsTrue("Ready") ? "Running" : "NotReady") : reason;
    }

    private static string Ended(JsonElement terminated) => terminated.Number("signal") is not 0 and long signal ? $"Signal:{signal}" : $"ExitCode:{terminated.Number("exitCode")}";

    private static DateTimeOffset? Later(DateTimeOffset? a, DateTimeOffset? b) => a is null || b > a ? b ?? a : a;
}
