using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Cloud.Hub;
using Atoll.Kube.Import;
using CsCheck;

namespace Atoll.UnitTests.Cloud;

public sealed class SiteScopesTests
{
    private readonly SiteScopes _scopes = new();
    private readonly Dictionary<ObjectKey, KubeObject> _world = [];

    [Fact]
    public void A_secret_that_no_pod_of_a_site_uses_never_enters_its_scope()
    {
        Put(Node("n1", "a"));
        Put(Node("n2", "b"));
        Put(Secret("s1"));
        Put(Secret("s2"));
        Put(Pod("p1", "n1", secret: "s1"));
        Assert.Contains(_scopes.ItemsOf("a"), i => i.Key == new ObjectKey(Kinds.Secret, "default/s1"));
        Assert.DoesNotContain(_scopes.ItemsOf("a"), i => i.Key.Key == "default/s2");
        Assert.DoesNotContain(_scopes.ItemsOf("b"), i => i.Key.Type == Kinds.Secret);
    }

    [Fact]
    public void A_status_that_came_up_is_no_change_on_the_way_down()
    {
        Put(Node("n1", "a"));
        Put(Pod("p1", "n1"));
        KubeObject reported = Pod("p1", "n1", status: "Running");
        Assert.Empty(Put(reported));
    }

    [Theory]
    [InlineData("Succeeded", true)]
    [InlineData("Failed", true)]
    [InlineData("Running", false)]
    public void Only_of_a_pod_that_ended_the_status_goes_down_to_a_site_that_has_not_heard_of_it(string phase, bool told)
    {
        Put(Node("n1", "a"));
        Put(Pod("p1", "n1"));
        long version = _scopes.Find("p1-uid")!.Version;
        Assert.Equal(told, Put(Pod("p1", "n1", status: phase)).Exists(c => c.Site == "a"));
        ScopeItem item = _scopes.Find("p1-uid")!;
        Assert.Equal(told, version != item.Version);
        var sent = new ImportObject(Kinds.Pod, JsonNode.Parse(item.Body.Span)!.AsObject(), KeepLocalStatus: true);
        Assert.Equal(told ? phase : null, (string?)sent.Merged(null)!["status"]?["phase"]);
    }

    [Fact]
    public void Each_way_to_end_is_another_version_and_what_is_told_of_an_end_later_is_not()
    {
        long Version(string status)
        {
            JsonObject document = Pod("p1", "n1").ToNode();
            document["status"] = JsonNode.Parse(status);
            return ScopeItem.Of(new ObjectKey(Kinds.Pod, "default/p1"), KubeObject.Stored(System.Text.Encoding.UTF8.GetBytes(document.ToJsonString()), "default/p1", "p1-uid")).Version;
        }
        string[] ends = ["""{"phase":"Running"}""", """{"phase":"Succeeded"}""", """{"phase":"Failed"}""", """{"phase":"Failed","reason":"NodeLost"}"""];
        Assert.Equal(4, ends.Select(Version).Distinct().Count());
        Assert.Equal(Version("""{"phase":"Failed","reason":"NodeLost"}"""), Version("""{"conditions":[],"phase":"Failed","reason":"NodeLost","message":"more"}"""));
    }

    [Theory]
    [InlineData("Running", null, "Succeeded", "Succeeded")]
    [InlineData("Running", null, "Pending", "Running")]
    [InlineData("Failed", null, "Succeeded", "Failed")]
    [InlineData("Failed", WellKnown.NodeLost, "Succeeded", "Succeeded")]
    [InlineData("Failed", WellKnown.NodeLost, "Running", "Failed")]
    public void What_the_parent_was_told_of_a_pods_end_holds_at_a_leader_with_an_older_copy(string here, string? why, string there, string after)
    {
        JsonObject Document(string phase) => Pod("p1", "n1", status: phase).ToNode();
        JsonObject down = Document(there), stored = Document(here);
        down["metadata"]!["labels"] = new JsonObject { ["changed"] = "too" };
        stored["status"]!["reason"] = why;
        Assert.Equal(after, (string?)new ImportObject(Kinds.Pod, down, KeepLocalStatus: true).Merged(stored)!["status"]!["phase"]);
    }

