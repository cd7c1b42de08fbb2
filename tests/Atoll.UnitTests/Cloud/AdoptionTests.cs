using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api;
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

/// <summary>Replacements that a site made, as the centre takes them over.</summary>
public sealed class AdoptionTests : IAsyncLifetime
{
    private readonly CancellationTokenSource _stop = new(TimeSpan.FromSeconds(30));
    private SqliteStore _store = null!;
    private ApiServer _server = null!;
    private IResources _api = null!;
    private Adoption _adoption = null!;
    private KubeObject _owner = null!, _lost = null!;

    public async ValueTask InitializeAsync()
    {
        _store = await SqliteStore.OpenInMemoryAsync();
        _server = await ApiServer.StartAsync(_store, new ApiServerOptions { CreateDefaultNamespaces = true });
        _api = _server.As(Identity.Trusted("system:test"));
        _adoption = new Adoption(_api, _server.ImportAsync, TimeProvider.System, NullLogger.Instance);
        _owner = (await _api.CreateAsync(Kinds.ReplicaSet, "default", JsonNode.Parse("""
            {"metadata":{"name":"web"},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}
            """)!.AsObject(), _stop.Token)).Object!;
        _lost = (await _api.CreateAsync(Kinds.Pod, "default", new JsonObject
        {
            ["metadata"] = new JsonObject
            {
                ["name"] = "web-1",
                ["labels"] = new JsonObject { ["app"] = "web" },
                ["ownerReferences"] = new JsonArray(new JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = "ReplicaSet", ["name"] = "web", ["uid"] = _owner.Uid, ["controller"] = true }),
            },
            ["spec"] = new JsonObject { ["nodeName"] = "n1", ["containers"] = new JsonArray(new JsonObject { ["name"] = "c", ["image"] = "i" }) },
        }, _stop.Token)).Object!;
    }

    public async ValueTask DisposeAsync()
    {
        _stop.Dispose();
        await _server.DisposeAsync();
        await _store.DisposeAsync();
    }

    [Fact]
    public async Task One_transaction_fails_the_lost_pod_and_makes_the_new_one_from_the_centres_own_spec()
    {
        long before = _store.CurrentRevision;
        await AdoptAsync("u2", "web-2", "n2", _lost.Uid, """{"phase":"Running"}""");
        Assert.Equal(before + 1, _store.CurrentRevision);
        KubeObject lost = (await FindAsync("web-1"))!, made = (await FindAsync("web-2"))!;
        Assert.True(lost.View(ApiJson.Default.Pod).Status!.IsGivenUp());
        Assert.Equal("u2", made.Uid);
        Assert.Equal(_owner.Uid, made.Metadata.Controller()?.Uid);
        Assert.Equal("site", made.Metadata.Label(WellKnown.CreatedByLabel));
        Assert.Equal(_lost.Uid, made.Metadata.Annotation(WellKnown.ReplacesAnnotation));
        Pod view = made.View(ApiJson.Default.Pod);
        Assert.Equal(("n2", "i", "Running"), (view.Spec.NodeName, view.Spec.Containers[0].Image, view.Status?.Phase));
        // Told again: nothing changes.
        long after = _store.CurrentRevision;
        await AdoptAsync("u2", "web-2", "n2", _lost.Uid, """{"phase":"Running"}""");
        Assert.Equal(after, _store.CurrentRevision);
    }

    [Theory]
    [InlineData("owner")]
    [InlineData("pod")]
    [InlineData("ending")]
    [InlineData("failed")]
    public async Task What_is_no_longer_wanted_is_answered_with_a_deletion(string gone)
    {
        if (gone == "owner")
            await _api.DeleteAsync(Kinds.ReplicaSet, "default", "web", new DeleteOptions { PropagationPolicy = "Orphan" }, _stop.Token);
        else if (gone == "failed")
            await _api.PatchAsync(Kinds.Pod, "default", "web-1", PatchType.Merge, new JsonObject { ["status"] = new JsonObject { ["phase"] = "Failed" } }, _stop.Token, "status");
        else
            await _api.DeleteAsync(Kinds.Pod, "default", "web-1", gone == "pod" ? new DeleteOptions { GracePeriodSeconds = 0 } : DeleteOptions.Default, _stop.Token);
        await AdoptAsync("u2", "web-2", "n2", _lost.Uid, """{"phase":"Running"}""", known: gone != "pod");
        KubeObject made = (await FindAsync("web-2"))!;
        Assert.True(made.IsDeleting);
        Assert.Equal("u2", made.Uid);
        Assert.Null(made.Metadata.Controller());
        Assert.Equal("n2", made.View(ApiJson.Default.Pod).Spec.NodeName);
    }

    [Fact]
    public async Task An_identity_goes_from_one_UID_to_the_other_in_one_transaction()
    {
        long before = _store.CurrentRevision;
        await AdoptAsync("u2", "web-1", "n2", _lost.Uid, """{"phase":"Running"}""");
        Assert.Equal(before + 1, _store.CurrentRevision);
        KubeObject made = (await FindAsync("web-1"))!;
        Assert.Equal(("u2", _owner.Uid, _lost.Uid, false), (made.Uid, made.Metadata.Controller()?.Uid, made.Metadata.Annotation(WellKnown.ReplacesAnnotation), made.IsDeleting));
        Assert.Equal(("n2", "Running"), (made.View(ApiJson.Default.Pod).Spec.NodeName, made.View(ApiJson.Default.Pod).Status?.Phase));
        // Its own node died before the site could tell of it: the chain leads to the one that the centre knows.
        await AdoptAsync("u4", "web-1", "n1", "u3", """{"phase":"Running"}""", before: "u2");
        made = (await FindAsync("web-1"))!;
        Assert.Equal(("u4", "u3", $"u2,{_lost.Uid}"), (made.Uid, made.Metadata.Annotation(WellKnown.ReplacesAnnotation), made.Metadata.Annotation(WellKnown.ReplacedBeforeAnnotation)));
    }

    [Theory]
    [InlineData("owner")]
    [InlineData("ending")]
    public async Task An_identity_that_is_no_longer_wanted_is_ended(string gone)
    {
        if (gone == "owner")
            await _api.DeleteAsync(Kinds.ReplicaSet, "default", "web", new DeleteOptions { PropagationPolicy = "Orphan" }, _stop.Token);
        else
            await _api.DeleteAsync(Kinds.Pod, "default", "web-1", DeleteOptions.Default, _stop.Token);
        await AdoptAsync("u2", "web-1", "n2", _lost.Uid, """{"phase":"Running"}""");
        KubeObject made = (await FindAsync("web-1"))!;
        Assert.Equal(("u2", true), (made.Uid, made.IsDeleting));
    }

    [Fact]
    public async Task A_site_cannot_choose_a_node_or_a_pod_of_others()
    {
        await AdoptAsync("u2", "web-2", "elsewhere", _lost.Uid, "{}");
        Assert.Null(await FindAsync("web-2"));
        await AdoptAsync("u3", "web-1", "n2", "u9", "{}"); // Another pod has that name.
        Assert.Equal(_lost.Uid, (await FindAsync("web-1"))!.Uid);
        await _adoption.AdoptAsync("s", new Outcome(1, "u4", "pods", "default/web-4", "replace", "nonsense"u8.ToArray()), _ => "s", _ => null, _stop.Token);
        Assert.Null(await FindAsync("web-4"));
    }

    private Task AdoptAsync(string uid, string name, string node, string replaces, string status, bool known = true, string before = "") =>
        _adoption.AdoptAsync("s", new Outcome(1, uid, "pods", $"default/{name}", "replace", Encoding.UTF8.GetBytes($$"""{"replaces":"{{replaces}}","before":["{{before}}"],"node":"{{node}}","status":{{status}}}""")),
            n => n is "n1" or "n2" ? "s" : null, u => known && (u == _lost.Uid || u == "u2") ? new ObjectKey(Kinds.Pod, "default/web-1") : null, _stop.Token);

    private async Task<KubeObject?> FindAsync(string name) => (await _api.GetAsync(Kinds.Pod, "default", name, _stop.Token)).Object;
}
