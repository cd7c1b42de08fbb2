using System.Text.Json.Nodes;

namespace Atoll.UnitTests.Kube;

/// <summary>Writes over HTTP: what each part of an object may be changed through, and how an object goes.</summary>
public sealed class HttpWriteTests : HttpTestBase
{
    private const string Ns = "/api/v1/namespaces/default/", Maps = Ns + "configmaps", Pods = Ns + "pods", Secrets = Ns + "secrets";
    private const string Deployments = "/apis/apps/v1/namespaces/default/deployments", Web = Deployments + "/web";
    private const string Merge = "application/merge-patch+json", Strategic = "application/strategic-merge-patch+json";
    private const string Deployment = """
        {"metadata":{"name":"web"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},
         "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"m","image":"i:1"}]}}}}
        """;

    private static string Body(string name, string more = "") => $$$"""{"metadata":{"name":"{{{name}}}"},"spec":{"containers":[{"name":"c","image":"i:1"}]{{{more}}}} }""";

    private static long Generation(JsonObject document) => (long)document["metadata"]!["generation"]!;

    [Fact]
    public async Task A_dry_run_answers_as_if_and_changes_nothing()
    {
        JsonObject made = await Expect(201, "POST", Maps + "?dryRun=All", """{"metadata":{"name":"a"},"data":{"k":"v"}}""");
        // What was not stored has no version: it can be sent again as it is.
        Assert.Null(made["metadata"]!["resourceVersion"]);
        await Expect(404, "GET", Maps + "/a");
        await Expect(201, "POST", Maps, made.ToJsonString());
        await Expect(409, "POST", Maps + "?dryRun=All", made.ToJsonString());
        Assert.Equal("w", (string?)(await Expect(200, "PATCH", Maps + "/a?dryRun=All", """{"data":{"k":"w"}}""", Merge))["data"]!["k"]);
        await Expect(200, "DELETE", Maps + "/a?dryRun=All");
        await Expect(200, "DELETE", Maps + "?dryRun=All");
        await Expect(201, "POST", Pods, Body("p"));
        await Expect(201, "POST", Pods + "/p/eviction?dryRun=All", """{"kind":"Eviction","apiVersion":"policy/v1","metadata":{"name":"p"}}""");
        Assert.Null((await Expect(200, "GET", Pods + "/p"))["metadata"]!["deletionTimestamp"]);
        Assert.Equal("v", (string?)(await Expect(200, "GET", Maps + "/a"))["data"]!["k"]);
    }

    [Fact]
    public async Task Spec_and_status_are_written_apart_and_only_the_spec_counts()
    {
        Assert.Equal(1, Generation(await Expect(201, "POST", Deployments, Deployment)));
        JsonObject now = await Expect(200, "PATCH", Web, """{"status":{"replicas":9},"metadata":{"labels":{"x":"y"}}}""", Merge);
        Assert.Equal(("{}", 1L), (now["status"]!.ToJsonString(), Generation(now)));
        now = await Expect(200, "PATCH", Web + "/status", """{"status":{"replicas":2},"spec":{"replicas":7},"metadata":{"labels":{"x":"z"}}}""", Merge);
        Assert.Equal((2, 2, "y", 1L), ((int)now["status"]!["replicas"]!, (int)now["spec"]!["replicas"]!, (string?)now["metadata"]!["labels"]!["x"], Generation(now)));
        now = await Expect(200, "PATCH", Web, """{"spec":{"replicas":3}}""", Merge);
        Assert.Equal((2, 2L), ((int)now["status"]!["replicas"]!, Generation(now)));
        // A second time changes nothing: not even the version.
        Assert.Equal((string?)now["metadata"]!["resourceVersion"], (string?)(await Expect(200, "PATCH", Web, """{"spec":{"replicas":3},"metadata":{"generation":77}}""", Merge))["metadata"]!["resourceVersion"]);
        await Expect(422, "PATCH", Web, """{"spec":{"selector":{"matchLabels":{"a":"c"}}}}""", Merge);
    }

