using System.Globalization;
using Atoll.Bench.Fleet;
using Atoll.Kube.Client;

// pods [--nodes=5000] [--pods=5000]      pods a second through API, store, controllers and scheduler
// sites [--sites=2500] [--nodes-per-site=10] [--pods-per-node=10] [--idle=30]      a fleet of hollow sites; --sites=250,500 one after the other
// large [--out=docs/benchmarks] [--sites=10000]      100,000 nodes and 1 M pods: list, watch, steady state, into the same page; 12 GiB for the centre
// report [--out=docs/benchmarks] [--sites=312,625,1250,2500] [--pods=0]      both, into a page and a picture, beside what that folder's
//   fleet.json holds of other sizes: each may be measured by itself; pods=0 leaves pods a second as they were
// --filled=FOLDER fills a store once for each size and takes copies of it.
// Each with --centre=PATH of the centre's program, and --keep to keep its state; sites with --phases=steady,config,roll,list,watch,resume for some of them.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
string Option(string name, string fallback) => Array.Find(args, a => a.StartsWith($"--{name}=", StringComparison.Ordinal))?[(name.Length + 3)..] ?? fallback;
int Number(string name, int fallback) => int.Parse(Option(name, fallback.ToString(CultureInfo.InvariantCulture)), CultureInfo.InvariantCulture);
string program = Path.GetFullPath(Option("centre", "artifacts/atoll/atoll"));
ThreadPool.SetMinThreads(16, 16);

async Task<T> WithCentreAsync<T>(Func<CentreProcess, Task<T>> run, int heapMib = 0)
{
    string state = Path.Combine(Path.GetTempPath(), $"atoll-fleet-{Environment.ProcessId}");
    Directory.CreateDirectory(state);
    try
    {
        using var centre = new CentreProcess(program, state, heapMib);
        return await run(centre);
    }
    finally
    {
        if (!args.Contains("--keep"))
            Directory.Delete(state, recursive: true);
    }
}

async Task<PodRate.Result> PodsAsync()
{
    PodRate.Result rate = await WithCentreAsync(c => PodRate.RunAsync(c, Number("nodes", 5000), Number("pods", 5000)));
    Console.WriteLine($"{rate.Pods} pods over {rate.Nodes} nodes: {rate.Rate:N0}/s bound in {rate.Bound.TotalSeconds:N2} s (created in {rate.Created.TotalSeconds:N2} s); CPU: server {rate.ServerCpu:N2} s, client {rate.ClientCpu:N2} s; first run {rate.FirstRunRate:N0}/s");
    return rate;
}

async Task SitesAsync(string[] sizes, Action<FleetResult> measured, string phases = "", bool held = false)
{
    foreach (string size in sizes)
        measured(await WithCentreAsync(async centre =>
        {
            await using var fleet = new Fleet(centre, int.Parse(size, CultureInfo.InvariantCulture), Number("nodes-per-site", 10), Number("pods-per-node", 10), Number("idle", 30), Option("phases", phases).Split(',', StringSplitOptions.RemoveEmptyEntries), held, Filled(size));
            return await fleet.RunAsync(text => Console.WriteLine($"[{size}] {text}"));
        }, held ? CentreProcess.LargeHeapMib : 0));
}

string? Filled(string size)
{
    string folder = Option("filled", "");
    return folder.Length == 0 ? null : Directory.CreateDirectory(Path.Combine(folder, size)).FullName;
}

void Save(string folder, FleetData data)
{
    data.Save(folder);
    Report.Write(folder, data);
}

switch (args.FirstOrDefault())
{
    case "pods":
        await PodsAsync();
        return 0;
    case "sites":
        await SitesAsync(Option("sites", "2500").Split(','), _ => { });
        return 0;
    case "report":
        string folder = Option("out", "docs/benchmarks");
        FleetData data = FleetData.Load(folder);
        if (Number("pods", 5000) > 0)
            data = data with { Pods = await PodsAsync() };
        // After each size, so that what was measured is not lost with a later one.
        await SitesAsync(Option("sites", "312,625,1250,2500").Split(','), result =>
        {
            data = data.With(result);
            Save(folder, data);
        });
        return 0;
    case "large":
        await SitesAsync([Option("sites", "10000")], result => Save(Option("out", "docs/benchmarks"), FleetData.Load(Option("out", "docs/benchmarks")) with { Large = result }), "steady,config,roll,list,watch", held: true);
        return 0;
    case "probe":
        KubeConfig config = KubeConfig.Load(args[1]);
        await ApiProbe.ServeAsync(() => CentreProcess.Client(config), Console.In, Console.Out);
        return 0;
    default:
        Console.Error.WriteLine("error: say what to measure: pods, sites, report, or large");
        return 2;
}
