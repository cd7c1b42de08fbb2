using System.Text.Json.Nodes;

namespace Atoll.UnitTests.Kube;

/// <summary>Answers to what is not right: the code, the reason, the field and the fix.</summary>
public sealed class HttpErrorTests : HttpTestBase
{
    private const string Ns = "/api/v1/namespaces/default/", Maps = Ns + "configmaps", Pods = Ns + "pods", Secrets = Ns + "secrets";
    private const string Deployments = "/apis/apps/v1/namespaces/default/deployments", Merge = "application/merge-patch+json";

    [Theory]
    [InlineData("/api/v2/pods")]
    [InlineData("/apis/apps/v1/statefulclusters")]
    [InlineData("/apis/nope")]
    [InlineData("/api/v1/namespaces//pods")]
    [InlineData("/api/v1/namespaces/default/pods/a/b/c")]
    [InlineData("/api/v1/namespaces/default/configmaps/a/status")]
    [InlineData("/healthz/ping")]
    [InlineData("/openapi/v3/apis/nope/v1")]
    public async Task What_is_not_served_is_not_found(string path) => Assert.Equal("NotFound", (string?)(await Expect(404, "GET", path))["reason"]);

    [Theory]
    [InlineData("POST", "/api")]
    [InlineData("DELETE", "/apis/apps/v1")]
    [InlineData("POST", "/openapi/v3")]
    [InlineData("PUT", Pods)]
    [InlineData("PATCH", Pods)]
    [InlineData("DELETE", "/api/v1/pods")]
    [InlineData("DELETE", "/api/v1/namespaces")]
    [InlineData("OPTIONS", "/api/v1/pods")]
    [InlineData("POST", Pods + "/x")]
    [InlineData("DELETE", Pods + "/x/status")]
    [InlineData("GET", Pods + "/x/eviction")]
    [InlineData("GET", Pods + "/x/binding")]
    [InlineData("PUT", Pods + "/x/log")]
    public async Task A_method_that_is_not_served_is_not_allowed(string method, string path) =>
        Assert.Equal("MethodNotAllowed", (string?)(await Expect(405, method, path, method is "GET" or "DELETE" or "OPTIONS" ? null : "{}"))["reason"]);

    [Theory]
    [InlineData("application/xml")]
    [InlineData("application/vnd.kubernetes.protobuf")]
    [InlineData("application/json;as=Nothing;v=v1;g=meta.k8s.io")]
    [InlineData("application/json;as=Table;v=v9;g=meta.k8s.io")]
    public async Task A_form_that_is_not_written_is_not_acceptable(string accept) => await Expect(406, "GET", "/api/v1/pods", accept: accept);

