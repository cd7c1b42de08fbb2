using System.CommandLine;
using System.CommandLine.Completions;
using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Client;
using Atoll.Scheduling.Online;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll explain POD</c>: why this node, and why not that one, from the fleet as it is now.</summary>
internal static class ExplainCommand
{
    private static readonly string[] s_headers = ["NODE", "VERDICT", "SCORE", "WHY"];

    public static Command Create()
    {
        var pod = new Argument<string>("pod") { Description = "the pod: NAME, NAMESPACE/NAME or pod/NAME" };
        var ns = new Option<string?>("--namespace", "-n") { Description = "the pod's namespace (default: default)" };
        // The help of every command asks too, without a command line: it must not wait for a centre, nor need one.
        pod.CompletionSources.Add(context => context.ParseResult.CommandResult.Command.Arguments.Contains(pod) ? PodsAsync(context.ParseResult, context.ParseResult.GetValue(ns)).GetAwaiter().GetResult() : []);
        var limit = new Option<int>("--limit") { Description = "how many nodes to show, the best first; 0 for all", DefaultValueFactory = _ => 20 };
        var command = new Command("explain", """
            Show what the scheduler thinks of each node for a pod: its scores where the pod fits, the reasons where it does not. A pod
            that has a node is looked at as if it had none, in the fleet as it is now.

            Examples:
              atoll explain web-7d4b9c-x2x8p
              atoll explain prod/db-0
              atoll explain db-0 -n prod --limit 0 -o json | jq '.nodes[] | select(.reasons != [])'
            """) { pod, ns, limit };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            (string space, string name) = NameOf(parsed.GetRequiredValue(pod), parsed.GetValue(ns));
            JsonObject result = await ExplainAsync(client, space, name, parsed.GetValue(limit), cancellation);
            string form = parsed.GetRequiredValue(Cli.Output);
            if (form == "table")
                Console.WriteLine($"pod {result["pod"]}: {(result["node"] is { } node ? $"on {node}" : "has no node")}; {result["fits"]} of {result["of"]} nodes would do{(result["said"] is { } said ? $"\nlast decision: {said}" : "")}\n");
            Printer.Print(form, result, s_headers, result["nodes"]!.AsArray().Select(n => Row(n!.AsObject(), (string?)result["node"])));
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>Namespace and name of a pod as people write it: <c>[NAMESPACE/]NAME</c>, or with the kind before it as kubectl takes it.</summary>
    internal static (string Namespace, string Name) NameOf(string pod, string? ns)
    {
        string[] parts = pod.Split('/');
        if (parts.Length > 1 && parts[0] is "pod" or "pods" or "po")
            parts = parts[1..];
        if (parts.Length > 2 || parts.Contains(""))
            throw new CommandException($"\"{pod}\" is no pod: write NAME, NAMESPACE/NAME or pod/NAME", ExitCodes.Usage);
        if (parts.Length == 2 && ns is not null && ns != parts[0])
            throw new CommandException($"\"{pod}\" is not in namespace {ns}: leave out --namespace, or write {parts[1]}", ExitCodes.Usage);
        return (parts.Length == 2 ? parts[0] : ns ?? "default", parts[^1]);
    }

    // Names for the shell, where the centre answers at once.
    private static async Task<IEnumerable<CompletionItem>> PodsAsync(ParseResult parsed, string? ns)
    {
        try
        {
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2));
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            ApiList list = await client.ListAsync(Kinds.Pod, ns, ListOptions.Default, patience.Token);
            return [.. list.Items.Select(p => new CompletionItem(p.Namespace == (ns ?? "default") ? p.Name : p.Key))];
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or CommandException or IOException or InvalidDataException)
        {
            return [];
        }
    }

    /// <summary>The explanation as a document.</summary>
    internal static async Task<JsonObject> ExplainAsync(IResources api, string ns, string name, int limit, CancellationToken cancellation)
    {
        KubeObject pod = SiteCommands.Check(await api.GetAsync(Kinds.Pod, ns, name, cancellation));
        Snapshot fleet = await FleetAsync(api, cancellation);
        Dictionary<string, SchedulingProfile> profiles = await ProfilesAsync(api, cancellation);
        IReadOnlyList<NodeVerdict> verdicts = Scheduler.Explain(fleet, pod, new PlanOptions { Profiles = profiles });
        Pod view = pod.View(ApiJson.Default.Pod);
        string? node = view.Spec.NodeName;
        var nodes = new JsonArray();
        for (int i = 0; i < verdicts.Count; i++)
            if (limit <= 0 || i < limit || verdicts[i].Node == node)
                nodes.Add((JsonNode)Document(verdicts[i]));
        return new JsonObject
        {
            ["pod"] = pod.Key,
            ["node"] = string.IsNullOrEmpty(node) ? null : node,
            ["said"] = Said(view, profiles),
            ["fits"] = verdicts.Count(v => v.Reasons.Count == 0),
            ["of"] = verdicts.Count,
            ["nodes"] = nodes,
        };
    }

    private static string? Said(Pod pod, Dictionary<string, SchedulingProfile> profiles)
    {
        if (!string.IsNullOrEmpty(pod.Spec.NodeName))
            return null;
        if (pod.Spec.SchedulingGates is { Count: > 0 } gates)
            return $"not planned before its scheduling gates are taken off: {string.Join(", ", gates.Select(g => g.Name))}";
        return pod.Spec.SchedulerName is { Length: > 0 } name and not "default-scheduler" && !profiles.ContainsKey(name)
            ? $"left to the scheduler {name}: there is no SchedulerProfile of this name" : pod.Status?.Condition("PodScheduled")?.Message;
    }

    /// <summary>The fleet as it is now.</summary>
    internal static async Task<Snapshot> FleetAsync(IResources api, CancellationToken cancellation)
    {
        Snapshot fleet = await BesideAsync(api, cancellation);
        foreach (KubeObject item in await ListAsync(api, Kinds.Node, cancellation))
            fleet.UpsertNode(item);
        foreach (KubeObject item in await ListAsync(api, Kinds.Pod, cancellation))
            fleet.UpsertPod(item);
        return fleet;
    }

    /// <summary>All that bears on placement beside nodes and pods.</summary>
    internal static async Task<Snapshot> BesideAsync(IResources api, CancellationToken cancellation)
    {
        var fleet = new Snapshot();
        foreach (KubeObject item in await ListAsync(api, Kinds.Namespace, cancellation))
            fleet.UpsertNamespace(item);
        foreach (KubeObject item in await ListAsync(api, Kinds.CpuModel, cancellation))
            fleet.UpsertCpuModel(item);
        foreach (KubeObject item in await ListAsync(api, Kinds.Site, cancellation))
            fleet.UpsertSite(item);
        foreach (KubeObject item in await ListAsync(api, Kinds.ElasticQuota, cancellation))
            fleet.UpsertQuota(item);
        foreach (KubeObject item in await ListAsync(api, Kinds.Reservation, cancellation))
            fleet.UpsertReservation(item);
        foreach (ResourceType storage in (ResourceType[])[Kinds.PersistentVolumeClaim, Kinds.PersistentVolume, Kinds.StorageClass])
            foreach (KubeObject item in await ListAsync(api, storage, cancellation))
                fleet.SetStorage(storage, item.Key, item);
        return fleet;
    }

    private static async Task<Dictionary<string, SchedulingProfile>> ProfilesAsync(IResources api, CancellationToken cancellation)
    {
        var profiles = new Dictionary<string, SchedulingProfile>(StringComparer.Ordinal);
        foreach (KubeObject item in await ListAsync(api, Kinds.SchedulerProfile, cancellation))
        {
            SchedulerProfile view = item.View(ApiJson.Default.SchedulerProfile);
            if ((ProfileReader.Read(view.Spec, out _) ?? (view.Status?.Active is { } last ? ProfileReader.Read(last, out _) : null)) is { } profile)
                profiles[item.Name] = profile;
        }
        if (profiles.TryGetValue("default-scheduler", out SchedulingProfile? usual))
            profiles[""] = usual;
        return profiles;
    }

    private static JsonObject Document(NodeVerdict verdict)
    {
        var scores = new JsonObject();
        foreach (KeyValuePair<string, long> score in verdict.Scores.OrderByDescending(s => s.Value))
            scores[score.Key] = score.Value;
        return new JsonObject
        {
            ["node"] = verdict.Node,
            ["reasons"] = new JsonArray([.. verdict.Reasons.Select(r => (JsonNode)r)]),
            ["score"] = verdict.Reasons.Count == 0 ? verdict.Total : null,
            ["scores"] = scores,
        };
    }

    private static string[] Row(JsonObject node, string? bound)
    {
        JsonArray reasons = node["reasons"]!.AsArray();
        string name = (string)node["node"]!;
        string why = reasons.Count > 0
            ? string.Join(", ", reasons.Select(r => (string?)r))
            : string.Join(", ", node["scores"]!.AsObject().Select(s => string.Create(CultureInfo.InvariantCulture, $"{s.Key} {(long)s.Value!}")));
        return [name == bound ? name + " *" : name, reasons.Count > 0 ? "no" : "fits", reasons.Count > 0 ? "-" : node["score"]!.ToString(), why];
    }

    /// <summary>Every object of a resource.</summary>
    internal static async Task<IReadOnlyList<KubeObject>> ListAsync(IResources api, ResourceType type, CancellationToken cancellation)
    {
        ApiList list = await api.ListAsync(type, null, ListOptions.Default, cancellation);
        return list.Error is { } error ? throw new CommandException(error.Message ?? $"{type.Plural} cannot be listed") : list.Items;
    }
}
