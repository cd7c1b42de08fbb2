using System.Globalization;
using System.Text;

namespace Atoll.Bench.Fleet;

/// <summary>The page's section about the largest fleet, of which figures are reported and no bar is set but the centre's memory.</summary>
internal static class LargeReport
{
    /// <summary>What the centre may take, MiB.</summary>
    private const double MostMib = 12 * 1024;

    public static void Write(StringBuilder text, FleetResult r)
    {
        text.Append(CultureInfo.InvariantCulture, $"""
            ## A fleet of {r.Sites:N0} sites, {r.Nodes:N0} nodes and {r.Pods:N0} pods

            Measured on {r.Day} (load {r.Load}), by `make bench LARGE={r.Sites}` (`fleet-bench large`). Every site holds its scope already when it first dials, as after a restart of the
            centre; the centre's heap may not pass {CentreProcess.LargeHeapMib / 1024} GiB.

            | what | measured |
            |---|---|

            """);
        if (r.First is { } first)
        {
            Row("centre's start until it serves", $"{first.Served:N1} s");
            Row("from then until all sites are connected and agree with the centre on what they hold", $"{first.Seconds:N1} s; {first.Cpu:N1} s of processor time; {first.Bytes / 1024:N1} KiB a site");
        }
        if (r.Steady is { } steady)
        {
            Row("steady: processor time of the centre (of the driver)", $"{steady.Cpu:N1} % of one core ({steady.Driver:N1} %)");
            Row("steady: memory resident (in use of the managed heap)", $"{steady.Memory:N0} MiB ({steady.Live:N0})");
            Row("idle line of one site, TLS included: up, down", $"{steady.Up:N1}, {steady.Down:N1} B/s");
        }
        if (r.Config is { } config)
            Row($"ConfigMap of {config.Size:N0} B used by every site changes → all have it", $"{config.Seconds:N2} s; {config.Cpu:N2} s of processor time; {config.Down:N0} B a site");
        if (r.Roll is { } roll)
            Row("Deployment of one replica a site: applied → started at all (→ Ready at the centre)", $"{roll.Started:N1} s ({roll.Ready:N1} s); {roll.Cpu:N1} s of processor time");
        if (r.List is { } list)
        {
            Row("list of all pods in one answer: first bytes, whole", $"{list.First:N2} s, {list.Seconds:N1} s for {list.Bytes / 1e6:N0} MB; {list.Cpu:N1} s of processor time; memory of the centre rises by {list.Rise:N0} MiB");
            Row("the same by pages of 500, one after the other", $"{list.Paged:N1} s; {list.PagedCpu:N1} s of processor time; memory of the centre rises by {list.PagedRise:N0} MiB");
            Row("list of all nodes in one answer", $"{list.NodesSeconds:N1} s for {list.NodesBytes / 1e6:N0} MB");
            Row("status of a pod changes at its site → seen by a watch at the centre", $"{list.WatchLag * 1000:N0} ms");
        }
        if (r.Watch is { } watch)
        {
            Row($"{watch.Watchers:N0} watches of all pods: all open after, memory of the centre for them", $"{watch.Opened:N2} s, {watch.Rise:N0} MiB");
            Row($"{watch.Writes} pods written, ten a second → seen by all {watch.Watchers:N0}: p50, p99, longest of {watch.Watchers * watch.Writes:N0} events; the write's own answer, p50", $"{watch.P50:N0}, {watch.P99:N0}, {watch.Most:N0} ms; {watch.Written:N0} ms; {watch.Cpu:N1} s of processor time");
        }
        Row("calls of the driver that were hung up on before they were answered, and made again", $"{r.HungUp}");
        Row("most memory of the centre", $"{r.CentrePeak:N0} MiB (bar: 12 GiB: {(r.CentrePeak < MostMib ? "met" : "missed")})");
        Row("most memory of the driver, which filled the store before", $"{r.DriverMemory:N0} MiB");
        foreach (string missed in r.Missed)
            text.Append(CultureInfo.InvariantCulture, $"\n**{missed}**\n");
        text.Append('\n');

        void Row(string what, FormattableString measured) => text.Append(CultureInfo.InvariantCulture, $"| {what} | {measured.ToString(CultureInfo.InvariantCulture)} |\n");
    }
}
