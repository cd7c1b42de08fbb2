using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Link;
using Microsoft.Extensions.Logging;

namespace Atoll.Cloud.Hub;

/// <summary>
/// Writes who is connected into the status of Sites and of their Nodes: a reconciler by site name, woken when a link opens or
/// closes and, against anything missed, once a period. One revision for each transition, none for heartbeats.
/// </summary>
internal sealed class SiteStates(IResources resources, Orphans orphans, TimeProvider time, ILogger logger)
{
    // Of many sites each is looked at less often, so that the looks stay cheap.
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(30), s_periodOfOne = TimeSpan.FromMilliseconds(50);

    // After a restart of the centre its sites need this long to dial in again before they count as disconnected: their back-off and a
    // dial, and a turn for each that came, which the others waited for. To write of thousands that they are gone, and soon after that they
    // are back, would keep the centre from taking them in.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(40), s_patienceForEach = TimeSpan.FromMilliseconds(20);

    private const string ClockSkewed = "ClockSkewed";

    /// <summary>So many orphans are shown; the condition counts them all.</summary>
    private const int MaxOrphans = 200;

    private readonly EventRecorder _events = new(resources, time, "atoll-hub");
    private readonly Channel<string> _woken = Channel.CreateUnbounded<string>();
    private readonly ConcurrentDictionary<string, byte> _waiting = new(StringComparer.Ordinal);
    /// <summary>A clock that is wrong by less is not told of.</summary>
    private static readonly TimeSpan s_skewed = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<string, SiteFacts> _facts = new(StringComparer.Ordinal);

    /// <summary>A link opened, and what the site said of itself, or (null) closed.</summary>
    public void Set(string site, SiteFacts? facts)
    {
        if (facts is not null)
            _facts[site] = facts;
        Wake(site);
    }

    /// <summary>Something about a site changed, such as how many nodes it has.</summary>
    public void Wake(string site)
    {
        // Once is enough, however many of its nodes come.
        if (_waiting.TryAdd(site, 0))
            _woken.Writer.TryWrite(site);
    }

    /// <summary>Tells whoever looks at a site what is wrong with it.</summary>
    public void Warn(KubeObject site, string reason, string message) => _events.Warning(site, reason, message);

    /// <summary>Writes the events of sites until cancelled.</summary>
    public Task TellAsync(CancellationToken cancellation) => _events.RunAsync(cancellation);

    /// <summary>Reconciles until cancelled.</summary>
    public async Task RunAsync(Func<Task> ready, Func<IReadOnlyList<KubeObject>> sites, Func<string, IReadOnlyList<string>> nodesOf, Func<string, HubSession?> sessionOf, Func<string, string, bool> isInScope, CancellationToken cancellation)
    {
        try
        {
            await ready().WaitAsync(cancellation);
            DateTimeOffset started = time.GetUtcNow();
            Task period = PeriodAsync(started, sites, cancellation);
            await foreach (string name in _woken.Reader.ReadAllAsync(cancellation))
            {
                _waiting.TryRemove(name, out _);
                HubSession? session = sessionOf(name);
                bool awaited = session is null && !_facts.ContainsKey(name) && time.GetUtcNow() < AwaitedUntil(started);
                await ReconcileAsync(name, session, awaited, nodesOf(name), uid => isInScope(name, uid), cancellation);
            }
            await period;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The centre stops.
        }
    }

    private DateTimeOffset AwaitedUntil(DateTimeOffset started) => started + s_patience + s_patienceForEach * _facts.Count;

    private async Task PeriodAsync(DateTimeOffset started, Func<IReadOnlyList<KubeObject>> sites, CancellationToken cancellation)
    {
        for (TimeSpan left; (left = AwaitedUntil(started) - time.GetUtcNow()) > TimeSpan.Zero;)
            await Task.Delay(left, time, cancellation);
        while (true)
        {
            IReadOnlyList<KubeObject> all = sites();
            foreach (KubeObject site in all)
                Wake(site.Name);
            await Task.Delay(s_periodOfOne * all.Count > s_period ? s_periodOfOne * all.Count : s_period, time, cancellation);
        }
    }

