using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Http;
using Atoll.Kube.Resources;
using Atoll.Kube.Watch;
using Microsoft.AspNetCore.Http;

namespace Atoll.UnitTests.Kube;

/// <summary>Lists and watches over HTTP, with Kubernetes' options.</summary>
public sealed class HttpReadTests : HttpTestBase
{
    private const string Maps = "/api/v1/namespaces/default/configmaps";

    private async Task<List<JsonObject>> Watch(string query)
    {
        string text = await Client.GetStringAsync(new Uri($"{Maps}?watch=1&timeoutSeconds=1&{query}", UriKind.Relative), Cancel);
        return [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(Json)];
    }

    private static string Told(IEnumerable<JsonObject> events) =>
        string.Join(' ', events.Where(e => (string?)e["type"] != "BOOKMARK").Select(e => $"{e["type"]}:{e["object"]!["metadata"]!["name"]}"));

    [Fact]
    public async Task Pages_are_of_one_moment_and_count_what_remains()
    {
        foreach (string name in (string[])["a", "b", "c", "d", "e"])
            await Make(Kinds.ConfigMap, ConfigMap(name));
        JsonObject first = await Expect(200, "GET", Maps + "?limit=2");
        Assert.Equal(("a b", 3L), (Names(first), (long)first["metadata"]!["remainingItemCount"]!));
        await Expect(200, "DELETE", Maps + "/d");
        await Make(Kinds.ConfigMap, ConfigMap("bb"));
        JsonObject second = await Expect(200, "GET", $"{Maps}?limit=2&continue={first["metadata"]!["continue"]}");
        Assert.Equal(("c d", (string?)first["metadata"]!["resourceVersion"]), (Names(second), (string?)second["metadata"]!["resourceVersion"]));
        JsonObject third = await Expect(200, "GET", $"{Maps}?limit=2&continue={second["metadata"]!["continue"]}");
        Assert.Equal("e", Names(third));
        Assert.Null(third["metadata"]!["continue"]);
        Assert.Null((await Expect(200, "GET", Maps + "?limit=2&labelSelector=!x"))["metadata"]!["remainingItemCount"]);
        await Expect(400, "GET", $"{Maps}?resourceVersion=5&continue={first["metadata"]!["continue"]}");
        await Store.CompactAsync(Store.CurrentRevision, Cancel);
        Assert.Equal("Expired", (string?)(await Expect(410, "GET", $"{Maps}?limit=2&continue={first["metadata"]!["continue"]}"))["reason"]);
    }

    [Fact]
    public async Task A_long_list_is_sent_while_it_is_made_and_is_never_in_memory_as_a_whole()
    {
        using var sent = new PieceStream();
        var context = new DefaultHttpContext { Response = { Body = sent } };
        var item = CachedObject.Unstored("default/a", Encoding.UTF8.GetBytes(ConfigMap("a", new string('v', 2000)).ToJsonString()));
        await Answers.ListAsync(context, Kinds.ConfigMap, new CacheList([.. Enumerable.Repeat(item, 1000)], 1), new Accepts(true, ObjectForm.Whole, "v1"), DateTimeOffset.UnixEpoch);
        Assert.Equal(1000, JsonNode.Parse(sent.ToArray())!["items"]!.AsArray().Count);
        Assert.InRange(sent.Longest, 2000, 100_000);
    }