    /// <summary>Each line: path, body, then the fields that the causes must name, each with a word of the fix.</summary>
    [Theory]
    [InlineData(Maps, """{"metadata":{"name":"Bad_Name"}}""", "metadata.name", "lower case alphanumeric characters")]
    [InlineData(Maps, """{"metadata":{"generateName":"Bad_"}}""", "metadata.generateName", "lower case alphanumeric characters")]
    [InlineData(Maps, """{"metadata":{}}""", "metadata.name", "name or generateName is required")]
    [InlineData("/api/v1/namespaces", """{"metadata":{"name":"a.b"}}""", "metadata.name", "'-', and must start and end")]
    [InlineData(Ns + "services", """{"metadata":{"name":"9x"},"spec":{"ports":[{"port":80}]}}""", "metadata.name", "start with an alphabetic character")]
    [InlineData(Maps, """{"metadata":{"name":"a","labels":{"b c":"d"}}}""", "metadata.labels", "starting and ending with a letter or digit")]
    [InlineData(Maps, """{"metadata":{"name":"a","labels":"b"}}""", "metadata.labels", "a map of strings is needed")]
    [InlineData(Maps, """{"metadata":{"name":"a","annotations":{"b":5}}}""", "metadata.annotations", "must be a string (quote it)")]
    [InlineData(Maps, """{"metadata":{"name":"a","finalizers":["b c"]}}""", "metadata.finalizers[0]", "such as example.com/hold")]
    [InlineData(Maps, """{"metadata":{"name":"a","finalizers":["orphan","foregroundDeletion"]}}""", "metadata.finalizers", "take one out")]
    [InlineData(Maps, """{"metadata":{"name":"a","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"o"}]}}""", "metadata.ownerReferences[0].uid", "take uid from the owner")]
    [InlineData(Maps, """{"metadata":{"name":"a"},"data":{"b":1}}""", "data[b]", "must be a string")]
    [InlineData(Maps, """{"metadata":{"name":"a"},"data":{"b/c":"d"}}""", "data[b/c]", "a valid config key must consist of")]
    [InlineData(Maps, """{"metadata":{"name":"a"},"data":{"b":"c"},"binaryData":{"b":"Yw=="}}""", "data[b]", "duplicate of key present in binaryData")]
    [InlineData(Secrets, """{"metadata":{"name":"a"},"type":"kubernetes.io/tls"}""", "data[tls.crt]", "Required")]
    [InlineData(Secrets, """{"metadata":{"name":"a"},"type":"kubernetes.io/service-account-token"}""", "metadata.annotations[kubernetes.io/service-account.name]", "Required")]
    [InlineData(Pods, """{"metadata":{"name":"a"}}""", "spec.containers", "Required")]
    [InlineData(Pods, """{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i"}],"restartPolicy":"Often"}}""", "spec.restartPolicy", "\"Always\", \"Never\", \"OnFailure\"")]
    [InlineData(Pods, """{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"lots"}}}]}}""", "spec.containers[0].resources.limits[cpu]", "quantities must match")]
    [InlineData(Deployments, """{"metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}""", "spec.template.metadata.labels", "`selector` does not match template `labels`")]
    [InlineData(Deployments, """{"metadata":{"name":"a"},"spec":{"replicas":-1,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}""", "spec.replicas", "greater than or equal to 0")]
    public async Task What_is_invalid_names_the_field_and_the_fix(string path, string body, string field, string fix)
    {
        JsonObject status = await Expect(422, "POST", path, body);
        Assert.Equal("Invalid", (string?)status["reason"]);
        JsonNode? cause = status["details"]!["causes"]!.AsArray().FirstOrDefault(c => (string?)c!["field"] == field);
        Assert.True(cause is not null, status.ToJsonString());
        Assert.Contains(fix, (string?)cause["message"], StringComparison.Ordinal);
        Assert.Contains(field, (string?)status["message"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_secret_is_not_repeated_in_an_error()
    {
        JsonObject status = await Expect(422, "POST", Secrets, """{"metadata":{"name":"a"},"data":{"p":"hunter2!"}}""");
        Assert.Equal("data[p]", (string?)status["details"]!["causes"]![0]!["field"]);
        Assert.DoesNotContain("hunter2", status.ToJsonString(), StringComparison.Ordinal);
        status = await Expect(422, "POST", Secrets, """{"metadata":{"name":"a"},"type":"kubernetes.io/dockerconfigjson","stringData":{".dockerconfigjson":"hunter2"}}""");
        Assert.DoesNotContain("hunter2", status.ToJsonString(), StringComparison.Ordinal);
        await Expect(201, "POST", Secrets, """{"metadata":{"name":"a"},"type":"kubernetes.io/dockerconfigjson","stringData":{".dockerconfigjson":"{\"auths\":{}}"}}""");
    }

    [Fact]
    public async Task Conflicts_say_which()
    {
        JsonObject made = await Expect(201, "POST", Maps, """{"metadata":{"name":"a"},"data":{"k":"v"}}""");
        Assert.Equal("AlreadyExists", (string?)(await Expect(409, "POST", Maps, """{"metadata":{"name":"a"}}"""))["reason"]);
        foreach ((string method, string path, string body, string type) in new[]
        {
            ("PUT", Maps + "/a", """{"metadata":{"name":"a","resourceVersion":"1"}}""", "application/json"),
            ("PUT", Maps + "/a", """{"metadata":{"name":"a","uid":"other"}}""", "application/json"),
            ("PATCH", Maps + "/a", """{"metadata":{"resourceVersion":"1"}}""", Merge),
            ("PATCH", Maps + "/a", """{"metadata":{"uid":"other"}}""", Merge),
            ("DELETE", Maps + "/a", """{"preconditions":{"uid":"other"}}""", "application/json"),
            ("DELETE", Maps + "/a", """{"preconditions":{"resourceVersion":"1"}}""", "application/json"),
        })
            Assert.Equal("Conflict", (string?)(await Expect(409, method, path, body, type))["reason"]);
        string version = (string)made["metadata"]!["resourceVersion"]!;
        await Expect(200, "DELETE", Maps + "/a", $$$"""{"preconditions":{"uid":"{{{made["metadata"]!["uid"]}}}","resourceVersion":"{{{version}}}"}}""");
    }

    [Theory]
    [InlineData("""{"metadata":{"creationTimestamp":"2020-01-01T00:00:00Z"}}""", 422)]
    [InlineData("""{"metadata":{"name":"b"}}""", 400)]
    [InlineData("""{"metadata":{"namespace":"kube-system"}}""", 400)]
    [InlineData("""{"kind":"Secret"}""", 400)]
    [InlineData("""{"metadata":{"deletionTimestamp":"2020-01-01T00:00:00Z"}}""", 422)]
    public async Task Metadata_that_is_the_servers_does_not_change(string patch, int code)
    {
        await Expect(201, "POST", Maps, """{"metadata":{"name":"a"}}""");
        await Expect(code, "PATCH", Maps + "/a", patch, Merge);
    }

    [Fact]
    public async Task A_JSON_patch_that_does_not_apply_tells_old_clients_why()
    {
        await Expect(201, "POST", Maps, """{"metadata":{"name":"a"},"data":{"k":"v"}}""");
        JsonObject status = await Expect(422, "PATCH", Maps + "/a", """[{"op":"test","path":"/data/k","value":"w"}]""", "application/json-patch+json");
        // kubectl prints the causes of an Invalid, and its message only without them.
        Assert.Contains("testing value /data/k failed", (string?)status["details"]!["causes"]![0]!["message"], StringComparison.Ordinal);
        await Expect(422, "PATCH", Maps + "/a", """[{"op":"remove","path":"/data/none"}]""", "application/json-patch+json");
        await Expect(400, "PATCH", Maps + "/a", """{"op":"remove"}""", "application/json-patch+json");
        await Expect(415, "PATCH", Maps + "/a", "{}", "application/json");
    }

    [Theory]
    [InlineData("GET", "/api/v1/pods?fieldSelector=spec.foo%3D1", 400)]
    [InlineData("GET", "/api/v1/nodes?fieldSelector=metadata.namespace%3Dx", 400)]
    [InlineData("GET", "/apis/events.k8s.io/v1/events?fieldSelector=involvedObject.kind%3DPod", 400)]
    [InlineData("GET", "/api/v1/pods?fieldSelector=metadata.name", 400)]
    [InlineData("GET", "/api/v1/pods?labelSelector=a%20in%20(b", 400)]
    [InlineData("GET", "/api/v1/pods?labelSelector=!!a", 400)]
    [InlineData("GET", "/api/v1/pods?limit=x", 400)]
    [InlineData("GET", "/api/v1/pods?continue=x", 400)]
    [InlineData("GET", "/api/v1/pods?includeObject=Some", 400)]
    [InlineData("GET", "/api/v1/pods?watch=1&timeoutSeconds=x", 400)]
    [InlineData("GET", "/api/v1/pods?watch=1&sendInitialEvents=true", 400)]
    [InlineData("GET", "/api/v1/pods?watch=1&resourceVersionMatch=NotOlderThan", 400)]
    [InlineData("GET", "/api/v1/pods?watch=1&resourceVersion=x", 422)]
    [InlineData("GET", "/api/v1/pods?resourceVersion=0&resourceVersionMatch=Exact", 422)]
    [InlineData("GET", "/api/v1/pods?resourceVersion=1&resourceVersionMatch=Exact", 410)]
    [InlineData("POST", Maps + "?fieldValidation=Often", 400)]
    [InlineData("DELETE", Maps + "/a?gracePeriodSeconds=x", 400)]
    [InlineData("DELETE", Maps + "/a?propagationPolicy=Background&orphanDependents=true", 422)]
    [InlineData("POST", Pods + "/a/eviction", 400)]
    public async Task Options_that_cannot_be_read_are_refused(string method, string path, int code) =>
        await Expect(code, method, path, path.EndsWith("eviction", StringComparison.Ordinal) ? """{"kind":"Eviction","metadata":{"name":"b"}}""" : method == "POST" ? """{"metadata":{"name":"a"}}""" : null);

    [Fact]
    public async Task Namespaces_that_the_system_needs_stay()
    {
        foreach (string name in (string[])["default", "kube-system", "kube-public"])
            Assert.Contains("may not be deleted", (string?)(await Expect(403, "DELETE", "/api/v1/namespaces/" + name))["message"], StringComparison.Ordinal);
        await Expect(201, "POST", "/api/v1/namespaces", """{"metadata":{"name":"mine"}}""");
        await Expect(200, "DELETE", "/api/v1/namespaces/mine");
        JsonObject late = await Expect(403, "POST", "/api/v1/namespaces/mine/configmaps", """{"metadata":{"name":"late"}}""");
        Assert.Equal("NamespaceTerminating", (string?)late["details"]!["causes"]![0]!["reason"]);
    }
}
