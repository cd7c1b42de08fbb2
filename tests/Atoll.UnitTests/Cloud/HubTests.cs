using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Commands;
using Atoll.Cloud.Hub;
using Atoll.Cloud.Server;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Link;
using Atoll.Orchestration.Binding;
using Atoll.Store.Sqlite;
using Atoll.UnitTests.Kube;
using Atoll.UnitTests.Orchestration;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Cloud;

/// <summary>The hub over an API in memory: what a site may report, and whose history it follows.</summary>
public sealed class HubTests : IAsyncLifetime
{
    private SqliteStore _store = null!;
    private ApiServer _server = null!;
    private IResources _api = null!;
    private readonly CancellationTokenSource _stop = new(TimeSpan.FromSeconds(30));
    private long _revision = 1000;
    private LinkHub _hub = null!;
    private Task _running = Task.CompletedTask;

    public async ValueTask InitializeAsync()
    {
        _store = await SqliteStore.OpenInMemoryAsync();
        _server = await ApiServer.StartAsync(_store, new ApiServerOptions { CreateDefaultNamespaces = true });
        _api = _server.As(Identity.Trusted("system:test"));
        await CreateAsync(Kinds.Site, "a", new JsonObject { ["spec"] = new JsonObject { ["region"] = "eu", ["kind"] = "near" } });
        await CreateAsync(Kinds.Site, "b", []);
        await CreateAsync(Kinds.Node, "na", new JsonObject { ["metadata"] = new JsonObject { ["labels"] = new JsonObject { [WellKnown.SiteLabel] = "a" } } });
        await CreateAsync(Kinds.Pod, "pa", new JsonObject { ["spec"] = new JsonObject { ["nodeName"] = "na", ["containers"] = new JsonArray(new JsonObject { ["name"] = "c", ["image"] = "i" }) } });
        _hub = new LinkHub(_api, _server.ImportAsync, () => ("i", _revision), TimeProvider.System, NullLoggerFactory.Instance);
        _running = _hub.RunAsync(_stop.Token);
        await _hub.ReadyAsync().WaitAsync(_stop.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await ((Task)_running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
        await _server.DisposeAsync();
        await _store.DisposeAsync();
    }

    [Fact]
    public async Task A_site_reports_on_its_own_objects_and_on_nobody_elses()
    {
        KubeObject pod = Find(Kinds.Pod, "default/pa");
        await ApplyAsync("b", new Outcome(1, pod.Uid, "pods", "default/pa", "status", """{"phase":"Failed"}"""u8.ToArray()));
        await ApplyAsync("b", new Outcome(2, pod.Uid, "pods", "default/pa", "stopped", "{}"u8.ToArray()));
        Assert.Equal("Pending", Find(Kinds.Pod, "default/pa").ToNode()["status"]!["phase"]!.GetValue<string>());
        await ApplyAsync("a", new Outcome(1, pod.Uid, "pods", "default/pa", "status", """{"phase":"Running"}"""u8.ToArray()));
        Assert.Equal("Running", Find(Kinds.Pod, "default/pa").ToNode()["status"]!["phase"]!.GetValue<string>());
        // Another identity, an unknown word, broken bytes, a kind that no site writes: nothing happens and nothing fails.
        await ApplyAsync("a", new Outcome(2, "other", "pods", "default/pa", "stopped", "{}"u8.ToArray()));
        await ApplyAsync("a", new Outcome(3, pod.Uid, "pods", "default/pa", "explode", "{}"u8.ToArray()));
        await ApplyAsync("a", new Outcome(4, pod.Uid, "pods", "default/pa", "status", "{"u8.ToArray()));
        await ApplyAsync("a", new Outcome(5, "x", "secrets", "default/s", "status", "{}"u8.ToArray()));
        Assert.Equal("Running", Find(Kinds.Pod, "default/pa").ToNode()["status"]!["phase"]!.GetValue<string>());
    }

    [Fact]
    public async Task A_node_registers_with_the_operators_labels_and_cannot_take_another_sites_name()
    {
        byte[] body = """{"metadata":{"name":"new","labels":{"mine":"1","topology.kubernetes.io/zone":"lie","edge.atoll.dev/site":"b"}},"status":{"capacity":{"cpu":"2"}}}"""u8.ToArray();
        await ApplyAsync("a", new Outcome(1, "uid-new", "nodes", "new", "register", body));
        KubeObject node = Find(Kinds.Node, "new");
        Assert.Equal(("a", "a", "eu", "near", "1"), (node.Metadata.Label(WellKnown.SiteLabel), node.Metadata.Label(WellKnown.ZoneLabel), node.Metadata.Label(WellKnown.RegionLabel), node.Metadata.Label(WellKnown.SiteKindLabel), node.Metadata.Label("mine")));
        await ApplyAsync("b", new Outcome(1, "uid-b", "nodes", "new", "register", body));
        Assert.Equal((node.Uid, "a"), (Find(Kinds.Node, "new").Uid, Find(Kinds.Node, "new").Metadata.Label(WellKnown.SiteLabel)));
        Assert.Contains("belongs to site a; start the agent with another --node-name", await WarningAsync("b", "NodeRefused"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_event_that_is_told_anew_by_another_clock_is_taken()
    {
        for (int year = 2026; year < 2029; year += 2)
            await ApplyAsync("a", new Outcome(year, "uid-e", "events", "default/e", "event", Encoding.UTF8.GetBytes($$$"""
                {"metadata":{"name":"e","namespace":"default","creationTimestamp":"{{{year}}}-01-01T00:00:00Z"},"involvedObject":{"kind":"Pod","namespace":"default","name":"pa"},"reason":"Started","type":"Normal","count":{{{year}}}}
                """)));
        Assert.Equal(2028, Find(Kinds.Event, "default/e").ToNode()["count"]!.GetValue<int>());
    }

    [Fact]
    public async Task A_second_machine_that_knows_of_no_other_does_not_get_a_sites_link()
    {
        HubSession first = Session("a", "key-1"), second = Session("a", "key-2"), again = Session("a", "key-1");
        await first.OpenScopeAsync(null!, Hello(LinkSequence.None), _stop.Token);
        LinkRefusedException refused = await Assert.ThrowsAsync<LinkRefusedException>(async () => await second.OpenScopeAsync(null!, Hello(LinkSequence.None), _stop.Token));
        Assert.Equal(LinkError.Superseded, refused.Error);
        Assert.Contains("--peer ADDRESS:PORT", await WarningAsync("a", "SecondMachine"), StringComparison.Ordinal);
        Assert.Same(first, _hub.SessionOf("a"));
        // The same machine after its store was lost, and another node that leads from now on and knows the site's state.
        await again.OpenScopeAsync(null!, Hello(LinkSequence.None), _stop.Token);
        Assert.Same(again, _hub.SessionOf("a"));
        await second.OpenScopeAsync(null!, Hello(new LinkSequence("i", 1000)), _stop.Token);
        Assert.Same(second, _hub.SessionOf("a"));
        // Once the other has gone, a machine may take its place.
        _hub.Closed(second, LinkError.ConnectionLost);
        HubSession third = Session("a", "key-3");
        await third.OpenScopeAsync(null!, Hello(LinkSequence.None), _stop.Token);
        Assert.Same(third, _hub.SessionOf("a"));
    }

    private async Task<string> WarningAsync(string site, string reason)
    {
        while (true)
        {
            foreach (KubeObject item in (await _api.ListAsync(Kinds.Event, null, ListOptions.Default, _stop.Token)).Items)
                if (item.ToNode() is { } said && (string?)said["reason"] == reason && (string?)said["involvedObject"]?["name"] == site)
                    return (string)said["message"]!;
            await Task.Delay(20, _stop.Token);
        }
    }

    [Fact]
    public async Task Figures_of_a_large_fleet_are_sent_piece_by_piece()
    {
        for (int i = 0; i < 2000; i++)
            _hub.TrafficOf($"site-{i}");
        using var sent = new PieceStream();
        var context = new DefaultHttpContext { Request = { Headers = { Authorization = "Bearer t" } }, Response = { Body = sent } };
        await LinkMetrics.ServeAsync(context, [new BearerTokenAuthenticator(_ => Identity.Administrator("t"))], _hub, new PlacementStatistics(), _api);
        string text = Encoding.UTF8.GetString(sent.ToArray());
        Assert.Contains("\natoll_link_bytes_total{site=\"site-1999\",class=\"session\",direction=\"up\"} 0\n", text);
        Assert.Contains("\natoll_site_connected{site=\"a\"} 0\n", text);
        Assert.EndsWith("\n", text);
        Assert.InRange(sent.Longest, 1000, 50_000);
    }

    [Fact]
    public async Task After_a_restart_a_site_is_awaited_while_the_others_take_their_turns()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var states = new SiteStates(_api, new Orphans(_api, NullLogger.Instance), time, NullLogger.Instance);
        Assert.True((await _api.PatchAsync(Kinds.Site, null, "a", PatchType.Merge, new JsonObject { ["status"] = new JsonObject { ["phase"] = "Connected" } }, _stop.Token, "status")).Ok);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        Task running = states.RunAsync(() => Task.CompletedTask, () => [Find(Kinds.Site, "a")], _ => [], _ => null, (_, _) => true, stop.Token);
        for (int i = 0; i < 500; i++)
            states.Set($"came-{i}", new SiteFacts("1", null, null));
        time.Advance(TimeSpan.FromSeconds(49));
        states.Wake("a");
        states.Set("b", new SiteFacts("1.2.3", null, null));
        await UntilAsync(() => (string?)Find(Kinds.Site, "b").ToNode()["status"]?["agentVersion"] == "1.2.3");
        Assert.Equal("Connected", (string?)Find(Kinds.Site, "a").ToNode()["status"]!["phase"]);
        time.Advance(TimeSpan.FromSeconds(2));
        await UntilAsync(() => (string?)Find(Kinds.Site, "a").ToNode()["status"]!["phase"] == "Disconnected");
        await stop.CancelAsync();
        await running;

        async Task UntilAsync(Func<bool> reached)
        {
            while (!reached())
                await Task.Delay(10, _stop.Token);
        }
    }

    [Fact]
    public async Task A_store_that_cannot_answer_keeps_the_outcome_unacknowledged()
    {
        var api = new FakeApi(TimeProvider.System) { Refuse = (_, type) => type == Kinds.Pod ? ApiStatus.InternalError("the disk is full") : null };
        var outcome = new Outcome(1, "u", "pods", "default/pa", "status", """{"phase":"Running"}"""u8.ToArray());
        InvalidOperationException failure = await Assert.ThrowsAsync<InvalidOperationException>(() => new Outcomes(api, NullLogger.Instance).ApplyAsync(Find(Kinds.Site, "a"), outcome, (_, _) => true, _stop.Token));
        Assert.Contains("the disk is full", failure.Message);
        // Without a word about this object the store is not even asked.
        await new Outcomes(api, NullLogger.Instance).ApplyAsync(Find(Kinds.Site, "a"), outcome, (_, _) => false, _stop.Token);
    }

    [Fact]
    public async Task A_site_that_is_ahead_of_the_history_that_this_centre_began_with_follows_a_lost_one()
    {
        Assert.False((await OpenAsync("a", new LinkSequence("i", 1000))).LostHistory);
        _revision = 5000;
        // What it was given by this very process is above the start too.
        Assert.False((await OpenAsync("a", new LinkSequence("i", 4000))).LostHistory);
        HubSession behind = Session("b");
        LinkScope lost = await _hub.OpenAsync(behind, Hello(new LinkSequence("i", 1001)), _stop.Token);
        Assert.True(lost.LostHistory);
        // Not even a line that breaks meanwhile, or revisions that pass the lost ones, make it forget that.
        Assert.True((await OpenAsync("b", new LinkSequence("i", 1001))).LostHistory);
        _hub.Synced(behind);
        Assert.False((await OpenAsync("b", new LinkSequence("i", 5000))).LostHistory);
    }

    [Fact]
    public async Task A_new_session_supersedes_the_one_before()
    {
        HubSession first = Session("a"), second = Session("a");
        await _hub.OpenAsync(first, Hello(LinkSequence.None), _stop.Token);
        LinkScope scope = await _hub.OpenAsync(second, Hello(LinkSequence.None), _stop.Token);
        Assert.Same(second, _hub.SessionOf("a"));
        Assert.Contains(scope.Items, i => i.Uid == Find(Kinds.Pod, "default/pa").Uid);
        Assert.Equal(0, scope.ChangesAfter); // The store may be ahead of the mirrors that the scope was made from.
        _hub.Closed(first, LinkError.Superseded);
        Assert.Same(second, _hub.SessionOf("a"));
        _hub.Closed(second, LinkError.ConnectionLost);
        Assert.Null(_hub.SessionOf("a"));
    }

    [Fact]
    public async Task Orphans_are_shown_and_an_operators_words_are_understood()
    {
        HubSession session = Session("a");
        await session.OpenScopeAsync(null!, Hello(LinkSequence.None), _stop.Token);
        _hub.OrphansOffered(session, [new HeldItem("pods", "default/x", "u-x", 1, true), new HeldItem("configmaps", "default/c", "u-c", 1, true)]);
        KubeObject site = await UntilAsync(s => s.Status?.Orphans?.Count == 2);
        Condition condition = site.View(ApiJson.Default.Site).Status!.Conditions!.Single(c => c.Type == "Orphans");
        Assert.Equal("True", condition.Status);
        Assert.Contains("atoll site orphans a", condition.Message);
        Assert.Equal(new() { ["u-x"] = "Adopt", ["u-c"] = "Stop" }, OrphanCommand.Decide(site, ["pods/default/x"], ["u-c"]));
        Assert.Equal(["u-c", "u-x"], OrphanCommand.Decide(site, ["all"], []).Keys.Order());
        Assert.Equal(3, Assert.Throws<CommandException>(() => OrphanCommand.Decide(site, ["pods/default/y"], [])).ExitCode);
        Assert.Equal(2, Assert.Throws<CommandException>(() => OrphanCommand.Decide(site, ["all"], ["u-x"])).ExitCode);
        _hub.OrphansOffered(session, []);
        site = await UntilAsync(s => s.Status?.Orphans is null or []);
        Assert.Equal("False", site.View(ApiJson.Default.Site).Status!.Conditions!.Single(c => c.Type == "Orphans").Status);
        Assert.Empty(OrphanCommand.Decide(site, ["all"], []));
    }

    private async Task<KubeObject> UntilAsync(Func<Site, bool> condition)
    {
        while (!condition(Find(Kinds.Site, "a").View(ApiJson.Default.Site)))
            await Task.Delay(20, _stop.Token);
        return Find(Kinds.Site, "a");
    }

    private HubSession Session(string site, string machine = "") => new(_hub, Find(Kinds.Site, site), NullLogger.Instance, machine);

    private async Task<LinkScope> OpenAsync(string site, LinkSequence sequence) => await _hub.OpenAsync(Session(site), Hello(sequence), _stop.Token);

    private static SiteHello Hello(LinkSequence sequence) => new(1, 1, "test", sequence, default, 0, false);

    private async Task ApplyAsync(string site, Outcome outcome) => await _hub.ApplyAsync(Session(site), new OutcomeBatch(1, [outcome]), _stop.Token);

    private KubeObject Find(ResourceType type, string key) => _api.GetAsync(type, type.Namespaced ? "default" : null, key[(key.IndexOf('/', StringComparison.Ordinal) + 1)..], _stop.Token).AsTask().GetAwaiter().GetResult().Object!;

    private async Task CreateAsync(ResourceType type, string name, JsonObject document)
    {
        (document["metadata"] ??= new JsonObject())["name"] = name;
        ApiResult result = await _api.CreateAsync(type, type.Namespaced ? "default" : null, document, _stop.Token);
        Assert.True(result.Ok, result.Error?.Message);
    }
}
