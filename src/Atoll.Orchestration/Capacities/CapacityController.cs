using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Offline;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Capacities;

/// <summary>
/// Keeps a Capacity object for each flavour over the whole fleet, each region and each site, and the short figures in a Site's status.
/// One look at the fleet every <see cref="Period"/> while anything changes: all figures are computed, and at most
/// <see cref="MaxWrites"/> objects that differ are written, the widest first and then those that waited longest, so that a large
/// fleet in motion costs the store a fixed share. The history lies in the objects, so it outlives restarts.
/// </summary>
internal sealed class CapacityController : Controller
{
    /// <summary>Between two looks at the fleet.</summary>
    internal static new readonly TimeSpan Period = TimeSpan.FromSeconds(10);

    /// <summary>Objects written in one look.</summary>
    internal const int MaxWrites = 200;

    private const string Key = "fleet";

    // What migrations would add takes a search: one part of the fleet at a look, in turn, and never for long.
    private static readonly int[] s_migrations = [1, 10, 50];
    private const double SearchSeconds = 0.3;
    private const int SearchEffort = 40;
    private static readonly TimeSpan s_searchAge = TimeSpan.FromMinutes(1);

    private readonly Func<Snapshot> _fleet;
    private DateTimeOffset _looked;
    private bool _changed = true;

    public CapacityController(Cluster cluster, Func<Snapshot> fleet) : base(cluster, 1)
    {
        _fleet = fleet;
        foreach (ResourceType type in (ResourceType[])[Kinds.Pod, Kinds.Node, Kinds.Flavour, Kinds.Capacity, Kinds.Site])
            cluster.Of(type).Listen((old, now) => Changed(type, old, now));
    }