    [Fact]
    public async Task Scale_reads_and_writes_the_number_of_replicas()
    {
        await Expect(201, "POST", Deployments, Deployment);
        JsonObject scale = await Expect(200, "GET", Web + "/scale");
        Assert.Equal(("Scale", "autoscaling/v1", 2, "a=b"), ((string?)scale["kind"], (string?)scale["apiVersion"], (int)scale["spec"]!["replicas"]!, (string?)scale["status"]!["selector"]));
        scale["spec"]!["replicas"] = 5;
        Assert.Equal(5, (int)(await Expect(200, "PUT", Web + "/scale", scale.ToJsonString()))["spec"]!["replicas"]!);
        await Expect(409, "PUT", Web + "/scale", scale.ToJsonString());
        await Expect(200, "PATCH", Web + "/scale", """{"spec":{"replicas":1}}""", Merge);
        Assert.Equal(1, (int)(await Expect(200, "GET", Web))["spec"]!["replicas"]!);
        await Expect(422, "PATCH", Web + "/scale", """{"spec":{"replicas":-1}}""", Merge);
        await Expect(400, "PUT", Web + "/scale", Deployment.Replace("{\"metadata\"", "{\"kind\":\"Deployment\",\"metadata\"", StringComparison.Ordinal));
        await Expect(405, "DELETE", Web + "/scale");
        await Expect(404, "GET", "/apis/apps/v1/namespaces/default/daemonsets/web/scale");
    }

    [Fact]
    public async Task Fields_of_no_schema_survive_every_way_of_writing()
    {
        await Expect(201, "POST", Deployments, Deployment);
        await Expect(200, "PATCH", Web, """{"spec":{"later":{"x":[1]},"template":{"spec":{"containers":[{"name":"m","newer":true}]}}}}""", Strategic);
        await Expect(200, "PATCH", Web, """{"spec":{"replicas":4}}""", Merge);
        await Expect(200, "PATCH", Web + "/status", """{"status":{"replicas":4}}""", Merge);
        await Expect(200, "PATCH", Web + "/scale", """{"spec":{"replicas":1}}""", Merge);
        JsonObject now = await Expect(200, "PATCH", Web, """[{"op":"replace","path":"/spec/paused","value":true}]""".Replace("replace", "add", StringComparison.Ordinal), "application/json-patch+json");
        now["spec"]!["replicas"] = 2;
        now = await Expect(200, "PUT", Web, now.ToJsonString());
        Assert.Equal("""{"x":[1]}""", now["spec"]!["later"]!.ToJsonString());
        Assert.True((bool)now["spec"]!["template"]!["spec"]!["containers"]![0]!["newer"]!);
    }

    [Fact]
    public async Task Strategic_patches_follow_their_directives()
    {
        await Expect(201, "POST", Deployments, Deployment);
        static string Containers(JsonObject d) => string.Join(' ', d["spec"]!["template"]!["spec"]!["containers"]!.AsArray().Select(c => $"{c!["name"]}={c["image"]}"));
        JsonObject now = await Expect(200, "PATCH", Web, """{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"n"},{"name":"m"}],"containers":[{"name":"n","image":"k"}]}}}}""", Strategic);
        Assert.Equal("n=k m=i:1", Containers(now));
        now = await Expect(200, "PATCH", Web, """{"spec":{"template":{"spec":{"containers":[{"name":"m","$patch":"delete"}]}}}}""", Strategic);
        Assert.Equal("n=k", Containers(now));
        now = await Expect(200, "PATCH", Web, """{"spec":{"template":{"spec":{"containers":[{"$patch":"replace"},{"name":"o","image":"l"}]}}}}""", Strategic);
        Assert.Equal("o=l", Containers(now));
        now = await Expect(200, "PATCH", Web, """{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}""", Strategic);
        Assert.Equal("""{"type":"Recreate"}""", now["spec"]!["strategy"]!.ToJsonString());
        await Expect(200, "PATCH", Web, """{"metadata":{"finalizers":["a.b/c","d.e/f"]}}""", Strategic);
        now = await Expect(200, "PATCH", Web, """{"metadata":{"$deleteFromPrimitiveList/finalizers":["a.b/c"],"finalizers":["g.h/i"]}}""", Strategic);
        Assert.Equal("d.e/f g.h/i", string.Join(' ', now["metadata"]!["finalizers"]!.AsArray().Select(f => (string?)f)));
        await Expect(400, "PATCH", Web, """{"spec":{"$patch":"bogus"}}""", Strategic);
        await Expect(400, "PATCH", Web, """{"spec":{"template":{"spec":{"containers":[{"image":"x"}]}}}}""", Strategic);
        now = await Expect(200, "PATCH", Web, """{"spec":{"revisionHistoryLimit":null,"template":{"metadata":{"annotations":null}}}}""", Merge);
        Assert.Equal(10, (int)now["spec"]!["revisionHistoryLimit"]!);
    }