    [Fact]
    public async Task A_node_has_a_lease_without_beats_that_are_stored()
    {
        const string Lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n";
        await Expect(404, "GET", Lease);
        KubeObject node = await Make(Kinds.Node, Json("""{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"},"status":{"conditions":[{"type":"Ready","status":"True"}]}}"""));
        long before = Store.CurrentRevision;
        JsonObject lease = await Expect(200, "GET", Lease);
        Assert.Equal(("n", node.ResourceVersion), ((string?)lease["spec"]!["holderIdentity"], (string?)lease["metadata"]!["resourceVersion"]));
        Assert.True(Atoll.Api.KubeTime.TryParse((string?)lease["spec"]!["renewTime"], out DateTimeOffset renewed) && renewed >= node.Metadata.CreationTimestamp);
        Assert.Equal(before, Store.CurrentRevision);
        // It is told why it cannot be changed; one that is made is stored, is listed and goes first.
        Assert.Contains("it is not stored", (string?)(await Expect(405, "PUT", Lease, lease.ToJsonString()))["message"], StringComparison.Ordinal);
        await Expect(405, "PATCH", Lease, """{"spec":{"leaseDurationSeconds":1}}""", "application/merge-patch+json");
        await Expect(405, "DELETE", Lease);
        await Expect(404, "DELETE", Lease + "2");
        Assert.Equal("", Names(await Expect(200, "GET", Lease[..^2])));
        await Expect(201, "POST", Lease[..^2], """{"metadata":{"name":"n"},"spec":{"holderIdentity":"me"}}""");
        Assert.Equal("me", (string?)(await Expect(200, "GET", Lease))["spec"]!["holderIdentity"]);
        Assert.Equal("n", Names(await Expect(200, "GET", Lease[..^2])));
        await Expect(200, "PATCH", Lease, """{"spec":{"leaseDurationSeconds":1}}""", "application/merge-patch+json");
        await Expect(200, "DELETE", Lease);
        // Once it is silent, since when.
        await Expect(200, "PATCH", "/api/v1/nodes/n/status", """{"status":{"conditions":[{"type":"Ready","status":"Unknown","lastTransitionTime":"2026-01-02T03:04:05Z"}]}}""", "application/merge-patch+json");
        Assert.Equal("2026-01-02T03:04:05.000000Z", (string?)(await Expect(200, "GET", Lease))["spec"]!["renewTime"]);
        await Expect(404, "GET", Lease.Replace("kube-node-lease", "default", StringComparison.Ordinal));
        await Expect(200, "DELETE", "/api/v1/nodes/n");
        await Expect(404, "GET", Lease);
    }

    [Fact]
    public async Task A_version_asks_for_a_moment()
    {
        await Make(Kinds.ConfigMap, ConfigMap("a"));
        string version = (await Make(Kinds.ConfigMap, ConfigMap("b"))).ResourceVersion;
        await Make(Kinds.ConfigMap, ConfigMap("c"));
        Assert.Equal("a b", Names(await Expect(200, "GET", $"{Maps}?resourceVersion={version}&resourceVersionMatch=Exact")));
        // A list that asks for no version is of now: whatever comes after it may not be older.
        Assert.Equal("a b c", Names(await Expect(200, "GET", Maps)));
        Assert.Equal("a b c", Names(await Expect(200, "GET", $"{Maps}?resourceVersion={version}&resourceVersionMatch=NotOlderThan")));
        Assert.Equal("a b c", Names(await Expect(200, "GET", $"{Maps}?resourceVersion=0")));
        JsonObject future = await Expect(504, "GET", $"{Maps}?resourceVersion={long.Parse(version) + 1000}");
        Assert.Equal("ResourceVersionTooLarge", (string?)future["details"]!["causes"]![0]!["reason"]);
    }

    [Theory]
    [InlineData("e=y", "a c")]
    [InlineData("e!=y", "b d")]
    [InlineData("e==y,i!=1", "c")]
    [InlineData("e in (y,n)", "a b c")]
    [InlineData("e notin (y)", "b d")]
    [InlineData("!e", "d")]
    [InlineData("e", "a b c")]
    [InlineData("i>1", "b c")]
    [InlineData("i<2", "a")]
    public async Task Labels_select(string selector, string expected)
    {
        (string Name, string Labels)[] maps = [("a", """{"e":"y","i":"1"}"""), ("b", """{"e":"n","i":"2"}"""), ("c", """{"e":"y","i":"3"}"""), ("d", "{}")];
        foreach ((string name, string labels) in maps)
            await Make(Kinds.ConfigMap, Json($$$"""{"metadata":{"name":"{{{name}}}","labels":{{{labels}}}}}"""));
        Assert.Equal(expected, Names(await Expect(200, "GET", $"{Maps}?labelSelector={Uri.EscapeDataString(selector)}")));
    }