    private async Task ReconcileAsync(string name, HubSession? session, bool awaited, IReadOnlyList<string> nodes, Func<string, bool> isInScope, CancellationToken cancellation)
    {
        bool connected = session is not null;
        ApiResult found = await resources.GetAsync(Kinds.Site, null, name, cancellation);
        if (found.Object is null || (awaited && found.Object.View(ApiJson.Default.Site).Status?.Phase == "Connected"))
            return;
        await ReconcileOrphansAsync(found.Object, session, isInScope, cancellation);
        await ReconcileSiteAsync(found.Object, connected, nodes.Count, cancellation);
        DateTimeOffset now = time.GetUtcNow();
        foreach (string node in nodes)
            await ReconcileNodeAsync(node, name, connected, now, cancellation);
    }

    private async Task ReconcileSiteAsync(KubeObject value, bool connected, int nodes, CancellationToken cancellation)
    {
        Site site = value.View(ApiJson.Default.Site);
        string phase = site.Spec.Revoked == true ? "Revoked" : connected ? "Connected" : site.Status?.Phase is null or "Pending" ? "Pending" : "Disconnected";
        SiteFacts? facts = _facts.GetValueOrDefault(value.Name);
        string? software = facts?.Software ?? site.Status?.AgentVersion;
        Condition? clock = Clock(facts, site);
        bool sameFacts = (facts?.Via is not { } via || (site.Status?.Parent is { } shown && shown.Address == via.Address && shown.Reason == via.Reason.ToString() && (shown.Message ?? "") == via.Detail))
            && clock?.Status == site.Status?.Conditions?.Find(c => c.Type == ClockSkewed)?.Status;
        IReadOnlyList<HeldItem>? kept = orphans.Of(value.Name);
        bool sameOrphans = kept is null || kept.Take(MaxOrphans).Select(o => (o.Uid, orphans.WhyNot(o.Uid))).SequenceEqual((site.Status?.Orphans ?? []).Select(o => (o.Uid, o.Message)));
        if (site.Status?.Phase == phase && site.Status.Nodes == nodes && site.Status.AgentVersion == software && sameOrphans && sameFacts)
            return;
        bool moved = site.Status?.Phase != phase;
        string since = moved || site.Status?.LastTransitionTime is null ? KubeTime.Format(time.GetUtcNow()) : KubeTime.Format(site.Status.LastTransitionTime.Value);
        var status = new JsonObject
        {
            ["phase"] = phase,
            ["nodes"] = nodes,
            ["agentVersion"] = software,
            ["lastTransitionTime"] = since,
            ["conditions"] = new JsonArray(new JsonObject
            {
                ["type"] = "Connected",
                ["status"] = phase == "Connected" ? "True" : "False",
                ["reason"] = phase,
                ["message"] = Message(phase),
                ["lastTransitionTime"] = since,
            }),
        };
        if (facts?.Via is { } choice)
            status["parent"] = new JsonObject { ["address"] = choice.Address, ["reason"] = choice.Reason.ToString(), ["message"] = choice.Detail.Length > 0 ? choice.Detail : null };
        if (clock is not null)
            status["conditions"]!.AsArray().Add((JsonNode)new JsonObject { ["type"] = clock.Type, ["status"] = clock.Status, ["reason"] = clock.Reason, ["message"] = clock.Message, ["lastTransitionTime"] = KubeTime.Format(clock.LastTransitionTime!.Value) });
        if (LineHistory.After(site.Status?.Line, phase, time.GetUtcNow()) is { } line)
            status["line"] = line;
        if (kept is not null || site.Status?.Orphans is { Count: > 0 })
            Show(status, site, kept);
        // The site's own word on who leads it.
        if (value.ToNode()["status"]?["conditions"]?.AsArray().FirstOrDefault(c => (string?)c?["type"] == WellKnown.LedCondition) is { } led)
            status["conditions"]!.AsArray().Add(led.DeepClone());
        ApiResult result = await resources.PatchAsync(Kinds.Site, null, value.Name, PatchType.Merge, new JsonObject { ["metadata"] = new JsonObject { ["uid"] = value.Uid, ["resourceVersion"] = value.ResourceVersion }, ["status"] = status }, cancellation, "status");
        if (result.IsConflict)
            Wake(value.Name); // The site reported in between.
        if (!moved || !result.Ok)
            return;
        logger.LogInformation("Site {Site} is {Phase}", value.Name, phase);
        if (phase == "Connected")
            _events.Normal(value, phase, Message(phase));
        else
            _events.Warning(value, phase, Message(phase));
    }

