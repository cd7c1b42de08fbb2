using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Client;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Fragments.Policies;
using Atoll.Scheduling.Online;
using Atoll.Scheduling.WhatIf;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll simulate</c>: replays a trace on a fleet, or asks what would happen to the live one. Changes nothing.</summary>
internal static class SimulateCommand
{
    private static readonly string[] s_headers = ["POLICY", "SEED", "ARRIVED", "PLACED", "DROPPED", "ALLOCATED", "FRAGMENT"];

    private static readonly Option<string?> s_trace = new("--trace") { Description = "tasks that arrive: OpenB's CSV (name,cpu_milli,memory_mib,num_gpu,gpu_milli,…), or ours (name,cpu,memory,arrive,leave,count, and resources by name)", HelpName = "FILE" };
    private static readonly Option<string?> s_nodes = new("--nodes") { Description = "nodes: OpenB's CSV (sn,cpu_milli,memory_mib,gpu,model), or ours (name,cpu,memory,pods,region,site,count, and resources by name)", HelpName = "FILE" };
    private static readonly Option<bool> s_live = new("--live") { Description = "the nodes and pods of the live fleet, as they are now" };
    private static readonly Option<string[]> s_add = new("--add-nodes") { Description = "new hardware: a node list in our format; may be given several times", HelpName = "FILE" };
    private static readonly Option<string[]> s_lose = new("--lose-site") { Description = "a site that is lost: its nodes go, its pods arrive anew; may be given several times" };
    private static readonly Option<string[]> s_flavour = new("--flavour", "-f") { Description = "curves of what can be sold of this; without a trace the first arrives until no more of it fits; may be given several times" };
    private static readonly Option<string?> s_policy = new("--policy") { Description = $"policies, divided by commas; for OpenB's format: {string.Join(", ", PolicyCatalog.Names)}; else {string.Join(", ", FleetReplay.Policies.Keys)} (the scheduler itself, as it is and filling full nodes first)" };
    private static readonly Option<ulong> s_seed = new("--seed") { Description = "decides the order of tasks and nodes, and the copies", DefaultValueFactory = _ => 42 };
    private static readonly Option<string> s_demand = new("--demand") { Description = "of OpenB's format: GPUs asked for in all, as a share of the fleet's; tasks are copied, or cut off, to reach it", DefaultValueFactory = _ => "130%" };
    private static readonly Option<string?> s_csv = new("--csv") { Description = "write the curves there, one line a point ('-' for the terminal)", HelpName = "FILE" };
    private static readonly Option<string?> s_svg = new("--svg") { Description = "draw the curves there", HelpName = "FILE" };