    [Theory]
    [InlineData("/api/v1/pods", "metadata.name=p", "p")]
    [InlineData("/api/v1/pods", "metadata.namespace!=default", "")]
    [InlineData("/api/v1/pods", "spec.nodeName=n", "p")]
    [InlineData("/api/v1/pods", "spec.nodeName=", "q")]
    [InlineData("/api/v1/pods", "status.phase=Pending,spec.restartPolicy=Never", "q")]
    [InlineData("/api/v1/secrets", "type=Opaque", "o")]
    [InlineData("/api/v1/secrets", "type!=Opaque", "b")]
    [InlineData("/api/v1/namespaces", "status.phase=Active,metadata.name=default", "default")]
    [InlineData("/api/v1/nodes", "spec.unschedulable=true", "n")]
    [InlineData("/api/v1/nodes", "spec.unschedulable=false", "m")]
    [InlineData("/api/v1/services", "spec.type=ClusterIP", "s")]
    [InlineData("/api/v1/events", "involvedObject.kind=Pod,involvedObject.name=p,reason=R,type=Normal", "v")]
    [InlineData("/apis/events.k8s.io/v1/events", "regarding.name=p", "v")]
    [InlineData("/apis/apps/v1/replicasets", "status.replicas=0", "r")]
    [InlineData("/apis/batch/v1/jobs", "status.successful=0", "j")]
    [InlineData("/apis/edge.atoll.dev/v1alpha1/sites", "metadata.name=x", "x")]
    public async Task Fields_select(string path, string selector, string expected)
    {
        const string Template = """{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}""";
        await Make(Kinds.Pod, Pod("p", ",\"nodeName\":\"n\""));
        await Make(Kinds.Pod, Pod("q", ",\"restartPolicy\":\"Never\""));
        await Make(Kinds.Secret, Json("""{"metadata":{"name":"o"}}"""));
        await Make(Kinds.Secret, Json("""{"metadata":{"name":"b"},"type":"a/b"}"""));
        await Make(Kinds.Node, Json("""{"metadata":{"name":"n"},"spec":{"unschedulable":true}}"""));
        await Make(Kinds.Node, Json("""{"metadata":{"name":"m"}}"""));
        await Make(Kinds.Service, Json("""{"metadata":{"name":"s"},"spec":{"ports":[{"port":1}]}}"""));
        await Make(Kinds.Event, Json("""{"metadata":{"name":"v"},"involvedObject":{"kind":"Pod","name":"p","namespace":"default"},"reason":"R","type":"Normal"}"""));
        await Make(Kinds.ReplicaSet, Json($$$"""{"metadata":{"name":"r"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{{{Template.Replace("Never", "Always", StringComparison.Ordinal)}}}}}"""));
        await Make(Kinds.Job, Json($$$"""{"metadata":{"name":"j"},"spec":{"template":{{{Template}}}}}"""));
        await Make(Kinds.Site, Json("""{"metadata":{"name":"x"},"spec":{"region":"north"}}"""));
        Assert.Equal(expected, Names(await Expect(200, "GET", $"{path}?fieldSelector={Uri.EscapeDataString(selector)}")));
    }

