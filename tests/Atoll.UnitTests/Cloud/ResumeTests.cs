using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Hub;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Link;
using Atoll.Store.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Atoll.UnitTests.Cloud;

/// <summary>
/// What a site costs that comes back to a centre that was started anew over the same store, by bytes of its session: a greeting, however
/// much it holds, and whatever the centre wrote of it meanwhile.
/// </summary>
public sealed class ResumeTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const int Nodes = 10, PodsOfNode = 10, Most = 300;

    private readonly CancellationTokenSource _stop = new(TimeSpan.FromSeconds(60));
    private SqliteStore _store = null!;
    private ApiServer _server = null!;
    private IResources _api = null!;

    public async ValueTask InitializeAsync()
    {
        _store = await SqliteStore.OpenInMemoryAsync();
        _server = await ApiServer.StartAsync(_store, new ApiServerOptions { CreateDefaultNamespaces = true });
        _api = _server.As(Identity.Trusted("system:test"));
        await CreateAsync(Kinds.Site, "a", []);
        await CreateAsync(Kinds.ConfigMap, "shared", new JsonObject { ["data"] = new JsonObject { ["k"] = "v" } });
        for (int node = 0; node < Nodes; node++)
        {
            await CreateAsync(Kinds.Node, $"n{node}", new JsonObject { ["metadata"] = new JsonObject { ["labels"] = new JsonObject { [WellKnown.SiteLabel] = "a" } } });
            for (int pod = 0; pod < PodsOfNode; pod++)
                await CreateAsync(Kinds.Pod, $"p{node}-{pod}", new JsonObject
                {
                    ["spec"] = new JsonObject { ["nodeName"] = $"n{node}", ["containers"] = new JsonArray(new JsonObject { ["name"] = "c", ["image"] = "i", ["envFrom"] = new JsonArray(new JsonObject { ["configMapRef"] = new JsonObject { ["name"] = "shared" } }) }) },
                });
        }
    }

    public async ValueTask DisposeAsync()
    {
        _stop.Dispose();
        await _server.DisposeAsync();
        await _store.DisposeAsync();
    }

    [Fact]
    public async Task An_untouched_site_costs_a_greeting_after_a_restart_whatever_was_written_of_it_meanwhile()
    {
        var items = new Dictionary<string, HeldItem>();
        (long first, LinkSequence at) = await SessionAsync(items, LinkSequence.None);
        Assert.True(items.Count > Nodes * (PodsOfNode + 1));
        // The line was silent for long, then came back; the site reported; somebody wrote what the site does not need.
        for (int node = 0; node < Nodes; node++)
        {
            await PatchAsync(Kinds.Node, $"n{node}", """{"spec":{"taints":[{"key":"node.kubernetes.io/unreachable","effect":"NoSchedule","timeAdded":"2026-01-02T03:04:05Z"}]}}""");
            await PatchAsync(Kinds.Node, $"n{node}", """{"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}}""", "status");
            if (node % 2 == 0)
                await PatchAsync(Kinds.Node, $"n{node}", """{"spec":{"taints":null}}""");
            await PatchAsync(Kinds.Pod, $"p{node}-0", """{"status":{"phase":"Running"}}""", "status");
        }
        await PatchAsync(Kinds.Site, "a", """{"status":{"phase":"Disconnected"}}""", "status");
        await CreateAsync(Kinds.ConfigMap, "other", []);
        (long again, LinkSequence same) = await SessionAsync(items, at);
        output.WriteLine($"first {first} B, again {again} B for {items.Count} objects");
        Assert.InRange(again, 1, Most);
        // One change of one small object that the site needs costs that object and the way to find it.
        await PatchAsync(Kinds.ConfigMap, "shared", """{"data":{"k":"w"}}""");
        (long changed, _) = await SessionAsync(items, same);
        output.WriteLine($"with one change {changed} B");
        Assert.InRange(changed, again, 2_000);
    }

    // A centre that starts over the store, one session of the site with it from greeting to live, and the centre's end.
    private async Task<(long Bytes, LinkSequence Position)> SessionAsync(Dictionary<string, HeldItem> held, LinkSequence position)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var hub = new LinkHub(_api, _server.ImportAsync, () => (_store.Incarnation, _store.CurrentRevision), TimeProvider.System, NullLoggerFactory.Instance);
        Task running = hub.RunAsync(stop.Token);
        var owner = new HubSession(hub, (await _api.GetAsync(Kinds.Site, null, "a", stop.Token)).Object!, NullLogger.Instance);
        var line = new Wire(owner, held, position);
        SiteHello hello = line.Begin();
        line.Open(await hub.OpenAsync(owner, hello, stop.Token));
        await stop.CancelAsync();
        await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return (line.Bytes, line.Position);
    }

    private async Task CreateAsync(ResourceType type, string name, JsonObject document)
    {
        (document["metadata"] ??= new JsonObject())["name"] = name;
        ApiResult result = await _api.CreateAsync(type, type.Namespaced ? "default" : null, document, _stop.Token);
        Assert.True(result.Ok, result.Error?.Message);
    }

    private async Task PatchAsync(ResourceType type, string name, string patch, string? subresource = null)
    {
        ApiResult result = await _api.PatchAsync(type, type.Namespaced ? "default" : null, name, PatchType.Merge, JsonNode.Parse(patch)!, _stop.Token, subresource);
        Assert.True(result.Ok, result.Error?.Message);
    }

    /// <summary>The two sessions back to back, counting.</summary>
    private sealed class Wire(IScopeItems items, Dictionary<string, HeldItem> held, LinkSequence position) : ISiteItems
    {
        private readonly ParentSession _parent = new(new LinkOptions(), items, new Random(1));
        private readonly byte[] _frame = new byte[LinkLimits.MaxFrameBytes];
        private SiteSession _site = null!;
        private SiteHello? _hello;

        public long Bytes { get; private set; }

        public LinkSequence Position { get; private set; } = position;

        public SiteHello Begin()
        {
            _site = new SiteSession(new LinkOptions { Software = "0.1.0" }, this, new Random(2));
            Handle(_parent.Step(new LinkInput.Connected(), 0));
            Handle(_site.Step(new LinkInput.SiteConnected(new SiteHoldings(Position, [.. held.Values], false), []), 0));
            Pump();
            return _hello!;
        }

        public void Open(LinkScope scope)
        {
            Handle(_parent.Step(new LinkInput.ScopeOpened(scope), 0));
            Pump();
            Assert.Equal((LinkState.Live, LinkState.Live), (_parent.State, _site.State));
        }

        public ReadOnlyMemory<byte>? ReadBody(string uid, long version) => null;

        public Outcome? ReadOutcome(string uid) => null;

        private void Pump()
        {
            while (Move(_site, _parent) | Move(_parent, _site))
            {
            }
        }

        private bool Move(LinkSession from, LinkSession to)
        {
            bool any = false;
            for (int length; (length = from.WriteFrame(_frame, 0)) > 0; any = true)
            {
                Bytes += length;
                Handle(to.Step(new LinkInput.Frame(_frame.AsMemory(0, length)), 0));
            }
            return any;
        }

        private void Handle(IReadOnlyList<LinkOutput> outputs)
        {
            foreach (LinkOutput output in outputs.ToArray())
                if (output is LinkOutput.OpenScope open)
                    _hello = open.Hello;
                else if (output is LinkOutput.Apply { Batch: var batch })
                {
                    foreach (LinkItem item in batch.Upserts)
                        held[item.Uid] = new HeldItem(item.Kind, item.Name, item.Uid, item.Version);
                    foreach (string uid in batch.Removals)
                        held.Remove(uid);
                    Position = batch.Sequence;
                    Handle(_site.Step(new LinkInput.Applied(batch.Number), 0));
                }
        }
    }
}