    [Fact]
    public async Task A_pod_is_bound_once_and_its_image_alone_changes()
    {
        await Expect(201, "POST", Pods, Body("p"));
        await Expect(422, "POST", Pods + "/p/binding", "{}");
        await Expect(404, "POST", Pods + "/q/binding", """{"target":{"name":"n"}}""");
        Assert.Equal("Success", (string?)(await Expect(201, "POST", Pods + "/p/binding", """{"target":{"name":"n"}}"""))["status"]);
        await Expect(409, "POST", Pods + "/p/binding", """{"target":{"name":"m"}}""");
        await Expect(200, "PATCH", Pods + "/p", """{"spec":{"containers":[{"name":"c","image":"i:2"}]}}""", Strategic);
        foreach (string patch in (string[])["""{"spec":{"nodeName":"m"}}""", """{"spec":{"restartPolicy":"Never"}}""", """{"spec":{"containers":[{"name":"c","image":"i","command":["x"]}]}}"""])
            Assert.Equal("spec", (string?)(await Expect(422, "PATCH", Pods + "/p", patch, Merge))["details"]!["causes"]![0]!["field"]);
        JsonObject now = await Expect(200, "GET", Pods + "/p");
        Assert.Equal(("n", "i:2"), ((string?)now["spec"]!["nodeName"], (string?)now["spec"]!["containers"]![0]!["image"]));
    }

    [Fact]
    public async Task Grace_is_shortened_and_never_lengthened()
    {
        await Expect(201, "POST", Pods, Body("p", ",\"nodeName\":\"n\""));
        Assert.Equal(30, (int)(await Expect(200, "DELETE", Pods + "/p"))["metadata"]!["deletionGracePeriodSeconds"]!);
        Assert.Equal(30, (int)(await Expect(200, "DELETE", Pods + "/p?gracePeriodSeconds=60"))["metadata"]!["deletionGracePeriodSeconds"]!);
        Assert.Equal(10, (int)(await Expect(200, "DELETE", Pods + "/p", """{"gracePeriodSeconds":10}"""))["metadata"]!["deletionGracePeriodSeconds"]!);
        // A negative grace is a second, as in Kubernetes.
        Assert.Equal(1, (int)(await Expect(200, "DELETE", Pods + "/p?gracePeriodSeconds=-1"))["metadata"]!["deletionGracePeriodSeconds"]!);
        Assert.Equal("Success", (string?)(await Expect(200, "DELETE", Pods + "/p?gracePeriodSeconds=0"))["status"]);
        await Expect(404, "GET", Pods + "/p");
        await Expect(201, "POST", Pods, Body("unbound"));
        await Expect(201, "POST", Pods + "/unbound/eviction", """{"kind":"Eviction","apiVersion":"policy/v1beta1","metadata":{"name":"unbound"}}""");
        await Expect(404, "GET", Pods + "/unbound");
    }