    [Fact]
    public async Task A_watch_begins_where_it_is_told()
    {
        await Make(Kinds.ConfigMap, ConfigMap("a"));
        string version = (await Make(Kinds.ConfigMap, Json("""{"metadata":{"name":"b","labels":{"x":"y"}}}"""))).ResourceVersion;
        await Expect(200, "DELETE", Maps + "/a");
        await Make(Kinds.ConfigMap, ConfigMap("c"));
        Assert.Equal("ADDED:b ADDED:c", Told(await Watch("")));
        Assert.Equal("DELETED:a ADDED:c", Told(await Watch("resourceVersion=" + version)));
        Assert.Equal("ADDED:b", Told(await Watch("labelSelector=x%3Dy")));
        Assert.Equal("ADDED:c", Told(await Watch("fieldSelector=metadata.name%3Dc&resourceVersion=" + version)));
        // Whatever is given is yes, but false and 0; nothing given is yes too.
        Assert.Equal("ConfigMapList", (string?)(await Expect(200, "GET", Maps + "?watch=false"))["kind"]);
        Assert.StartsWith("""{"type":"ADDED""", await Client.GetStringAsync(new Uri(Maps + "?watch&timeoutSeconds=1", UriKind.Relative), Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Initial_events_end_with_a_mark()
    {
        await Make(Kinds.ConfigMap, ConfigMap("a"));
        List<JsonObject> events = await Watch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
        Assert.Equal("ADDED:a", Told(events[..1]));
        Assert.Equal(("BOOKMARK", "true"), ((string?)events[1]["type"], (string?)events[1]["object"]!["metadata"]!["annotations"]!["k8s.io/initial-events-end"]));
        Assert.Equal((string?)(await Expect(200, "GET", Maps))["metadata"]!["resourceVersion"], (string?)events[1]["object"]!["metadata"]!["resourceVersion"]);
    }

    [Fact]
    public async Task A_watch_from_a_lost_version_is_told_to_list_again()
    {
        List<JsonObject> events = await Watch("resourceVersion=1");
        Assert.Equal(("ERROR", 410, "Expired"), ((string?)Assert.Single(events)["type"], (int)events[0]["object"]!["code"]!, (string?)events[0]["object"]!["reason"]));
    }

    [Fact]
    public async Task Large_answers_are_compressed_when_the_client_agrees()
    {
        for (int i = 0; i < 4; i++)
            await Make(Kinds.ConfigMap, ConfigMap("c" + i, new string('x', 50_000)));
        using var request = new HttpRequestMessage(HttpMethod.Get, Maps);
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("gzip"));
        using HttpResponseMessage response = await Client.SendAsync(request, Cancel);
        Assert.Equal(["gzip"], response.Content.Headers.ContentEncoding);
        await using var gzip = new System.IO.Compression.GZipStream(await response.Content.ReadAsStreamAsync(Cancel), System.IO.Compression.CompressionMode.Decompress);
        Assert.Equal("c0 c1 c2 c3", Names((await JsonNode.ParseAsync(gzip, cancellationToken: Cancel))!.AsObject()));
    }

    [Theory]
    [InlineData("pods", "Name,Ready,Status,Restarts,Age,IP,Node,Nominated Node,Readiness Gates")]
    [InlineData("nodes", "Name,Status,Roles,Age,Version,Internal-IP,External-IP,OS-Image,Kernel-Version,Container-Runtime,Site")]
    [InlineData("services", "Name,Type,Cluster-IP,External-IP,Port(s),Age,Selector")]
    [InlineData("secrets", "Name,Type,Data,Age")]
    [InlineData("configmaps", "Name,Data,Age")]
    [InlineData("namespaces", "Name,Status,Age")]
    [InlineData("serviceaccounts", "Name,Secrets,Age")]
    [InlineData("events", "Last Seen,Type,Reason,Object,Subobject,Source,Message,First Seen,Count,Name")]
    [InlineData("apps/v1/deployments", "Name,Ready,Up-to-date,Available,Age,Containers,Images,Selector")]
    [InlineData("apps/v1/replicasets", "Name,Desired,Current,Ready,Age,Containers,Images,Selector")]
    [InlineData("apps/v1/daemonsets", "Name,Desired,Current,Ready,Up-to-date,Available,Node Selector,Age,Containers,Images,Selector")]
    [InlineData("apps/v1/controllerrevisions", "Name,Controller,Revision,Age")]
    [InlineData("batch/v1/jobs", "Name,Status,Completions,Duration,Age,Containers,Images,Selector")]
    [InlineData("coordination.k8s.io/v1/leases", "Name,Holder,Age")]
    [InlineData("node.k8s.io/v1/runtimeclasses", "Name,Handler,Age")]
    [InlineData("scheduling.k8s.io/v1/priorityclasses", "Name,Value,Global-Default,Age,PreemptionPolicy")]
    public async Task Tables_have_kubernetes_columns(string resource, string columns)
    {
        string path = resource.Contains('/', StringComparison.Ordinal) ? "/apis/" + resource : "/api/v1/" + resource;
        JsonObject table = await Expect(200, "GET", path, accept: "application/json;as=Table;v=v1;g=meta.k8s.io");
        Assert.Equal(columns, string.Join(',', table["columnDefinitions"]!.AsArray().Select(c => (string?)c!["name"])));
    }
}