    [Theory]
    [InlineData("""{"kind":"Pod","metadata":{"name":"p","resourceVersion":"7","uid":"u","managedFields":[{"a":"}]"}],"annotations":{"resourceVersion":"kept"}},"spec":{"a":[1,-2.5e3,{"b":[]},true,null],"c":"}\\\"{\u007d\\"},"status":{"phase":"Running","x":"\""},"z":5}""",
        """{"kind":"Pod","metadata":{"name":"p","uid":"u","annotations":{"resourceVersion":"kept"}},"spec":{"a":[1,-2.5e3,{"b":[]},true,null],"c":"}\\\"{\u007d\\"},"z":5}""")]
    [InlineData("""{"z":-1,"status":null,"metadata":{"resourceVersion":"7","uid":"u"},"y":[]}""", """{"z":-1,"metadata":{"uid":"u"},"y":[]}""")]
    [InlineData("""{ "status" : { "a" : [ 1 , 2 ] } , "metadata" : { "uid" : "u" } , "y" : 1 }""", """{"metadata" : {"uid" : "u"},"y" : 1}""")]
    [InlineData("""{"metadata":{}}""", """{"metadata":{}}""")]
    public void The_body_is_the_document_without_what_is_the_sites_or_the_servers(string document, string body)
    {
        KubeObject pod = KubeObject.Stored(System.Text.Encoding.UTF8.GetBytes(document), "default/p", "u");
        Assert.Equal(body, System.Text.Encoding.UTF8.GetString(ScopeItem.Of(new ObjectKey(Kinds.Pod, pod.Key), pod).Body.Span));
    }

    [Fact]
    public void A_reference_may_come_before_its_object_and_its_pod()
    {
        Put(Pod("p1", "n1", secret: "late"));
        Put(Node("n1", "a"));
        List<ScopeChange> changes = Put(Secret("late"));
        ScopeChange change = Assert.Single(changes);
        Assert.Equal("a", change.Site);
        Assert.Equal("late-uid", change.Uid);
        Assert.NotNull(change.Item);
    }

    [Fact]
    public void The_last_pod_that_goes_takes_its_secret_along()
    {
        Put(Node("n1", "a"));
        Put(Secret("s"));
        Put(Pod("p1", "n1", secret: "s"));
        Put(Pod("p2", "n1", secret: "s"));
        Assert.DoesNotContain(Delete(Kinds.Pod, "default/p1"), c => c.Key.Type == Kinds.Secret);
        Assert.Contains(Delete(Kinds.Pod, "default/p2"), c => c.Key.Type == Kinds.Secret && c.Item is null);
        Assert.DoesNotContain(_scopes.ItemsOf("a"), i => i.Key.Type == Kinds.Secret);
    }

    [Fact]
    public void The_same_name_with_another_uid_is_another_object()
    {
        Put(Node("n1", "a"));
        Put(Pod("p1", "n1"));
        List<ScopeChange> changes = Put(Pod("p1", "n1", uid: "other"));
        Assert.Contains(changes, c => c.Uid == "p1-uid" && c.Item is null);
        Assert.Contains(changes, c => c.Uid == "other" && c.Item is not null);
    }

    [Fact]
    public void Incremental_scopes_equal_the_closure_computed_from_scratch()
    {
        // One step: which object, whether it is deleted, its node and the names it refers to.
        var step = Gen.Select(Gen.Int[0, 3], Gen.Int[0, 4], Gen.Bool, Gen.Int[0, 3], Gen.Int[0, 3], Gen.Int[0, 2]);
        step.Array[1, 60].Each(500, steps =>
        {
            var test = new SiteScopesTests();
            var mirrored = new Dictionary<(string Site, string Uid), long>();
            foreach ((int kind, int name, bool delete, int node, int reference, int account) in steps)
            {
                List<ScopeChange> changes = test.Step(kind, name, delete, node, reference, account);
                foreach (ScopeChange change in changes)
                    if (change.Item is null)
                        mirrored.Remove((change.Site, change.Uid));
                    else
                        mirrored[(change.Site, change.Uid)] = change.Item.Version;
                foreach (string site in (string[])["a", "b"])
                {
                    SortedDictionary<string, long> expected = test.Naive(site);
                    Assert.Equal(expected, new SortedDictionary<string, long>(test._scopes.ItemsOf(site).ToDictionary(i => i.Uid, i => i.Version)));
                    Assert.Equal(expected, new SortedDictionary<string, long>(mirrored.Where(m => m.Key.Site == site).ToDictionary(m => m.Key.Uid, m => m.Value)));
                }
            }
        });
    }

