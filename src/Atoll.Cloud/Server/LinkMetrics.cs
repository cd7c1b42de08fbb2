using System.Globalization;
using System.Text;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Hub;
using Atoll.Kube.Access;
using Atoll.Link;
using Atoll.Orchestration.Binding;
using Microsoft.AspNetCore.Http;

namespace Atoll.Cloud.Server;

/// <summary><c>GET /metrics</c>: the links, placement, what can be sold, and the process in Prometheus' text format, for administrators.</summary>
internal static class LinkMetrics
{
    /// <summary>So much is made before it is sent: an answer about ten thousand sites is ten million bytes, and never in memory as a whole.</summary>
    private const int PieceChars = 16 * 1024;

    private static readonly (LinkClass Class, string Name)[] s_classes = Array.ConvertAll(Enum.GetValues<LinkClass>(), c => (c, c.ToString().ToLowerInvariant()));

    public static async Task ServeAsync(HttpContext context, IReadOnlyList<IAuthenticator> authenticators, LinkHub hub, PlacementStatistics placement, IResources resources)
    {
        Identity? identity = null;
        foreach (IAuthenticator authenticator in authenticators)
            if ((identity = await authenticator.AuthenticateAsync(context)) is not null)
                break;
        if (identity is not { IsMaster: true })
        {
            await Enrolment.WriteAsync(context, identity is null ? ApiStatus.Unauthorized() : ApiStatus.Forbidden(null, "", "/metrics is for administrators"));
            return;
        }
        context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        var text = new StringBuilder(2 * PieceChars);
        text.Append("# HELP atoll_site_connected Whether the site's link is up.\n# TYPE atoll_site_connected gauge\n");
        foreach (KubeObject site in hub.Sites.Items)
        {
            text.Append(CultureInfo.InvariantCulture, $"atoll_site_connected{{site=\"{site.Name}\"}} {(hub.SessionOf(site.Name) is { IsLive: true } ? 1 : 0)}\n");
            await SendAsync(PieceChars);
        }
        text.Append("# HELP atoll_link_bytes_total Bytes of a site's link as multiplexer frames; WebSocket, TLS and TCP come on top.\n# TYPE atoll_link_bytes_total counter\n");
        foreach ((string site, LinkTraffic traffic) in hub.Traffic)
        {
            foreach ((LinkClass of, string name) in s_classes)
            {
                text.Append(CultureInfo.InvariantCulture, $"atoll_link_bytes_total{{site=\"{site}\",class=\"{name}\",direction=\"down\"}} {traffic.Sent(of)}\n");
                text.Append(CultureInfo.InvariantCulture, $"atoll_link_bytes_total{{site=\"{site}\",class=\"{name}\",direction=\"up\"}} {traffic.Received(of)}\n");
            }
            await SendAsync(PieceChars);
        }
        await CapacityMetrics.WriteAsync(text, resources, context.RequestAborted);
        Counter("atoll_placement_planned_total", "Pods planned, again when they were planned again.", placement.Planned);
        Counter("atoll_placement_bound_total", "Bindings that the API took.", placement.Bound);
        Counter("atoll_placement_conflicts_total", "Placements of one planner that another had made impossible when they were taken over.", placement.Conflicts);
        Counter("atoll_placement_refused_total", "Bindings that the API refused.", placement.Refused);
        GCMemoryInfo memory = GC.GetGCMemoryInfo();
        Gauge("process_resident_memory_bytes", "Resident memory.", Environment.WorkingSet);
        Gauge("atoll_heap_committed_bytes", "Managed memory that the process holds.", memory.TotalCommittedBytes);
        Gauge("atoll_heap_live_bytes", "Managed memory that was in use after the last collection.", memory.HeapSizeBytes - memory.FragmentedBytes);
        Gauge("atoll_memory_settled", "1 while the process is calm and holds nothing of a burst that it could give back.", CentreMemory.IsSettled ? 1 : 0);
        Gauge("atoll_threadpool_queue", "Pieces of work that wait for a thread.", ThreadPool.PendingWorkItemCount);
        Metric("atoll_gc_pause_milliseconds_total", "How long collections of memory stopped the process, all together.", "counter", (long)GC.GetTotalPauseDuration().TotalMilliseconds);
        await SendAsync(0);

        // Sends what was made when it is more than this.
        async ValueTask SendAsync(int most)
        {
            if (text.Length <= most)
                return;
            foreach (ReadOnlyMemory<char> chunk in text.GetChunks())
                Encoding.UTF8.GetBytes(chunk.Span, context.Response.BodyWriter);
            text.Clear();
            await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
        }

        void Counter(string name, string help, long value) => Metric(name, help, "counter", value);
        void Gauge(string name, string help, long value) => Metric(name, help, "gauge", value);
        void Metric(string name, string help, string type, long value) => text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {type}\n{name} {value}\n");
    }
}
