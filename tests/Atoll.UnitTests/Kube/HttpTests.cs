using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;

namespace Atoll.UnitTests.Kube;

/// <summary>The API as clients see it.</summary>
public sealed class HttpTests : HttpTestBase
{
    private static string PodBody(string name) => $$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{name}}}"},"spec":{"containers":[{"name":"c","image":"i"}]} }""";

    [Fact]
    public async Task Anonymous_gets_health_and_version_and_nothing_else()
    {
        foreach (string open in (string[])["/healthz", "/livez", "/readyz", "/version"])
            Assert.Equal(200, (await Send("GET", open, token: "")).Code);
        using var anonymous = new HttpClient { BaseAddress = Client.BaseAddress };
        foreach (string closed in (string[])["/api", "/apis", "/api/v1/pods", "/openapi/v3", "/nothing"])
        {
            using HttpResponseMessage response = await anonymous.GetAsync(closed, Cancel);
            Assert.Equal(401, (int)response.StatusCode);
            Assert.Equal("Status", (string?)Json(await response.Content.ReadAsStringAsync(Cancel))["kind"]);
        }
    }

    [Fact]
    public async Task A_pod_lives_over_HTTP()
    {
        (int code, JsonObject made, _) = await Send("POST", "/api/v1/namespaces/default/pods", PodBody("a"));
        Assert.Equal(201, code);
        Assert.Equal((string?)made["metadata"]!["uid"], (string?)(await Send("GET", "/api/v1/namespaces/default/pods/a")).Body["metadata"]!["uid"]);
        (code, JsonObject patched, _) = await Send("PATCH", "/api/v1/namespaces/default/pods/a", """{"metadata":{"labels":{"x":"1"}}}""", "application/strategic-merge-patch+json");
        Assert.Equal(200, code);
        Assert.Equal("1", (string?)patched["metadata"]!["labels"]!["x"]);
        JsonObject list = (await Send("GET", "/api/v1/pods?labelSelector=x%3D1")).Body;
        Assert.Equal("PodList", (string?)list["kind"]);
        Assert.Single(list["items"]!.AsArray());
        (code, JsonObject gone, _) = await Send("DELETE", "/api/v1/namespaces/default/pods/a");
        Assert.Equal((200, "Success"), (code, (string?)gone["status"]));
        Assert.Equal((string?)made["metadata"]!["uid"], (string?)gone["details"]!["uid"]);
        (code, JsonObject missing, _) = await Send("GET", "/api/v1/namespaces/default/pods/a");
        Assert.Equal((404, "NotFound"), (code, (string?)missing["reason"]));
    }

    [Theory]
    [InlineData("POST", "/api/v1/namespaces/default/configmaps", "{", "application/json", 400)]
    [InlineData("POST", "/api/v1/namespaces/default/configmaps", "[]", "application/json", 400)]
    [InlineData("POST", "/api/v1/namespaces/default/configmaps", "{\"kind\":\"Secret\",\"apiVersion\":\"v1\"}", "application/json", 400)]
    [InlineData("POST", "/api/v1/namespaces/default/configmaps", "{\"metadata\":{\"name\":\"A_b\"}}", "application/json", 422)]
    [InlineData("POST", "/api/v1/namespaces/default/configmaps", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"other\"}}", "application/json", 400)]
    [InlineData("POST", "/api/v1/namespaces/default/configmaps", "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}}", "application/json", 400)]
    [InlineData("POST", "/api/v1/namespaces/default/configmaps", "x", "image/png", 415)]
    [InlineData("POST", "/api/v1/namespaces/default/configmaps?dryRun=Some", "{}", "application/json", 400)]
    [InlineData("POST", "/api/v1/configmaps", "{}", "application/json", 405)]
    [InlineData("PATCH", "/api/v1/namespaces/default/configmaps/a", "{}", "application/apply-patch+cbor", 415)]
    [InlineData("PATCH", "/api/v1/namespaces/default/configmaps/a", "{}", "application/merge-patch+json", 404)]
    [InlineData("PUT", "/api/v1/namespaces/default/configmaps/a", "{\"metadata\":{\"name\":\"b\"}}", "application/json", 400)]
    [InlineData("DELETE", "/api/v1/namespaces/default/configmaps/a", "{\"propagationPolicy\":\"Never\"}", "application/json", 400)]
    [InlineData("GET", "/api/v1/nothing", null, "application/json", 404)]
    [InlineData("GET", "/api/v1/namespaces/default/pods/a/nothing", null, "application/json", 404)]
    [InlineData("GET", "/api/v1/pods?resourceVersionMatch=Exact", null, "application/json", 422)]
    [InlineData("GET", "/api/v1/pods?limit=-1", null, "application/json", 400)]
    [InlineData("GET", "/api/v1/pods?resourceVersion=abc", null, "application/json", 422)]
    public async Task What_is_wrong_is_a_Status(string method, string path, string? body, string mediaType, int expected)
    {
        (int code, JsonObject status, _) = await Send(method, path, body, mediaType);
        Assert.Equal((expected, expected, "Status", "Failure"), (code, (int)status["code"]!, (string?)status["kind"], (string?)status["status"]));
        Assert.NotEmpty((string?)status["message"] ?? "");
    }

    [Fact]
    public async Task Bodies_have_a_limit()
    {
        (int code, JsonObject status, _) = await Send("POST", "/api/v1/namespaces/default/configmaps", $$$"""{"metadata":{"name":"a"},"data":{"k":"{{{new string('x', 100_001)}}}"} }""");
        Assert.Equal((413, "RequestEntityTooLarge"), (code, (string?)status["reason"]));
    }

    [Fact]
    public async Task Unknown_and_duplicate_fields_are_refused_or_told()
    {
        const string Body = """{"metadata":{"name":"a"},"data":{"k":"1","k":"2"},"bogus":1}""";
        (int code, JsonObject status, _) = await Send("POST", "/api/v1/namespaces/default/configmaps?fieldValidation=Strict", Body);
        Assert.Equal(400, code);
        Assert.Contains("unknown field \"bogus\", duplicate field \"data.k\"", (string?)status["message"], StringComparison.Ordinal);
        (code, JsonObject made, HttpResponseMessage response) = await Send("POST", "/api/v1/namespaces/default/configmaps?fieldValidation=Warn", Body);
        Assert.Equal(201, code);
        Assert.Equal(2, response.Headers.GetValues("Warning").Count());
        Assert.Equal("2", (string?)made["data"]!["k"]);
        Assert.Equal(1, (int)made["bogus"]!);
    }

    [Fact]
    public async Task YAML_and_protobuf_bodies_are_read()
    {
        (int code, JsonObject made, _) = await Send("POST", "/api/v1/namespaces/default/configmaps", "metadata:\n  name: y\ndata:\n  a: \"1\"\n  b: 'true'\n", "application/yaml");
        Assert.Equal((201, "1", "true"), (code, (string?)made["data"]!["a"], (string?)made["data"]!["b"]));
        byte[] map = [0x0a, 1, (byte)'k', 0x12, 1, (byte)'v'];
        byte[] message = [0x0a, 3, 0x0a, 1, (byte)'p', 0x12, (byte)map.Length, .. map];
        byte[] typeMeta = [0x0a, 2, .. "v1"u8, 0x12, 9, .. "ConfigMap"u8];
        byte[] body = [.. "k8s\0"u8, 0x0a, (byte)typeMeta.Length, .. typeMeta, 0x12, (byte)message.Length, .. message];
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/vnd.kubernetes.protobuf");
        using HttpResponseMessage response = await Client.PostAsync(new Uri("/api/v1/namespaces/default/configmaps", UriKind.Relative), content, Cancel);
        JsonObject answer = Json(await response.Content.ReadAsStringAsync(Cancel));
        Assert.Equal((201, "p", "v"), ((int)response.StatusCode, (string?)answer["metadata"]!["name"], (string?)answer["data"]!["k"]));
        using var broken = new ByteArrayContent(body[..^3]);
        broken.Headers.ContentType = content.Headers.ContentType;
        Assert.Equal(400, (int)(await Client.PostAsync(new Uri("/api/v1/namespaces/default/configmaps", UriKind.Relative), broken, Cancel)).StatusCode);
    }

    [Fact]
    public async Task A_watch_streams_lines_and_ends_in_time()
    {
        await Make(Kinds.ConfigMap, ConfigMap("a"));
        string text = await Client.GetStringAsync(new Uri("/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1&allowWatchBookmarks=true", UriKind.Relative), Cancel);
        string[] lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("ADDED", (string?)Json(lines[0])["type"]);
        Assert.Equal("a", (string?)Json(lines[0])["object"]!["metadata"]!["name"]);
        Assert.Equal("BOOKMARK", (string?)Json(lines[^1])["type"]);
    }

    [Fact]
    public async Task Discovery_is_told_in_both_forms()
    {
        JsonObject legacy = (await Send("GET", "/apis/apps/v1")).Body;
        Assert.Contains("deployments/scale", legacy["resources"]!.AsArray().Select(r => (string?)r!["name"]));
        (_, JsonObject aggregated, HttpResponseMessage response) = await Send("GET", "/apis", accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json");
        Assert.Contains("apidiscovery.k8s.io", response.Content.Headers.ContentType!.ToString(), StringComparison.Ordinal);
        Assert.Contains("apps", aggregated["items"]!.AsArray().Select(item => (string?)item!["metadata"]!["name"]));
    }

    [Fact]
    public async Task Tables_and_metadata_come_when_asked_for()
    {
        await Make(Kinds.Pod, Pod("a"));
        JsonObject table = (await Send("GET", "/api/v1/namespaces/default/pods", accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")).Body;
        Assert.Equal("Table", (string?)table["kind"]);
        Assert.Equal("PartialObjectMetadata", (string?)table["rows"]![0]!["object"]!["kind"]);
        Assert.Equal(table["columnDefinitions"]!.AsArray().Count, table["rows"]![0]!["cells"]!.AsArray().Count);
        JsonObject partial = (await Send("GET", "/api/v1/namespaces/default/pods", accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")).Body;
        Assert.Equal("a", (string?)partial["items"]![0]!["metadata"]!["name"]);
        Assert.Null(partial["items"]![0]!["spec"]);
        Assert.Equal(406, (await Send("GET", "/api/v1/pods", accept: "application/vnd.kubernetes.protobuf")).Code);
    }

    [Fact]
    public async Task Events_have_two_names()
    {
        await Send("POST", "/apis/events.k8s.io/v1/namespaces/default/events", """{"metadata":{"name":"e"},"eventTime":"2026-01-02T03:04:05.000000Z","regarding":{"kind":"Pod","name":"a","namespace":"default"},"note":"hello","reason":"R","action":"A","type":"Normal","reportingController":"c","reportingInstance":"i"}""");
        JsonObject core = (await Send("GET", "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Da")).Body;
        Assert.Equal("hello", (string?)core["items"]![0]!["message"]);
        JsonObject newer = (await Send("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")).Body;
        Assert.Equal(("hello", "events.k8s.io/v1"), ((string?)newer["note"], (string?)newer["apiVersion"]));
    }

    [Fact]
    public async Task A_site_sees_and_reports_its_own_and_nothing_else()
    {
        await Make(Kinds.Node, Json("""{"metadata":{"name":"n1","labels":{"edge.atoll.dev/site":"s1"}}}"""));
        await Make(Kinds.Node, Json("""{"metadata":{"name":"n2","labels":{"edge.atoll.dev/site":"s2"}}}"""));
        await Make(Kinds.Secret, Json("""{"metadata":{"name":"used"}}"""));
        await Make(Kinds.Secret, Json("""{"metadata":{"name":"foreign"}}"""));
        await Make(Kinds.Pod, Pod("mine", ",\"nodeName\":\"n1\",\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"used\"}}]"));
        await Make(Kinds.Pod, Pod("theirs", ",\"nodeName\":\"n2\",\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"foreign\"}}]"));
        JsonObject nodes = (await Send("GET", "/api/v1/nodes", token: "site")).Body;
        Assert.Equal(["n1"], nodes["items"]!.AsArray().Select(item => (string?)item!["metadata"]!["name"]));
        JsonObject pods = (await Send("GET", "/api/v1/pods", token: "site")).Body;
        Assert.Equal(["mine"], pods["items"]!.AsArray().Select(item => (string?)item!["metadata"]!["name"]));
        const string Patch = """{"status":{"phase":"Running"},"metadata":{"labels":{"edge.atoll.dev/site":"s2"}}}""", Merge = "application/merge-patch+json";
        const string Ns = "/api/v1/namespaces/default/";
        (string Method, string Path, string? Body, int Code)[] cases =
        [
            ("GET", Ns + "secrets/used", null, 200), ("GET", Ns + "secrets/foreign", null, 403), ("GET", Ns + "secrets", null, 403),
            ("GET", Ns + "pods/theirs", null, 403), ("PATCH", Ns + "pods/mine/status", Patch, 200), ("PATCH", Ns + "pods/mine", Patch, 403),
            ("PATCH", Ns + "pods/theirs/status", Patch, 403), ("DELETE", Ns + "pods/theirs", null, 403), ("PATCH", "/api/v1/nodes/n1/status", Patch, 200),
            ("PATCH", "/api/v1/nodes/n2/status", Patch, 403), ("POST", Ns + "pods", PodBody("new"), 403), ("DELETE", Ns + "pods", null, 403),
            ("GET", "/apis/apps/v1/deployments/", null, 200), ("DELETE", Ns + "pods/mine", null, 200),
        ];
        foreach ((string method, string path, string? body, int code) in cases)
            Assert.Equal((path, code), (path, (await Send(method, path, body, body == Patch ? Merge : "application/json", token: "site")).Code));
        Assert.Equal("s1", (await Read(Kinds.Node, "n1"))!.Metadata.Label("edge.atoll.dev/site"));
        Assert.Equal(403, (await Send("GET", "/api/v1/pods", token: "nobody")).Code);
        JsonObject review = (await Send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", """{"spec":{"resourceAttributes":{"verb":"list","resource":"secrets"} } }""", token: "site")).Body;
        Assert.False((bool)review["status"]!["allowed"]!);
    }
}
