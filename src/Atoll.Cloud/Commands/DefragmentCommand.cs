using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Scheduling.Offline;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll defragment</c>: what a number of migrations would win on a snapshot. Needs no centre and changes nothing.</summary>
internal static class DefragmentCommand
{
    private static readonly string[] s_headers = ["STEP", "MACHINE", "CORES", "FROM", "TO"];

    public static Command Create()
    {
        var snapshot = new Option<string>("--snapshot") { Description = "hosts and machines: JSON with cluster_list[].host_info[] and vm_instance[]", HelpName = "FILE" };
        var moves = new Option<int>("--moves") { Description = "migrations at most; a change of the NUMA node inside a host is one too", DefaultValueFactory = _ => 50 };
        var block = new Option<int>("--block") { Description = "cores of the size to be sold, from one NUMA node", DefaultValueFactory = _ => 16 };
        var seconds = new Option<double>("--seconds") { Description = "time for the search at most", DefaultValueFactory = _ => 4 };
        var command = new Command("defragment", """
            Plan migrations that turn scattered free capacity into what can be sold, in an order in which every step has room.
            On a snapshot (--snapshot) nothing is changed: the plan is printed, with the blocks before and after and the most that
            any plan could reach. On the live fleet, create, approve and watch a DefragmentationPlan.

            Examples:
              atoll defragment --snapshot cluster.json --moves 20
              atoll defragment --snapshot cluster.json --moves 100 --block 32 -o json
              atoll defragment create tonight --flavour 4c8g --region east --moves 20
              atoll defragment approve tonight
              atoll defragment watch tonight
            """)
        {
            snapshot, moves, block, seconds,
        };
        foreach (Command live in DefragmentLive.Create())
            command.Add(live);
        command.SetAction(parsed =>
        {
            var goal = new DefragmentationGoal(parsed.GetValue(block), parsed.GetValue(moves), Seconds: parsed.GetValue(seconds));
            if (goal.BlockCores is < 1 or > VmFleet.MaxCores || goal.MostMoves is < 0 or > 100_000 || goal.Seconds is not (> 0 and <= 3600))
                throw new CommandException($"--block is 1 to {VmFleet.MaxCores}, --moves 0 to 100000, --seconds above 0 and at most 3600", ExitCodes.Usage);
            string path = parsed.GetValue(snapshot) ?? throw new CommandException("give --snapshot FILE, or one of: create, approve, watch", ExitCodes.Usage);
            using FileStream file = SimulateCommand.Open(path, ByteDanceFormat.MaxBytes);
            VmFleet fleet = ByteDanceFormat.Read(file, path);
            DefragmentationResult result = Defragmenter.Plan(fleet, goal, TimeProvider.System);
            Print(parsed.GetValue(Cli.Output)!, fleet, result);
            return ExitCodes.Success;
        });
        return command;
    }

    private static void Print(string form, VmFleet fleet, DefragmentationResult result)
    {
        var rows = new List<IReadOnlyList<string>>();
        var steps = new JsonArray();
        var state = new VmFleetState(fleet);
        foreach (VmMove move in result.Moves)
        {
            Vm vm = fleet.Vms[move.Vm];
            string from = Place(fleet, vm.Shape, state.PlaceOf(move.Vm)), to = Place(fleet, vm.Shape, 2 * move.Host + move.Numa);
            if (state.TryMove(move.Vm, 2 * move.Host + move.Numa) is { } fault)
                throw new InvalidOperationException($"the plan is not legal: {fault}");
            string cores = (vm.Shape.TwoNuma ? "2x" : "") + vm.Shape.Cores.ToString(CultureInfo.InvariantCulture);
            rows.Add([(rows.Count + 1).ToString(CultureInfo.InvariantCulture), vm.Name, cores, from, to]);
            steps.Add((JsonNode)new JsonObject { ["machine"] = vm.Name, ["cores"] = cores, ["from"] = from, ["to"] = to });
        }
        if (form == "table")
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"Blocks of {result.Before.BlockCores} cores: {result.Before.Blocks} now, {result.After.Blocks} after {result.Moves.Length} moves, {result.Bound} at most. Fragment rate: {result.Before.Value:F4} now, {result.After.Value:F4} after."));
        var json = new JsonObject { ["blockCores"] = result.Before.BlockCores, ["before"] = Rate(result.Before), ["after"] = Rate(result.After), ["mostBlocks"] = result.Bound, ["moves"] = steps };
        Printer.Print(form, json, s_headers, rows);
    }

    private static JsonObject Rate(FragmentRate rate) => new() { ["freeCores"] = rate.FreeCores, ["blocks"] = rate.Blocks, ["fragmentRate"] = Math.Round(rate.Value, 6) };

    private static string Place(VmFleet fleet, VmShape shape, int place) => fleet.Hosts[place >> 1].Name + (shape.TwoNuma ? "" : $"/{place & 1}");
}
