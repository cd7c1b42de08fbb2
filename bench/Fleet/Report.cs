using System.Globalization;
using System.Text;

namespace Atoll.Bench.Fleet;

/// <summary>Writes the results page, its data and its picture.</summary>
internal static class Report
{
    public static void Write(string folder, FleetData data)
    {
        (List<FleetResult> results, PodRate.Result? pods) = (data.Results, data.Pods);
        FleetResult largest = results.MaxBy(r => r.Sites)!;
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"""
            # Figures of a fleet

            Made by `make bench` (`bench/Fleet`), the largest size on {largest.Day}, on {Machine()}. The centre and all sites share
            these cores, and whatever else ran there (the load before and after is given; above 2, times on the clock are longer than a quiet
            machine's): so processor time stands beside the clock.


            """);
        Bars(text, largest, pods);
        if (data.Large is { } large)
            LargeReport.Write(text, large);
        Growth(text, results);
        foreach (FleetResult result in results)
            foreach (string missed in result.Missed)
                text.Append(CultureInfo.InvariantCulture, $"- **{result.Sites:N0} sites: {missed}**\n");
        text.Append(Method);
        File.WriteAllText(Path.Combine(folder, "fleet.md"), text.ToString().Replace("NaN", "not reached", StringComparison.Ordinal));
        File.WriteAllText(Path.Combine(folder, "fleet.svg"), Picture.Of(results));
    }

    private static void Bars(StringBuilder text, FleetResult r, PodRate.Result? pods)
    {
        text.Append(CultureInfo.InvariantCulture, $"## {r.Sites:N0} sites, {r.Nodes:N0} nodes, {r.Pods:N0} pods (load {r.Load})\n\n| what | measured | bar (for 2,500 sites) |\n|---|---|---|\n");
        if (r.Steady is { } steady)
        {
            Row("connected, steady: processor time of the centre (of the driver)", $"{steady.Cpu:N1} % of one core ({steady.Driver:N1} %)", Met(steady.Cpu < 20, "< 20 %"));
            Row("the same: memory resident (in use of the managed heap)", $"{steady.Memory:N0} MiB ({steady.Live:N0})", Met(steady.Memory < 2048, "< 2 GiB"));
            Row("idle line of one site, TLS included: up, down", $"{steady.Up:N1}, {steady.Down:N1} B/s", Met(Math.Max(steady.Up, steady.Down) <= 30, "≤ 30 B/s each way"));
        }
        if (r.Resume is { } resume)
        {
            Row("centre killed and started again, all sites resumed (served again after)", $"{resume.Seconds:N1} s ({resume.Served:N1} s); {resume.Cpu:N1} s of processor time, the driver {resume.Driver:N1} s beside it", Met(resume.Seconds < 30, "< 30 s"));
            Row("bytes of one site for it, both ways: as TCP carries them, most of it the TLS handshake; the session's own part", $"{resume.Bytes:N0}; {resume.Spoken:N0}", "");
            Row("most memory of the centre meanwhile", $"{resume.Peak:N0} MiB", "bounded");
            Row($"API meanwhile: p50, p99, longest of {resume.Api.Calls} calls; p99 of those on connections of their own", $"{resume.Api.P50:N0}, {resume.Api.P99:N0}, {resume.Api.Most:N0} ms; {resume.Api.Fresh:N0} ms ({resume.Api.Failures} failed)", Met(resume.Api is { P99: < 1000, Failures: 0 }, "p99 < 1 s"));
        }
        if (r.Roll is { } roll)
            Row("Deployment of one replica a site: applied → started at all (→ Ready at the centre)", $"{roll.Started:N1} s ({roll.Ready:N1} s); {roll.Cpu:N1} s of processor time", Met(roll.Started < 10, "< 10 s"));
        if (r.Config is { } config)
            Row($"ConfigMap of {config.Size:N0} B used by every site changes → all have it", $"{config.Seconds:N2} s; {config.Cpu:N2} s of processor time; {config.Down:N0} B a site", Met(config.Seconds < 5 && config.Down < config.Size / 2, "< 5 s, as a delta"));
        if (r.First is { } first)
            Row("first sync of all sites with their whole scope", $"{first.Seconds:N1} s; {first.Cpu:N1} s of processor time; {first.Bytes / 1024:N0} KiB a site", "");
        if (r.List is { } list)
        {
            Row("list of all pods: first bytes, whole", $"{list.First:N2} s, {list.Seconds:N2} s for {list.Bytes / 1e6:N0} MB", "");
            Row("status of a pod changes at its site → seen by a watch at the centre", $"{list.WatchLag * 1000:N0} ms", "");
        }
        Row("memory of the driver (all sites together)", $"{r.DriverMemory:N0} MiB", "");
        if (pods is not null)
            Row($"pods a second, posted over HTTPS → bound, {pods.Nodes:N0} nodes, {pods.Pods:N0} pods, durable store", $"**{pods.Rate:N0}/s** ({pods.Bound.TotalSeconds:N2} s; processor time: centre {pods.ServerCpu:N2} s, client {pods.ClientCpu:N2} s; first run after the start {pods.FirstRunRate:N0}/s)", Met(pods.Rate >= 2500, "≥ 2,500/s"));
        text.Append("\nKubeEdge's published test (100,000 hollow nodes, 1 M pods, five hubs of 12 cores): pod start p99 4.1 s, 0.25 kbit/s a node; mass reconnect\nis not in it. One KubeEdge 1.23 node on a machine like this one: 149 B/s up and 137 B/s down when idle, 36 s until it reconnects after its\nhub was killed and started at once.\n\n");

        void Row(string what, string measured, string bar) => text.Append(CultureInfo.InvariantCulture, $"| {what} | {measured} | {bar} |\n");
        string Met(bool met, string bar) => r.Sites >= 2500 || bar.Contains("/s", StringComparison.Ordinal) ? $"{bar}: {(met ? "met" : "missed")}" : bar;
    }

    private static void Growth(StringBuilder text, IReadOnlyList<FleetResult> results)
    {
        text.Append("## Growth\n\n![Growth](fleet.svg)\n\n| sites | nodes | pods | steady, % of a core | memory, MiB (in use) | KiB a pod in use | idle up / down, B/s a site | resume, s (CPU s) | resume, session B a site | ConfigMap, s | Deployment, s (CPU s) | load |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n");
        foreach (FleetResult r in results)
            text.Append(CultureInfo.InvariantCulture, $"| {r.Sites:N0} | {r.Nodes:N0} | {r.Pods:N0} | {r.Steady.Of(p => p.Cpu):N1} | {r.Steady.Of(p => p.Memory):N0} ({r.Steady.Of(p => p.Live):N0}) | {r.Steady.Of(p => p.Live) * 1024 / r.Pods:N1} | {r.Steady.Of(p => p.Up):N1} / {r.Steady.Of(p => p.Down):N1} | {r.Resume.Of(p => p.Seconds):N1} ({r.Resume.Of(p => p.Cpu):N1}) | {r.Resume.Of(p => p.Spoken):N0} | {r.Config.Of(p => p.Seconds):N2} | {r.Roll.Of(p => p.Started):N1} ({r.Roll.Of(p => p.Cpu):N1}) | {r.Load} |\n");
        text.Append("""

            In the picture the broken line is growth in step with the sites, through the first point. Nodes and pods grow with the sites here.


            """);
        if (results.Count > 1)
            Slopes(text, results.MinBy(r => r.Sites)!, results.MaxBy(r => r.Sites)!);
        text.Append("""

            Why it grows as it does: an idle site costs the centre one question and one answer each few seconds, so bytes a site stay the same and
            processor time grows with sites. Memory grows with objects: a pod is kept once as its bytes (about 2 KB here), with entries in the watch
            cache, the controllers' copy, the scopes and the scheduler's snapshot that share them; a connection adds its buffers. A resume costs a site
            a handshake and a digest, whatever it holds; the centre reads its store first, which grows with objects and is most of the processor
            time of a restart. A change of one object that every site uses is encoded once as a
            delta and sent once to each. A Deployment costs its pods: each is made, placed, bound, sent and reported on.


            """);
    }

    // By which power of the number of sites a figure grows: 0 not at all, 1 in step, 2 with its square.
    private static void Slopes(StringBuilder text, FleetResult least, FleetResult most)
    {
        text.Append(CultureInfo.InvariantCulture, $"From {least.Sites:N0} to {most.Sites:N0} sites, {most.Sites / (double)least.Sites:N1} times as many:\n\n| what | {least.Sites:N0} | {most.Sites:N0} | times | grows with the power |\n|---|---|---|---|---|\n");
        Line("steady: processor time, % of a core", r => r.Steady.Of(p => p.Cpu));
        Line("memory in use, MiB", r => r.Steady.Of(p => p.Live));
        Line("idle line, B/s up + down", r => r.Steady.Of(p => p.Up) + r.Steady.Of(p => p.Down));
        Line("restart: processor time of the centre, s", r => r.Resume.Of(p => p.Cpu));
        Line("restart: session bytes of a site", r => r.Resume.Of(p => p.Spoken));
        Line("Deployment: processor time of the centre, s", r => r.Roll.Of(p => p.Cpu));
        Line("ConfigMap: bytes of a site", r => r.Config.Of(p => p.Down));
        Line("list of all pods, s", r => r.List.Of(p => p.Seconds));

        void Line(string what, Func<FleetResult, double> value)
        {
            double before = value(least), after = value(most);
            text.Append(CultureInfo.InvariantCulture, $"| {what} | {before:N1} | {after:N1} | {after / before:N1} | {Math.Log(after / before) / Math.Log(most.Sites / (double)least.Sites):N2} |\n");
        }
    }

    private const string Method = """

        ## How

        - One process runs every site with the session code of the agent, over real loopback connections, each with a handshake of TLS 1.3 and a
          client certificate of its own. Below the session is a hollow runtime: it says of each pod that comes that it runs.
        - The centre is `atoll server` with its durable store (SQLite, `synchronous=FULL`). The store was filled before with sites, nodes with
          status and running pods, by the code that takes over a parent's objects; everything after that goes over the API and the links.
        - Steady is measured once the centre is calm after the first sync and has given back what that needed (`atoll_memory_settled`). Bytes are
          those that TCP carries (payload, TLS included, without IP and TCP headers). Processor time is that of the centre's process, all threads.
        - Restart: SIGKILL, start again at once. The clock runs from the start of the new process; sites dial with their ordinary back-off (full
          jitter, up to 8 s while nobody listens), and wait up to 45 s for their turn. Meanwhile a process of its own calls the API from the first moment that it answers: each
          100 ms, whether those before are answered or not, it reads one pod, lists 500, reads one pod over a new connection, or writes.
        - Pods a second: one client process with 64 callers over HTTP/2 connections that are kept alive, after one run of the same to warm up;
          until a watch has shown each pod with its node.
        - Not measured here: real networks between sites and centre (loopback has no delay), and runtimes that take time.

        """;

    private static string Machine()
    {
        string? model = File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim();
        return $"{Environment.ProcessorCount} cores of {model}, {GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 30} GiB";
    }
}
