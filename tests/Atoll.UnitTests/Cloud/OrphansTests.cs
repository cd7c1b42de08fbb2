using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Hub;
using Atoll.Link;
using Atoll.UnitTests.Orchestration;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Cloud;

public sealed class OrphansTests : IOrphanSite
{
    private static readonly FakeTimeProvider s_time = new(DateTimeOffset.UnixEpoch);

    private readonly FakeApi _centre = new(s_time), _site = new(s_time);
    private readonly List<string> _released = [];
    private readonly Orphans _orphans;

    public OrphansTests()
    {
        _orphans = new Orphans(_centre, NullLogger.Instance);
        Make(_centre, Kinds.Namespace, "default", "ns");
        Make(_centre, Kinds.Site, "s", "site");
        Make(_centre, Kinds.Node, "n1", "n1", metadata: ""","labels":{"edge.atoll.dev/site":"s"}""");
    }

    void IOrphanSite.Release(IReadOnlyList<string> uids) => _released.AddRange(uids);

    IResources IOrphanSite.Reach() => _site;

    [Fact]
    public async Task What_is_adopted_comes_with_what_it_needs_its_status_and_without_an_owner_that_is_gone()
    {
        Pod(_site, "p", "p1", "n1");
        Make(_site, Kinds.Secret, "db", "s1");
        await DecideAsync("Adopt", ("pods", "p", "p1"), ("secrets", "db", "s1"));
        KubeObject pod = _centre.Find(Kinds.Pod, "default/p")!;
        Assert.Equal(("p1", "Running"), (pod.Uid, pod.View(ApiJson.Default.Pod).Status!.Phase));
        Assert.Empty(pod.Metadata.OwnerReferences ?? []);
        Assert.Equal("s1", _centre.Find(Kinds.Secret, "default/db")!.Uid);
        Assert.Empty(_orphans.Of("s")!);
        Assert.Empty(_released);
        Assert.Null(Decisions());
    }

    [Fact]
    public async Task What_ended_before_the_word_came_is_neither_adopted_nor_kept_nor_waited_for()
    {
        Pod(_site, "other", "p2", "n1");
        await DecideAsync("Adopt", ("pods", "p", "p1"), ("pods", "other", "another"));
        Assert.Empty(_centre.All(Kinds.Pod));
        Assert.Equal(["another", "p1"], _released.Order());
        Assert.Empty(_orphans.Of("s")!);
        Assert.Null(Decisions());
    }

    [Theory]
    [InlineData("p", false)] // An identity: its name is another's now.
    [InlineData("p-2", false)]
    [InlineData("p", true)]
    public async Task In_place_of_one_whose_node_died_the_one_that_the_site_made_is_adopted(string name, bool waits)
    {
        if (name != "p")
            Make(_site, Kinds.Pod, "p", "p1", ""","spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]},"status":{"phase":"Failed","reason":"NodeLost"}""");
        Make(_site, Kinds.Pod, name, "p2", ""","spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]},"status":{"phase":"Running"}""",
            $$""","annotations":{"edge.atoll.dev/replaces":"p1"{{(waits ? ",\"edge.atoll.dev/fencing\":\"n2\"" : "")}}}""");
        await DecideAsync("Adopt", ("pods", "p", "p1"));
        if (waits)
        {
            Assert.Contains("waits", _orphans.WhyNot("p1"), StringComparison.Ordinal);
            Assert.Empty(_centre.All(Kinds.Pod));
            return;
        }
        Assert.Equal(("p2", name), (Assert.Single(_centre.All(Kinds.Pod)).Uid, _centre.All(Kinds.Pod)[0].Name));
        Assert.Equal(["p1"], _released);
        Assert.Empty(_orphans.Of("s")!);
        Assert.Null(Decisions());
    }

    [Fact]
    public async Task A_pod_that_is_being_stopped_is_not_adopted_into_life()
    {
        Make(_site, Kinds.Pod, "p", "p1", metadata: ""","deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["x/y"]""");
        await DecideAsync("Adopt", ("pods", "p", "p1"));
        Assert.Empty(_centre.All(Kinds.Pod));
        Assert.Equal(["p1"], _released);
        Assert.Null(Decisions());
    }