    // Kept once shown; a site that says nothing of its clock leaves it as it was.
    private Condition? Clock(SiteFacts? facts, Site site)
    {
        Condition? before = site.Status?.Conditions?.Find(c => c.Type == ClockSkewed);
        if (facts?.Skew is not { } skew || (before is null && skew.Duration() < s_skewed))
            return before;
        bool skewed = skew.Duration() >= s_skewed;
        string state = skewed ? "True" : "False";
        if (before?.Status == state)
            return before;
        string message = skewed ? $"The site's clock was {skew.Duration().TotalSeconds:0} s {(skew > TimeSpan.Zero ? "ahead of" : "behind")} the centre's when it connected. Certificates are judged by the centre's clock; set the site's, for times in its reports are wrong." : "The site's clock agrees with the centre's.";
        return new Condition { Type = ClockSkewed, Status = state, Reason = skewed ? "Differs" : "Agrees", Message = message, LastTransitionTime = time.GetUtcNow() };
    }

    private void Show(JsonObject status, Site site, IReadOnlyList<HeldItem>? kept)
    {
        Condition? before = site.Status?.Conditions?.Find(c => c.Type == "Orphans");
        if (kept is null)
        {
            // Not told since this centre started: what was known stays.
            status["conditions"]!.AsArray().Add((JsonNode)new JsonObject { ["type"] = "Orphans", ["status"] = before?.Status, ["reason"] = before?.Reason, ["message"] = before?.Message, ["lastTransitionTime"] = before?.LastTransitionTime is { } at ? KubeTime.Format(at) : null });
            return;
        }
        var list = new JsonArray();
        foreach (HeldItem item in kept.Take(MaxOrphans))
            list.Add((JsonNode)new JsonObject { ["resource"] = item.Kind, ["name"] = item.Name, ["uid"] = item.Uid, ["message"] = orphans.WhyNot(item.Uid) });
        status["orphans"] = list.Count > 0 ? list : null;
        if (kept.Count == 0 && before is null)
            return;
        string state = kept.Count > 0 ? "True" : "False";
        status["conditions"]!.AsArray().Add((JsonNode)new JsonObject
        {
            ["type"] = "Orphans",
            ["status"] = state,
            ["reason"] = kept.Count > 0 ? "UnknownObjects" : "None",
            ["message"] = kept.Count > 0 ? $"The site keeps {kept.Count} objects that this centre does not know. Decide with: atoll site orphans {site.Metadata.Name}" : "The centre knows everything that the site keeps.",
            ["lastTransitionTime"] = before?.Status == state && before.LastTransitionTime is { } since ? KubeTime.Format(since) : KubeTime.Format(time.GetUtcNow()),
        });
    }

    private async Task ReconcileOrphansAsync(KubeObject site, HubSession? session, Func<string, bool> isInScope, CancellationToken cancellation)
    {
        try
        {
            await orphans.ReconcileAsync(site, session, isInScope, cancellation);
        }
        catch (Exception e) when (e is IOException or HttpRequestException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            // The line broke under it: the word is still there when the site is back.
            logger.LogWarning("Site {Site}: its orphans could not be seen to: {Reason}", site.Name, e.Message);
        }
    }

    private async Task ReconcileNodeAsync(string name, string site, bool connected, DateTimeOffset now, CancellationToken cancellation)
    {
        // Read, derive, write against the version that was read; a report that comes in between wins and is derived from again.
        for (int attempt = 0; attempt < 5; attempt++)
        {
            ApiResult found = await resources.GetAsync(Kinds.Node, null, name, cancellation);
            if (found.Object is null || (connected && !NodeLiveness.MayBeAside(found.Object.Utf8.Span)))
                return;
            JsonObject node = found.Object.ToNode();
            if (node["status"] is not JsonObject status || (connected ? NodeLiveness.Reachable(status) : NodeLiveness.Unreachable(status, site, now)) is not { } shown)
                return;
            node["status"] = shown;
            ApiResult written = await resources.UpdateAsync(Kinds.Node, null, name, node, cancellation, "status");
            if (!written.IsConflict)
                return;
        }
    }

    private static string Message(string phase) => phase switch
    {
        "Connected" => "The site's link is up.",
        "Disconnected" => "The site's link is down. Its work goes on; nothing is evicted.",
        "Revoked" => "An operator revoked the site: its certificate is refused.",
        _ => "The site has not joined yet. Its join command comes from: atoll site create.",
    };
}