    private List<ScopeChange> Step(int kind, int name, bool delete, int node, int reference, int account)
    {
        (ResourceType type, string key) = kind switch
        {
            0 => (Kinds.Node, $"n{name}"),
            1 => (Kinds.Pod, $"default/p{name}"),
            2 => (Kinds.Secret, $"default/s{name}"),
            _ => (Kinds.ServiceAccount, $"default/sa{name}"),
        };
        if (delete)
            return _world.ContainsKey(new ObjectKey(type, key)) ? Delete(type, key) : [];
        return Put(kind switch
        {
            0 => Node($"n{name}", node == 0 ? null : node % 2 == 0 ? "a" : "b"),
            1 => Pod($"p{name}", node == 0 ? null : $"n{node}", secret: $"s{reference}", account: account == 0 ? null : $"sa{account}"),
            2 => Secret($"s{name}", value: node),
            _ => Account($"sa{name}", $"s{reference}"),
        });
    }

    private SortedDictionary<string, long> Naive(string site)
    {
        var found = new HashSet<ObjectKey>();
        foreach ((ObjectKey key, KubeObject value) in _world)
        {
            if (key.Type == Kinds.Node && value.Metadata.Label(WellKnown.SiteLabel) == site)
                found.Add(key);
            if (key.Type == Kinds.Pod && value.ToNode()["spec"]?["nodeName"]?.GetValue<string>() is { } node &&
                _world.TryGetValue(new ObjectKey(Kinds.Node, node), out KubeObject? on) && on.Metadata.Label(WellKnown.SiteLabel) == site)
                found.Add(key);
        }
        var open = new Queue<ObjectKey>(found);
        while (open.TryDequeue(out ObjectKey key))
        {
            if (!_world.TryGetValue(key, out KubeObject? value))
                continue;
            var references = new HashSet<ObjectKey>();
            ScopeReferences.Collect(key.Type, value, references);
            foreach (ObjectKey reference in references)
                if (found.Add(reference))
                    open.Enqueue(reference);
        }
        var items = new SortedDictionary<string, long>();
        foreach (ObjectKey key in found)
            if (_world.TryGetValue(key, out KubeObject? value))
                items.Add(value.Uid, ScopeItem.Of(key, value).Version);
        return items;
    }

    private List<ScopeChange> Put(KubeObject value)
    {
        ResourceType type = Kinds.Find(value.ApiVersion, value.Kind)!;
        var key = new ObjectKey(type, value.Key);
        var changes = new List<ScopeChange>();
        _scopes.Apply(type, _world.GetValueOrDefault(key), value, changes);
        _world[key] = value;
        return changes;
    }

    private List<ScopeChange> Delete(ResourceType type, string key)
    {
        _world.Remove(new ObjectKey(type, key), out KubeObject? old);
        var changes = new List<ScopeChange>();
        _scopes.Apply(type, old, null, changes);
        return changes;
    }

    private static KubeObject Node(string name, string? site) => Make("Node", null, name, new JsonObject(), site is null ? null : new JsonObject { [WellKnown.SiteLabel] = site });

    private static KubeObject Secret(string name, int value = 0) => Make("Secret", "default", name, new JsonObject { ["data"] = new JsonObject { ["k"] = $"{value}" } });

    private static KubeObject Account(string name, string secret) =>
        Make("ServiceAccount", "default", name, new JsonObject { ["imagePullSecrets"] = new JsonArray(new JsonObject { ["name"] = secret }) });

    private static KubeObject Pod(string name, string? node, string? secret = null, string? account = null, string? status = null, string? uid = null)
    {
        var spec = new JsonObject { ["containers"] = new JsonArray() };
        if (node is not null)
            spec["nodeName"] = node;
        if (account is not null)
            spec["serviceAccountName"] = account;
        if (secret is not null)
            spec["volumes"] = new JsonArray(new JsonObject { ["name"] = "v", ["secret"] = new JsonObject { ["secretName"] = secret } });
        var body = new JsonObject { ["spec"] = spec };
        if (status is not null)
            body["status"] = new JsonObject { ["phase"] = status };
        return Make("Pod", "default", name, body, null, uid);
    }

    private static KubeObject Make(string kind, string? ns, string name, JsonObject body, JsonObject? labels = null, string? uid = null)
    {
        var metadata = new JsonObject { ["name"] = name, ["uid"] = uid ?? $"{name}-uid" };
        if (ns is not null)
            metadata["namespace"] = ns;
        if (labels is not null)
            metadata["labels"] = labels;
        body["apiVersion"] = "v1";
        body["kind"] = kind;
        body["metadata"] = metadata;
        return KubeObject.FromNode(body);
    }
}
