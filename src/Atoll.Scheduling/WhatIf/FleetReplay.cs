using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.WhatIf;

/// <summary>One moment of a what-if. Shares are percent of what the fleet's nodes have.</summary>
/// <param name="Arrived">Tasks that have arrived.</param>
/// <param name="Placed">Tasks placed.</param>
/// <param name="Seconds">Time of the trace.</param>
/// <param name="DemandPercent">Cpu that all tasks so far asked for, with what was there at the beginning.</param>
/// <param name="CpuPercent">Cpu taken.</param>
/// <param name="MemoryPercent">Memory taken.</param>
/// <param name="Saleable">Instances of each flavour that can be sold then.</param>
/// <param name="FragmentationPercent">Fragmentation rate of each flavour.</param>
public sealed record WhatIfPoint(int Arrived, int Placed, double Seconds, double DemandPercent, double CpuPercent, double MemoryPercent, IReadOnlyList<long> Saleable, IReadOnlyList<double> FragmentationPercent);

/// <summary>
/// Replays a trace on a fleet with the scheduler itself: each task is a pod, placed as the centre would, and leaves when its time
/// is over; one that fits nowhere is dropped. Changes the snapshot that it is given.
/// </summary>
public sealed class FleetReplay(Snapshot fleet, IReadOnlyList<Flavour> flavours, SchedulingProfile profile, int seed)
{
    private const string Profile = "what-if";
    private const int MostTogether = 256, Points = 100;

    private readonly PriorityQueue<string, double> _leaving = new();
    private double _asked;

    /// <summary>Profiles by the name of a policy: <c>spread</c> is Kubernetes' default, <c>pack</c> fills full nodes first.</summary>
    public static IReadOnlyDictionary<string, SchedulingProfile> Policies { get; } = new Dictionary<string, SchedulingProfile>(StringComparer.OrdinalIgnoreCase)
    {
        ["spread"] = SchedulingProfile.Default with { DefaultPreemption = false },
        ["pack"] = SchedulingProfile.Default with { DefaultPreemption = false, Strategy = ScoringStrategy.MostAllocated, NodeResourcesFit = 10, NodeResourcesBalancedAllocation = 0, SystemDefaultSpread = false },
    };

    /// <summary>Runs; progress is the share of tasks that have arrived.</summary>
    public IReadOnlyList<WhatIfPoint> Run(IReadOnlyList<TraceTask> tasks, Action<double>? progress = null)
    {
        ArgumentNullException.ThrowIfNull(tasks);
        var options = new PlanOptions { Seed = seed, Profiles = new Dictionary<string, SchedulingProfile> { [Profile] = profile } };
        (double cpu, _) = Taken();
        _asked = cpu;
        int placed = 0, every = Math.Max(1, tasks.Count / Points), next = every;
        var points = new List<WhatIfPoint> { Point(0, 0, 0) };
        for (int i = 0; i < tasks.Count;)
        {
            double now = tasks[i].Arrive;
            Release(now);
            // Those that come before the next one leaves are planned together, each seeing those before it.
            double until = _leaving.TryPeek(out _, out double leaves) ? leaves : double.PositiveInfinity;
            int end = i;
            var pods = new List<KubeObject>();
            while (end < tasks.Count && end < i + MostTogether && end < next && tasks[end].Arrive < until)
            {
                KubeObject pod = tasks[end].Pod is { } real ? Unbound(real, end) : PodOf(tasks[end], end);
                pods.Add(pod);
                _asked += fleet.Resources.RequestsOf(pod.View(Api.ApiJson.Default.Pod).Spec)[ResourceNames.Cpu];
                until = Math.Min(until, tasks[end].Leave ?? double.PositiveInfinity);
                end++;
            }
            Plan plan = Scheduler.Plan(fleet, pods, options);
            for (int k = 0; k < pods.Count; k++)
                if (plan.Placements[k].Node is { } node)
                {
                    placed++;
                    fleet.UpsertPod(pods[k], node);
                    if (tasks[i + k].Leave is { } leave)
                        _leaving.Enqueue(pods[k].Uid, leave);
                }
            i = end;
            if (i < next && i < tasks.Count)
                continue;
            next = i + every;
            points.Add(Point(i, placed, now));
            progress?.Invoke((double)i / tasks.Count);
        }
        return points;
    }

    private void Release(double now)
    {
        while (_leaving.TryPeek(out string? uid, out double leaves) && leaves <= now)
        {
            _leaving.Dequeue();
            fleet.RemovePod(uid);
        }
    }

    private WhatIfPoint Point(int arrived, int placed, double seconds)
    {
        (double cpu, double memory) = Taken();
        (double allCpu, double allMemory) = (Sum(fleet.Allocatable[ResourceNames.Cpu]), Sum(fleet.Allocatable[ResourceNames.Memory]));
        List<CapacityAnswer> answers = [.. flavours.Select(f => new FleetCapacity(fleet, f).Total())];
        return new WhatIfPoint(arrived, placed, seconds, Percent(_asked, allCpu), Percent(cpu, allCpu), Percent(memory, allMemory), answers.ConvertAll(a => a.Sellable), answers.ConvertAll(a => 100 * a.Fragmentation));
    }

    private (double Cpu, double Memory) Taken() => (Sum(fleet.Requested[ResourceNames.Cpu]), Sum(fleet.Requested[ResourceNames.Memory]));

    // Of many nodes the sum is more than a long has, and shares need no more than this.
    private double Sum(Column<long> column)
    {
        double sum = 0;
        for (int row = 0; row < fleet.Rows; row++)
            if (fleet.Nodes[row] is not null)
                sum += column[row];
        return sum;
    }

    private static double Percent(double part, double all) => all == 0 ? 0 : 100 * part / all;

    private static KubeObject PodOf(TraceTask task, int number)
    {
        var requests = new JsonObject();
        foreach (KeyValuePair<string, string> amount in task.Requests)
            requests[amount.Key] = amount.Value;
        return KubeObject.FromNode(new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Pod",
            ["metadata"] = new JsonObject { ["name"] = task.Name, ["namespace"] = "what-if", ["uid"] = $"what-if-{number}" },
            ["spec"] = new JsonObject { ["schedulerName"] = Profile, ["containers"] = new JsonArray(new JsonObject { ["name"] = "c", ["resources"] = new JsonObject { ["requests"] = requests } }) },
        });
    }

    // A pod of a lost site comes anew: without its node, and not tied to it by the name of a node that is gone. It may stand for many.
    private static KubeObject Unbound(KubeObject pod, int number)
    {
        JsonObject document = pod.ToNode();
        document.Remove("status");
        document["metadata"]!["uid"] = $"what-if-{number}";
        (document["metadata"]!["annotations"] as JsonObject)?.Remove(Reservation.Annotation);
        JsonObject spec = document["spec"]!.AsObject();
        spec.Remove("nodeName");
        spec["schedulerName"] = Profile;
        return KubeObject.FromNode(document);
    }
}
