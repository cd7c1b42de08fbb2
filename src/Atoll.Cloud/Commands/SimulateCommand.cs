using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Fragments.Policies;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll simulate</c>: replays a trace on a fleet under placement policies. Needs no centre.</summary>
internal static class SimulateCommand
{
    private static readonly string[] s_headers = ["POLICY", "SEED", "ARRIVED", "PLACED", "DROPPED", "ALLOCATED", "FRAGMENT"];

    public static Command Create()
    {
        var trace = new Option<string>("--trace") { Description = "tasks: CSV with name,cpu_milli,memory_mib,num_gpu,gpu_milli and optionally gpu_spec (models, divided by |)", Required = true, HelpName = "FILE" };
        var nodes = new Option<string>("--nodes") { Description = "nodes: CSV with sn,cpu_milli,memory_mib,gpu,model", Required = true, HelpName = "FILE" };
        var policy = new Option<string>("--policy") { Description = $"policies, divided by commas: {string.Join(", ", PolicyCatalog.Names)}", DefaultValueFactory = _ => "Outlook,FGD,BestFit" };
        var seed = new Option<ulong>("--seed") { Description = "decides the order of tasks and nodes, and the copies", DefaultValueFactory = _ => 42 };
        var demand = new Option<string>("--demand") { Description = "GPUs asked for in all, as a share of the fleet's: tasks are copied, or cut off, to reach it", DefaultValueFactory = _ => "130%" };
        var csv = new Option<string?>("--csv") { Description = "write the curves there, one line a point ('-' for the terminal)", HelpName = "FILE" };
        var svg = new Option<string?>("--svg") { Description = "draw the curves there", HelpName = "FILE" };
        var command = new Command("simulate", """
            Replay a trace on a fleet: tasks arrive one at a time in an order drawn from the seed and stay; one that fits nowhere
            is dropped. Shows how much of the GPUs each policy allocates, and the expected fragment of what is left.

            Examples:
              atoll simulate --trace tasks.csv --nodes nodes.csv --svg curves.svg
              atoll simulate --trace tasks.csv --nodes nodes.csv --policy Outlook,FGD --seed 43 --demand 110% --csv -
            """)
        {
            trace, nodes, policy, seed, demand, csv, svg,
        };
        command.SetAction(parsed =>
        {
            double share = Share(parsed.GetValue(demand)!);
            string[] names = Names(parsed.GetValue(policy)!);
            GpuFleet fleet = Read(parsed.GetValue(nodes)!, OpenBFormat.ReadNodes);
            ImmutableArray<GpuTask> tasks = Read(parsed.GetValue(trace)!, (text, source) => OpenBFormat.ReadTasks(text, source, fleet));
            var mix = TypicalMix.Of(tasks);
            var curves = new List<ReplayCurve>();
            var rows = new List<IReadOnlyList<string>>();
            var results = new JsonArray();
            foreach (string name in names)
                Run(name, new Replay(fleet, tasks, mix, share, parsed.GetValue(seed)), mix, parsed.GetValue(seed), curves, rows, results);
            if (parsed.GetValue(svg) is { } picture)
                File.WriteAllText(picture, CurveReport.ToSvg(curves, $"{Path.GetFileName(parsed.GetValue(trace))} on {fleet.Nodes.Length} nodes, {fleet.Gpus} GPUs, seed {parsed.GetValue(seed)}"));
            if (parsed.GetValue(csv) is { } table && table != "-")
                File.WriteAllText(table, CurveReport.ToCsv(curves));
            if (parsed.GetValue(csv) == "-")
                Console.Write(CurveReport.ToCsv(curves));
            else
                Printer.Print(parsed.GetValue(Cli.Output)!, results, s_headers, rows);
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>Reads a file that must not be larger than the limit of its format.</summary>
    private static T Read<T>(string path, Func<TextReader, string, T> read)
    {
        using FileStream file = Open(path, OpenBFormat.MaxBytes);
        using var text = new StreamReader(file);
        return read(text, path);
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

    private static string[] Names(string list)
    {
        string[] names = list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (string name in names)
            if (!PolicyCatalog.Names.Contains(name, StringComparer.OrdinalIgnoreCase))
                throw new CommandException($"there is no policy '{name}'; there are: {string.Join(", ", PolicyCatalog.Names)}", ExitCodes.Usage);
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
