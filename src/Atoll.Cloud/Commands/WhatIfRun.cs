using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Online;
using Atoll.Scheduling.WhatIf;

namespace Atoll.Cloud.Commands;

/// <summary>What <c>atoll simulate</c> is asked about a fleet of nodes and pods.</summary>
/// <param name="Nodes">The nodes.</param>
/// <param name="Pods">Pods that are on them.</param>
/// <param name="Tasks">Tasks that arrive.</param>
/// <param name="Flavours">Flavours whose curves are drawn; the first fills what is left when <paramref name="Fill"/> is set.</param>
/// <param name="LostSites">Sites whose nodes go; their pods arrive anew.</param>
/// <param name="Fill">Whether the first flavour arrives until no more of it fits.</param>
/// <param name="Beside">Sites, reservations, quotas, volumes and whatever else bears on placement; null for none.</param>
internal sealed record WhatIfQuestion(IReadOnlyList<KubeObject> Nodes, IReadOnlyList<KubeObject> Pods, IReadOnlyList<TraceTask> Tasks, IReadOnlyList<Flavour> Flavours, IReadOnlyList<string> LostSites, bool Fill, Snapshot? Beside = null);

/// <summary>Runs a what-if with the scheduler itself and tells it as a table, CSV and a picture.</summary>
internal static class WhatIfRun
{
    /// <summary>Headers of the table.</summary>
    public static readonly string[] Headers = ["POLICY", "ARRIVED", "PLACED", "DROPPED", "CPU", "MEMORY", "SALEABLE", "FRAGMENTATION"];

    /// <summary>The curve of one policy.</summary>
    public static IReadOnlyList<WhatIfPoint> Run(WhatIfQuestion question, string policy, int seed)
    {
        Snapshot fleet = question.Beside?.Fork() ?? new Snapshot();
        var lost = new HashSet<string>(StringComparer.Ordinal);
        foreach (KubeObject node in question.Nodes)
            if (question.LostSites.Contains(node.Metadata.Label(WellKnown.SiteLabel) ?? node.Metadata.Label(WellKnown.ZoneLabel)))
                lost.Add(node.Name);
            else
                fleet.UpsertNode(node);
        foreach (string site in question.LostSites)
            if (!question.Nodes.Any(n => (n.Metadata.Label(WellKnown.SiteLabel) ?? n.Metadata.Label(WellKnown.ZoneLabel)) == site))
                throw new CommandException($"--lose-site: no node is at a site {site}", ExitCodes.NotFound);
        var tasks = new List<TraceTask>();
        foreach (KubeObject pod in question.Pods)
        {
            PodSpec spec = pod.View(ApiJson.Default.Pod).Spec;
            if (!lost.Contains(spec.NodeName ?? ""))
                fleet.UpsertPod(pod);
            else if (pod.Metadata.Controller()?.Kind is not "DaemonSet" && pod.View(ApiJson.Default.Pod).Status?.Phase is not ("Succeeded" or "Failed"))
                tasks.Add(new TraceTask(pod.Key, new Dictionary<string, string>(), 0, null, pod));
        }
        tasks.AddRange(question.Tasks);
        if (question.Fill)
        {
            Flavour flavour = question.Flavours[0];
            // One more than can fit shows that it is full.
            long room = Math.Min(new FleetCapacity(fleet, flavour).Total().Sellable + 1, TraceFormat.MaxTasks);
            double last = tasks.Count == 0 ? 0 : tasks.Max(t => t.Arrive);
            JsonObject instance = flavour.Pod.ToNode();
            instance["metadata"]!["namespace"] = "what-if";
            var pod = KubeObject.FromNode(instance);
            for (long i = 0; i < room; i++)
                tasks.Add(new TraceTask($"{flavour.Name}-{i}", flavour.Requests, last, null, pod));
        }
        if (tasks.Count == 0 && lost.Count == 0)
            throw new CommandException("nothing arrives: give --trace, --lose-site or --flavour", ExitCodes.Usage);
        bool talk = !Console.IsErrorRedirected || tasks.Count > 10_000;
        int told = -1;
        return new FleetReplay(fleet, question.Flavours, FleetReplay.Policies[policy], seed).Run(tasks, share =>
        {
            int percent = (int)(share * 10) * 10;
            if (talk && percent != told)
                Console.Error.WriteLine($"{policy}: {told = percent} % of {tasks.Count} tasks");
        });
    }