    [Fact]
    public async Task The_mark_of_a_Job_goes_with_the_Job()
    {
        Make(_site, Kinds.Pod, "p", "p1", ""","spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]}""",
            ""","finalizers":["x/y","batch.kubernetes.io/job-tracking"],"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"gone","uid":"j0","controller":true}]""");
        await DecideAsync("Adopt", ("pods", "p", "p1"));
        Assert.Equal(["x/y"], _centre.Find(Kinds.Pod, "default/p")!.Metadata.Finalizers);
    }

    [Fact]
    public async Task A_pod_that_the_centre_has_given_another_node_since_is_not_taken_for_adopted()
    {
        Pod(_site, "p", "p1", "n1");
        Pod(_centre, "p", "p1", "n2");
        await DecideAsync("Adopt", ("pods", "p", "p1"));
        Assert.Single(_orphans.Of("s")!);
        Assert.NotNull(Decisions());
        Assert.Equal("this centre has it on node n2; stop the one at the site", _orphans.WhyNot("p1"));
        Assert.Equal("n2", _centre.Find(Kinds.Pod, "default/p")!.View(ApiJson.Default.Pod).Spec.NodeName);
    }

    [Fact]
    public async Task Each_that_cannot_be_adopted_says_why_until_it_can_or_the_word_is_taken_back()
    {
        Pod(_site, "p", "p1", "n1");
        Pod(_site, "q", "q1", "elsewhere");
        Pod(_centre, "p", "another", "n1");
        await DecideAsync("Adopt", ("pods", "p", "p1"), ("pods", "q", "q1"));
        Assert.Equal(("another object has its name here", "it is not on a node of this site"), (_orphans.WhyNot("p1"), _orphans.WhyNot("q1")));
        Assert.Equal(2, Decisions()!.Count);
        await _centre.DeleteAsync(Kinds.Pod, "default", "p", new DeleteOptions { GracePeriodSeconds = 0 }, default);
        await DecideAsync("Adopt", ("pods", "p", "p1"), ("pods", "q", "q1"));
        Assert.Equal((null, "it is not on a node of this site"), (_orphans.WhyNot("p1"), _orphans.WhyNot("q1")));
        await DecideAsync("Stop", ("pods", "q", "q1"));
        Assert.Null(_orphans.WhyNot("q1"));
    }

    private async Task DecideAsync(string action, params (string Kind, string Name, string Uid)[] kept)
    {
        _orphans.Offer("s", [.. kept.Select(k => new HeldItem(k.Kind, "default/" + k.Name, k.Uid, 1, Orphan: true))]);
        JsonArray said = [.. kept.Where(k => k.Kind == "pods").Select(k => new JsonObject { ["uid"] = k.Uid, ["action"] = action })];
        Assert.Null((await _centre.PatchAsync(Kinds.Site, null, "s", PatchType.Merge, new JsonObject { ["spec"] = new JsonObject { ["orphans"] = said } }, default)).Error);
        await _orphans.ReconcileAsync(_centre.Find(Kinds.Site, "s")!, this, _ => false, default);
    }

    private List<OrphanDecision>? Decisions() => _centre.Find(Kinds.Site, "s")!.View(ApiJson.Default.Site).Spec.Orphans;

    private static void Pod(FakeApi api, string name, string uid, string node) => Make(api, Kinds.Pod, name, uid,
        $$$""","spec":{"nodeName":"{{{node}}}","containers":[{"name":"c","image":"i"}],"volumes":[{"name":"v","secret":{"secretName":"db"}}]},"status":{"phase":"Running"}""",
        ""","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"gone","uid":"r0","controller":true}]""");

    private static void Make(FakeApi api, ResourceType type, string name, string uid, string rest = "", string metadata = "") =>
        Assert.Null(api.CreateAsync(type, type.Namespaced ? "default" : null, JsonNode.Parse($$$"""{"apiVersion":"{{{type.ApiVersion}}}","kind":"{{{type.Kind}}}","metadata":{"name":"{{{name}}}","uid":"{{{uid}}}"{{{metadata}}}}{{{rest}}}}""")!.AsObject(), default).Result.Error);
}