    public static Command Create()
    {
        var command = new Command("simulate", """
            Replay a trace on a fleet, or try on the live fleet what has not happened yet: new hardware, a lost site, a new flavour.
            Nothing is changed. With OpenB's files tasks arrive in an order drawn from the seed and stay, and the GPUs that each policy
            allocates are compared. With our files and with --live each task is a pod that the scheduler itself places.

            Examples:
              atoll simulate --trace tasks.csv --nodes nodes.csv --svg curves.svg
              atoll simulate --trace tasks.csv --nodes nodes.csv --policy Outlook,FGD --seed 43 --demand 110% --csv -
              atoll simulate --live --lose-site lyon-1 --flavour 4c8g
              atoll simulate --live --add-nodes ten-more.csv --flavour 16c32g --policy spread,pack --svg growth.svg
            """)
        {
            s_trace, s_nodes, s_live, s_add, s_lose, s_flavour, s_policy, s_seed, s_demand, s_csv, s_svg,
        };
        command.SetAction(async (parsed, cancellation) =>
        {
            bool live = parsed.GetValue(s_live);
            if (live == parsed.GetValue(s_nodes) is not null)
                throw new CommandException("give the fleet: either --nodes FILE or --live", ExitCodes.Usage);
            bool ours = live || IsOurs(parsed.GetValue(s_nodes)!);
            if (parsed.GetValue(s_trace) is { } trace && IsOurs(trace) != ours)
                throw new CommandException($"--trace is in {(ours ? "OpenB's" : "our")} format and the fleet in {(ours ? "ours" : "OpenB's")}: both must be of one kind (docs/how-to/simulate.md)", ExitCodes.Usage);
            if (ours)
                await WhatIfAsync(parsed, live, cancellation);
            else
                OpenB(parsed);
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>Opens a file for reading, with messages that a user can act on.</summary>
    public static FileStream Open(string path, long most)
    {
        if (!File.Exists(path))
            throw new CommandException($"there is no file '{path}'", ExitCodes.NotFound);
        FileStream file = File.OpenRead(path);
        if (file.Length <= most)
            return file;
        file.Dispose();
        throw new CommandException($"'{path}' is larger than {most >> 20} MiB");
    }

    private static bool IsOurs(string path)
    {
        using var text = new StreamReader(Open(path, OpenBFormat.MaxBytes));
        return TraceFormat.IsHeader(text.ReadLine());
    }

    private static async Task WhatIfAsync(ParseResult parsed, bool live, CancellationToken cancellation)
    {
        string[] names = Names(parsed.GetValue(s_policy) ?? "spread", [.. FleetReplay.Policies.Keys]);
        List<KubeObject> nodes = [], pods = [];
        List<Flavour> flavours = [];
        Snapshot? beside = null;
        string[] asked = parsed.GetValue(s_flavour) ?? [];
        if (live)
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            nodes.AddRange(await ExplainCommand.ListAsync(client, Kinds.Node, cancellation));
            pods.AddRange(await ExplainCommand.ListAsync(client, Kinds.Pod, cancellation));
            beside = await ExplainCommand.BesideAsync(client, cancellation);
            flavours = asked.Length == 0 && (await client.ListAsync(Kinds.Flavour, null, ListOptions.Default, cancellation)).Items.Count == 0 ? [] : await CapacityCommand.ReadAsync(client, asked, cancellation);
        }
        else
        {
            nodes.AddRange(Read(parsed.GetValue(s_nodes)!, TraceFormat.ReadNodes));
            flavours = [.. asked.Select(Size)];
        }
        foreach (string more in parsed.GetValue(s_add) ?? [])
            foreach (KubeObject node in Read(more, TraceFormat.ReadNodes))
                nodes.Add(nodes.Exists(n => n.Name == node.Name) ? throw new CommandException($"{more}: there is a node {node.Name} already") : node);
        IReadOnlyList<TraceTask> tasks = parsed.GetValue(s_trace) is { } trace ? Read(trace, TraceFormat.ReadTasks) : [];
        string[] lost = parsed.GetValue(s_lose) ?? [];
        var question = new WhatIfQuestion(nodes, pods, tasks, flavours, lost, Fill: tasks.Count == 0 && lost.Length == 0 && flavours.Count > 0, beside);
        ulong seed = parsed.GetValue(s_seed);
        List<(string Policy, IReadOnlyList<WhatIfPoint> Points)> curves = [.. names.Select(n => (n, WhatIfRun.Run(question, n, (int)(seed & int.MaxValue))))];
        Show(parsed, WhatIfRun.ToCsv(curves, flavours), () => CurveReport.ToSvg(WhatIfRun.Curves(curves, seed), $"{nodes.Count} nodes{(flavours.Count > 0 ? $", {flavours[0].Name}" : "")}", "Cpu asked for so far, of the fleet's (whole line: taken; dashed: fragmentation)"),
            new JsonArray([.. curves.Select(c => (JsonNode)WhatIfRun.Document(c.Policy, c.Points, flavours))]), WhatIfRun.Headers, [.. curves.Select(c => WhatIfRun.Row(c.Policy, c.Points, flavours))]);
    }

    private static Flavour Size(string text)
    {
        try
        {
            return Flavour.Parse(text);
        }
        catch (FormatException e)
        {
            throw new CommandException(e.Message, ExitCodes.Usage);
        }
    }

    private static void OpenB(ParseResult parsed)
    {
        if (parsed.GetValue(s_trace) is not { } trace)
            throw new CommandException("OpenB's node list needs --trace FILE", ExitCodes.Usage);
        if (parsed.GetValue(s_add) is { Length: > 0 } || parsed.GetValue(s_lose) is { Length: > 0 } || parsed.GetValue(s_flavour) is { Length: > 0 })
            throw new CommandException("--add-nodes, --lose-site and --flavour need --live or files in our format (docs/how-to/simulate.md)", ExitCodes.Usage);
        double share = Share(parsed.GetValue(s_demand)!);
        string[] names = Names(parsed.GetValue(s_policy) ?? "Outlook,FGD,BestFit", PolicyCatalog.Names);
        ulong seed = parsed.GetValue(s_seed);
        GpuFleet fleet = Read(parsed.GetValue(s_nodes)!, OpenBFormat.ReadNodes);
        if (fleet.Gpus == 0)
            throw new CommandException($"{parsed.GetValue(s_nodes)}: no node has a GPU, and GPUs are what policies are compared by with OpenB's files; a fleet without them can be tried in our format (docs/how-to/simulate.md)");
        ImmutableArray<GpuTask> tasks = Read(trace, (text, source) => OpenBFormat.ReadTasks(text, source, fleet));
        var mix = TypicalMix.Of(tasks);
        var curves = new List<ReplayCurve>();
        var rows = new List<IReadOnlyList<string>>();
        var results = new JsonArray();
        foreach (string name in names)
        {
            if (!Console.IsErrorRedirected)
                Console.Error.WriteLine($"{name}: replaying");
            Run(name, new Replay(fleet, tasks, mix, share, seed), mix, seed, curves, rows, results);
        }
        Show(parsed, CurveReport.ToCsv(curves), () => CurveReport.ToSvg(curves, $"{Path.GetFileName(trace)} on {fleet.Nodes.Length} nodes, {fleet.Gpus} GPUs, seed {seed}"), results, s_headers, rows);
    }

    private static void Show(ParseResult parsed, string csv, Func<string> svg, JsonArray results, string[] headers, List<IReadOnlyList<string>> rows)
    {
        if (parsed.GetValue(s_svg) is { } picture)
            File.WriteAllText(picture, svg());
        if (parsed.GetValue(s_csv) is { } table && table != "-")
            File.WriteAllText(table, csv);
        if (parsed.GetValue(s_csv) == "-")
            Console.Write(csv);
        else
            Printer.Print(parsed.GetValue(Cli.Output)!, results, headers, rows);
    }

    /// <summary>Reads a file that must not be larger than the limit of its format.</summary>
    private static T Read<T>(string path, Func<TextReader, string, T> read)
    {
        using FileStream file = Open(path, OpenBFormat.MaxBytes);
        using var text = new StreamReader(file);
        return read(text, path);
    }

    private static void Run(string name, Replay replay, TypicalMix mix, ulong seed, List<ReplayCurve> curves, List<IReadOnlyList<string>> rows, JsonArray results)
    {
        var points = new List<ReplayPoint>();
        PlacementPolicy policy = PolicyCatalog.Create(name, replay.Fleet, mix, seed)!;
        ReplayResult result = replay.Run(policy, points);
        curves.Add(new ReplayCurve(policy.Name, seed, points));
        double fragment = points.Count == 0 ? 0 : points[^1].Fragment;
        rows.Add([policy.Name, Number(seed), Number(replay.Arrivals), Number(result.Placed), Number(result.Dropped), Percent(result.AllocatedPercent), Percent(fragment)]);
        results.Add((JsonNode)new JsonObject
        {
            ["policy"] = policy.Name, ["seed"] = seed, ["arrived"] = replay.Arrivals, ["placed"] = result.Placed, ["dropped"] = result.Dropped,
            ["allocatedPercent"] = Math.Round(result.AllocatedPercent, 3), ["fragmentPercent"] = Math.Round(fragment, 3),
        });
    }

    private static string[] Names(string list, IReadOnlyList<string> known)
    {
        string[] names = list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (string name in names)
            if (!known.Contains(name, StringComparer.OrdinalIgnoreCase))
                throw new CommandException($"there is no policy '{name}'; there are: {string.Join(", ", known)}", ExitCodes.Usage);
        return names.Length > 0 ? names : throw new CommandException("--policy names no policy", ExitCodes.Usage);
    }

    private static double Share(string text)
    {
        bool percent = text.EndsWith('%');
        if (!double.TryParse(text.TrimEnd('%'), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value))
            throw new CommandException($"--demand '{text}' is not a share such as 130% or 1.3", ExitCodes.Usage);
        value = percent ? value / 100 : value;
        return value is > 0 and <= 10 ? value : throw new CommandException($"--demand '{text}' is not above 0% and at most 1000%", ExitCodes.Usage);
    }

    private static string Number<T>(T value) where T : IFormattable => value.ToString(null, CultureInfo.InvariantCulture);

    private static string Percent(double value) => value.ToString("F2", CultureInfo.InvariantCulture) + " %";
}