    [Fact]
    public async Task Finalizers_hold_an_object_and_none_is_added_to_one_that_goes()
    {
        await Expect(201, "POST", Maps, """{"metadata":{"name":"a","finalizers":["a.b/c","d.e/f"]}}""");
        Assert.NotNull((await Expect(200, "DELETE", Maps + "/a"))["metadata"]!["deletionTimestamp"]);
        await Expect(422, "PATCH", Maps + "/a", """{"metadata":{"finalizers":["a.b/c","d.e/f","g.h/i"]}}""", Merge);
        Assert.NotNull((await Expect(200, "PATCH", Maps + "/a", """{"metadata":{"deletionTimestamp":null,"finalizers":["d.e/f"]}}""", Merge))["metadata"]!["deletionTimestamp"]);
        await Expect(200, "PATCH", Maps + "/a", """{"metadata":{"finalizers":null}}""", Merge);
        await Expect(404, "GET", Maps + "/a");
        foreach ((string policy, string? finalizer) in new[] { ("Foreground", "foregroundDeletion"), ("Orphan", "orphan"), ("Background", null) })
        {
            await Expect(201, "POST", Maps, """{"metadata":{"name":"b"}}""");
            JsonObject left = await Expect(200, "DELETE", Maps + "/b?propagationPolicy=" + policy);
            Assert.Equal(finalizer, (string?)left["metadata"]?["finalizers"]?[0]);
            if (finalizer is not null)
                await Expect(200, "PATCH", Maps + "/b", """{"metadata":{"finalizers":null}}""", Merge);
        }
    }

    [Fact]
    public async Task What_is_sealed_stays_and_what_is_plain_becomes_data()
    {
        JsonObject secret = await Expect(201, "POST", Secrets, """{"metadata":{"name":"s"},"data":{"a":"eA==","c":"ZA=="},"stringData":{"a":"b"}}""");
        Assert.Equal(("Yg==", "ZA==", null, "Opaque"), ((string?)secret["data"]!["a"], (string?)secret["data"]!["c"], secret["stringData"], (string?)secret["type"]));
        await Expect(422, "PATCH", Secrets + "/s", """{"type":"other"}""", Merge);
        await Expect(200, "PATCH", Secrets + "/s", """{"immutable":true}""", Merge);
        foreach (string patch in (string[])["""{"data":{"a":"eQ=="}}""", """{"stringData":{"new":"y"}}""", """{"immutable":false}"""])
            await Expect(422, "PATCH", Secrets + "/s", patch, Merge);
        await Expect(200, "PATCH", Secrets + "/s", """{"metadata":{"labels":{"a":"b"}}}""", Merge);
        await Expect(201, "POST", Maps, """{"metadata":{"name":"m"},"immutable":true,"data":{"a":"b"}}""");
        await Expect(422, "PATCH", Maps + "/m", """{"binaryData":{"c":"ZA=="}}""", Merge);
        await Expect(200, "DELETE", Maps + "/m");
    }

    [Fact]
    public async Task Collections_go_by_selector()
    {
        foreach (string name in (string[])["a", "b", "c"])
            await Expect(201, "POST", Maps, $$"""{"metadata":{"name":"{{name}}","labels":{"odd":"{{(name == "b" ? "n" : "y")}}"} } }""");
        await Expect(400, "DELETE", Maps + "?fieldSelector=data.x%3D1");
        Assert.Equal("a c", Names(await Expect(200, "DELETE", Maps + "?labelSelector=odd%3Dy")));
        Assert.Equal("b", Names(await Expect(200, "GET", Maps)));
        Assert.StartsWith("gen-", (string?)(await Expect(201, "POST", Maps, """{"metadata":{"generateName":"gen-"}}"""))["metadata"]!["name"], StringComparison.Ordinal);
        Assert.Equal(63, ((string)(await Expect(201, "POST", Maps, $$"""{"metadata":{"generateName":"{{new string('g', 80)}}"} }"""))["metadata"]!["name"]!).Length);
        await Expect(200, "DELETE", Maps);
        Assert.Equal("", Names(await Expect(200, "GET", Maps)));
    }
}