    public override IEnumerable<string> Keys() => [Key];

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (_looked + Period - Cluster.Now is { } wait && wait > TimeSpan.Zero)
            return Next.In(wait);
        _looked = Cluster.Now;
        bool changed = Interlocked.Exchange(ref _changed, false);
        if (!changed && !Cluster.Of(Kinds.Capacity).All().Exists(IsDue))
            return Next.In(Period);
        List<Part> parts = await Task.Run(() => Look(FlavourTable.All(Cluster)), cancellation).ConfigureAwait(false);
        bool failed = await RemoveAsync(parts, cancellation).ConfigureAwait(false);
        int writes = 0;
        foreach (Part part in parts.OrderBy(p => p.Rank).ThenBy(p => p.View?.Status?.UpdatedAt ?? DateTimeOffset.MinValue))
        {
            if (writes >= MaxWrites)
            {
                _changed = true;
                break;
            }
            if (!part.Differs)
                continue;
            writes++;
            failed |= !await WriteAsync(part, cancellation).ConfigureAwait(false);
        }
        await TellSitesAsync(parts, cancellation).ConfigureAwait(false);
        if (failed)
            _changed = true;
        return Next.In(Period);
    }

    private void Changed(ResourceType type, KubeObject? old, KubeObject? now)
    {
        // Our own writes are no news; a Capacity that somebody removed or bent is.
        if (type == Kinds.Capacity && now is not null && old is not null && old.Metadata.Generation == now.Metadata.Generation)
            return;
        _changed = true;
        Queue.Add(Key);
    }

    private bool IsDue(KubeObject value)
    {
        Capacity capacity = value.View(ApiJson.Default.Capacity);
        return capacity.Status is { } status && CapacityFigures.Extend(status.History, capacity.Spec.Site is not null, Cluster.Now, status) is not null;
    }

    private List<Part> Look(List<Flavour> flavours)
    {
        var parts = new List<Part>();
        if (flavours.Count == 0)
            return parts;
        Snapshot fleet = _fleet();
        var gpus = new GpuMix(fleet);
        foreach (Flavour flavour in flavours)
        {
            var capacity = new FleetCapacity(fleet, flavour);
            GpuMix? mix = flavour.Requests.Keys.Any(r => r.EndsWith("/gpu", StringComparison.Ordinal)) ? gpus : null;
            parts.Add(PartOf(flavour, capacity, capacity.Total(), mix, 0));
            foreach (CapacityAnswer region in capacity.Regions())
                if (region.Region.Length > 0)
                    parts.Add(PartOf(flavour, capacity, region, mix, 1));
            foreach (CapacityAnswer site in capacity.Sites())
                if (site.Site.Length > 0)
                    parts.Add(PartOf(flavour, capacity, site, mix, 2));
        }
        Migrate(fleet, parts);
        return parts;
    }

    private Part PartOf(Flavour flavour, FleetCapacity capacity, CapacityAnswer answer, GpuMix? gpus, int rank)
    {
        string name = CapacityFigures.NameOf(flavour.Name, answer.Region, answer.Site);
        KubeObject? known = Cluster.Of(Kinds.Capacity).Get(name);
        Capacity? view = known?.View(ApiJson.Default.Capacity);
        CapacityStatus figures = CapacityFigures.Of(capacity, answer, gpus);
        figures.Migrations = view?.Status?.Migrations;
        bool due = CapacityFigures.Extend(view?.Status?.History, rank == 2, Cluster.Now, figures) is not null;
        return new Part(name, flavour, answer.Region, answer.Site, rank, known, view, figures, due);
    }

    // The oldest answer of the fleet and its regions is found anew.
    private void Migrate(Snapshot fleet, List<Part> parts)
    {
        Part? oldest = parts.Where(p => p.Rank < 2).MinBy(p => p.Figures.Migrations is { Count: > 0 } known ? known[0].ComputedAt : DateTimeOffset.MinValue);
        if (oldest is null || (oldest.Figures.Migrations is { Count: > 0 } last && Cluster.Now - last[0].ComputedAt < s_searchAge))
            return;
        var capacity = new FleetCapacity(fleet, oldest.Flavour, oldest.Region.Length == 0 ? null : oldest.Region);
        var adds = new List<CapacityMigrations>();
        foreach (int moves in s_migrations)
        {
            FleetMovePlan plan = capacity.PlanOf(moves, SearchSeconds, SearchEffort, Cluster.Time);
            adds.Add(new CapacityMigrations { Moves = moves, Adds = plan.Effects[0].After - plan.Effects[0].Before, Used = plan.Moves.Length, ComputedAt = Cluster.Now });
        }
        oldest.Figures.Migrations = adds;
    }

    private async ValueTask<bool> WriteAsync(Part part, CancellationToken cancellation)
    {
        KubeObject? target = part.Known;
        if (target is not null && !Same(part.View!.Spec, part.Spec))
        {
            await Cluster.DeleteAsync(Kinds.Capacity, target, DeleteOptions.Default, cancellation).ConfigureAwait(false);
            return false;
        }
        if (target is null)
        {
            var labels = new JsonObject { [Capacity.FlavourLabel] = part.Flavour.Name };
            if (part.Region.Length > 0)
                labels[WellKnown.RegionLabel] = part.Region;
            if (part.Site.Length > 0)
                labels[WellKnown.SiteLabel] = part.Site;
            ApiResult created = await Cluster.CreateAsync(Kinds.Capacity, null, new JsonObject
            {
                ["apiVersion"] = Kinds.Capacity.ApiVersion,
                ["kind"] = Kinds.Capacity.Kind,
                ["metadata"] = new JsonObject { ["name"] = part.Name, ["labels"] = labels },
                ["spec"] = JsonSerializer.SerializeToNode(part.Spec, ApiJson.Default.CapacitySpec),
            }, cancellation).ConfigureAwait(false);
            if ((target = created.Object) is null)
                return false;
        }
        CapacityStatus status = part.Figures;
        bool site = part.Rank == 2;
        status.UpdatedAt = Cluster.Now;
        status.History = CapacityFigures.Extend(part.View?.Status?.History, site, Cluster.Now, status) ?? part.View?.Status?.History;
        status.HistorySeconds = site ? CapacityFigures.SiteSeconds : CapacityFigures.WideSeconds;
        JsonObject wanted = JsonSerializer.SerializeToNode(status, ApiJson.Default.CapacityStatus)!.AsObject();
        foreach (string field in (ReadOnlySpan<string>)["blocked", "gpu", "topNodes", "topPods", "migrations"])
            if (!wanted.ContainsKey(field))
                wanted[field] = null;
        return StatusPatch.Changes(target, wanted) is not { } patch || (await Cluster.PatchAsync(Kinds.Capacity, target, patch, false, cancellation, "status").ConfigureAwait(false)).Ok;
    }

    /// <summary>What is about a flavour, region or site that is gone goes too. True when something did not work.</summary>
    private async ValueTask<bool> RemoveAsync(List<Part> parts, CancellationToken cancellation)
    {
        var names = parts.Select(p => p.Name).ToHashSet(StringComparer.Ordinal);
        bool failed = false;
        foreach (KubeObject value in Cluster.Of(Kinds.Capacity).All())
            if (!names.Contains(value.Name) && !value.IsDeleting)
                failed |= !(await Cluster.DeleteAsync(Kinds.Capacity, value, DeleteOptions.Default, cancellation).ConfigureAwait(false)).Ok;
        return failed;
    }

    // The short figures, where kubectl get site looks.
    private async ValueTask TellSitesAsync(List<Part> parts, CancellationToken cancellation)
    {
        int writes = 0;
        foreach (IGrouping<string, Part> site in parts.Where(p => p.Rank == 2).GroupBy(p => p.Site, StringComparer.Ordinal))
        {
            if (Cluster.Of(Kinds.Site).Get(site.Key) is not { IsDeleting: false } value)
                continue;
            var figures = new JsonArray([.. site.Select(p => (JsonNode)new JsonObject { ["flavour"] = p.Flavour.Name, ["saleable"] = p.Figures.Saleable, ["fragmentation"] = p.Figures.Fragmentation })]);
            if (StatusPatch.Changes(value, new JsonObject { ["capacity"] = figures }) is not { } patch)
                continue;
            if (++writes > MaxWrites)
            {
                _changed = true;
                return;
            }
            await Cluster.PatchAsync(Kinds.Site, value, patch, false, cancellation, "status").ConfigureAwait(false);
        }
    }

    private static bool Same(CapacitySpec left, CapacitySpec right) => left.Flavour == right.Flavour && left.Region == right.Region && left.Site == right.Site;

    private sealed record Part(string Name, Flavour Flavour, string Region, string Site, int Rank, KubeObject? Known, Capacity? View, CapacityStatus Figures, bool Due)
    {
        public CapacitySpec Spec { get; } = new() { Flavour = Flavour.Name, Region = Region.Length == 0 ? null : Region, Site = Site.Length == 0 ? null : Site };

        /// <summary>True when the object is missing, says something else, or a point of its history is due.</summary>
        public bool Differs => Due || View?.Status is not { } shown || !Same(View.Spec, Spec) || !SameFigures(shown);

        private bool SameFigures(CapacityStatus shown)
        {
            CapacityStatus bare = JsonSerializer.Deserialize(JsonSerializer.SerializeToUtf8Bytes(shown, ApiJson.Default.CapacityStatus), ApiJson.Default.CapacityStatus)!;
            (bare.UpdatedAt, bare.History, bare.HistorySeconds) = (null, null, null);
            return JsonSerializer.SerializeToUtf8Bytes(bare, ApiJson.Default.CapacityStatus).AsSpan().SequenceEqual(JsonSerializer.SerializeToUtf8Bytes(Figures, ApiJson.Default.CapacityStatus));
        }
    }
}