    /// <summary>A row of the table.</summary>
    public static IReadOnlyList<string> Row(string policy, IReadOnlyList<WhatIfPoint> points, IReadOnlyList<Flavour> flavours)
    {
        WhatIfPoint last = points[^1];
        return
        [
            policy, Text(last.Arrived), Text(last.Placed), Text(last.Arrived - last.Placed), Percent(last.CpuPercent), Percent(last.MemoryPercent),
            Each(i => $"{flavours[i].Name} {points[0].Saleable[i]} → {last.Saleable[i]}"), Each(i => $"{flavours[i].Name} {Percent(last.FragmentationPercent[i])}"),
        ];

        string Each(Func<int, string> text) => flavours.Count == 0 ? "-" : string.Join(", ", Enumerable.Range(0, flavours.Count).Select(text));
    }

    /// <summary>The result of one policy as a document.</summary>
    public static JsonObject Document(string policy, IReadOnlyList<WhatIfPoint> points, IReadOnlyList<Flavour> flavours)
    {
        WhatIfPoint last = points[^1];
        var sold = new JsonArray();
        for (int i = 0; i < flavours.Count; i++)
            sold.Add((JsonNode)new JsonObject { ["flavour"] = flavours[i].Name, ["saleableBefore"] = points[0].Saleable[i], ["saleableAfter"] = last.Saleable[i], ["fragmentationPercent"] = Math.Round(last.FragmentationPercent[i], 3) });
        return new JsonObject { ["policy"] = policy, ["arrived"] = last.Arrived, ["placed"] = last.Placed, ["dropped"] = last.Arrived - last.Placed, ["cpuPercent"] = Math.Round(last.CpuPercent, 3), ["memoryPercent"] = Math.Round(last.MemoryPercent, 3), ["flavours"] = sold };
    }

    /// <summary>All curves, one line a point.</summary>
    public static string ToCsv(IReadOnlyList<(string Policy, IReadOnlyList<WhatIfPoint> Points)> curves, IReadOnlyList<Flavour> flavours)
    {
        var text = new StringBuilder("policy,seconds,arrived,placed,demand_percent,cpu_percent,memory_percent");
        foreach (Flavour flavour in flavours)
            text.Append(CultureInfo.InvariantCulture, $",saleable_{Cell(flavour.Name)},fragmentation_percent_{Cell(flavour.Name)}");
        text.Append('\n');
        foreach ((string policy, IReadOnlyList<WhatIfPoint> points) in curves)
            foreach (WhatIfPoint p in points)
            {
                text.Append(CultureInfo.InvariantCulture, $"{policy},{p.Seconds:0.###},{p.Arrived},{p.Placed},{p.DemandPercent:F3},{p.CpuPercent:F3},{p.MemoryPercent:F3}");
                for (int i = 0; i < flavours.Count; i++)
                    text.Append(CultureInfo.InvariantCulture, $",{p.Saleable[i]},{p.FragmentationPercent[i]:F3}");
                text.Append('\n');
            }
        return text.ToString();
    }

    /// <summary>Cpu taken and the first flavour's fragmentation over demand, as the curves of the picture.</summary>
    public static IReadOnlyList<ReplayCurve> Curves(IReadOnlyList<(string Policy, IReadOnlyList<WhatIfPoint> Points)> curves, ulong seed) =>
        [.. curves.Select(c => new ReplayCurve(c.Policy, seed, [.. c.Points.Select(p => new ReplayPoint(p.DemandPercent, p.CpuPercent, p.FragmentationPercent.Count > 0 ? p.FragmentationPercent[0] : 0, p.Arrived - p.Placed))]))];

    // A size such as cpu=4,memory=8Gi has commas of its own.
    private static string Cell(string name) => name.Replace(',', ';');

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Percent(double value) => value.ToString("F2", CultureInfo.InvariantCulture) + " %";
}
