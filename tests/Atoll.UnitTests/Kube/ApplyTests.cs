using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Atoll.UnitTests.Kube;

/// <summary>Server-side apply over HTTP: who owns which fields, what is a conflict, and what goes when a manager gives it up.</summary>
public sealed class ApplyTests : HttpTestBase
{
    private static readonly JsonSerializerOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private const string Apply = "application/apply-patch+yaml", Merge = "application/merge-patch+json";
    private const string Maps = "/api/v1/namespaces/default/configmaps/", Pods = "/api/v1/namespaces/default/pods/", Web = "/apis/apps/v1/namespaces/default/deployments/web";

    private const string Deployment = """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, labels: {a: b}}
        spec:
          replicas: 2
          selector: {matchLabels: {a: b}}
          template:
            metadata: {labels: {a: b}}
            spec:
              containers:
              - {name: m, image: "i:1", args: [x], env: [{name: K, value: v}], ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP}]}
        """;

    private static string Of(JsonObject value, string manager, string operation = "Apply", string? subresource = null) =>
        value["metadata"]!["managedFields"]?.AsArray().SingleOrDefault(e => (string?)e!["manager"] == manager && (string?)e["operation"] == operation && (string?)e["subresource"] == subresource)?["fieldsV1"]!.ToJsonString(s_plain) ?? "";

    private static string Managers(JsonObject value) => string.Join(' ', value["metadata"]!["managedFields"]?.AsArray().Select(e => $"{e!["manager"]}:{e["operation"]}") ?? []);

    private Task<JsonObject> As(string manager, string path, string body, int code = 200, string more = "") => Expect(code, "PATCH", $"{path}?fieldManager={manager}{more}", body, Apply);

    [Fact]
    public async Task An_apply_makes_the_object_owns_what_it_said_and_changes_nothing_the_second_time()
    {
        JsonObject made = await As("a", Web, Deployment, 201);
        Assert.Equal("RollingUpdate", (string?)made["spec"]!["strategy"]!["type"]);
        Assert.Equal("""{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"m\"}":{".":{},"f:args":{},"f:env":{"k:{\"name\":\"K\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}},"k:{\"containerPort\":80,\"protocol\":\"UDP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}}}}}}}}""", Of(made, "a"));
        JsonNode entry = Assert.Single(made["metadata"]!["managedFields"]!.AsArray())!;
        Assert.Equal(("Apply", "apps/v1", "FieldsV1"), ((string?)entry["operation"], (string?)entry["apiVersion"], (string?)entry["fieldsType"]));
        Assert.NotNull(entry["time"]);
        // In JSON, and by the same manager: the same object, to the version.
        JsonObject again = await As("a", Web, Atoll.Kube.Http.YamlReader.Parse(System.Text.Encoding.UTF8.GetBytes(Deployment), [])!.ToJsonString());
        Assert.Equal(made.ToJsonString(), again.ToJsonString());
        await As("a", Web, Deployment.Replace("replicas: 2", "replicas: 5", StringComparison.Ordinal), more: "&dryRun=All");
        Assert.Equal(made.ToJsonString(), (await Expect(200, "GET", Web)).ToJsonString());
    }

    [Fact]
    public async Task What_another_manages_is_a_conflict_unless_it_is_the_same_or_forced()
    {
        await As("a", Web, Deployment, 201);
        JsonObject conflict = await As("b", Web, """{"metadata":{"name":"web"},"spec":{"replicas":3}}""", 409);
        Assert.Equal(("Conflict", "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas"), ((string?)conflict["reason"], (string?)conflict["message"]));
        Assert.Equal("""[{"reason":"FieldManagerConflict","message":"conflict with \"a\"","field":".spec.replicas"}]""", conflict["details"]!["causes"]!.ToJsonString(s_plain));
        conflict = await As("b", Web, """{"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"m","image":"i:2"}]}}}}""", 409);
        Assert.Equal("Apply failed with 2 conflicts: conflicts with \"a\":\n- .spec.replicas\n- .spec.template.spec.containers[name=\"m\"].image", (string?)conflict["message"]);

        JsonObject shared = await As("b", Web, """{"spec":{"replicas":2}}""");
        Assert.Equal("""{"f:spec":{"f:replicas":{}}}""", Of(shared, "b"));
        Assert.Contains("f:replicas", Of(shared, "a"), StringComparison.Ordinal);
        JsonObject forced = await As("b", Web, """{"spec":{"replicas":3}}""", more: "&force=true");
        Assert.Equal(3, (int)forced["spec"]!["replicas"]!);
        Assert.DoesNotContain("f:replicas", Of(forced, "a"), StringComparison.Ordinal);
        // a goes on without it, and what b gives up then goes back to its default.
        string without = Deployment.Replace("  replicas: 2\n", "", StringComparison.Ordinal);
        Assert.Equal(3, (int)(await As("a", Web, without))["spec"]!["replicas"]!);
        JsonObject left = await As("b", Web, "{}");
        Assert.Equal((1, "a:Apply"), ((int)left["spec"]!["replicas"]!, Managers(left)));
    }

    [Fact]
    public async Task What_a_manager_gives_up_goes_and_what_others_have_stays()
    {
        await As("a", Web, Deployment, 201);
        await As("b", Web, """
            {"metadata":{"labels":{"x":"y"},"finalizers":["b.example/hold"]},
             "spec":{"template":{"spec":{"containers":[{"name":"m","env":[{"name":"L","value":"w"}],"ports":[{"containerPort":81}]},{"name":"side","image":"s:1"}]}}}}
            """);
        JsonObject now = await As("a", Web, """
            {"metadata":{"finalizers":["a.example/hold"]},"spec":{"selector":{"matchLabels":{"a":"b"}},
             "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"m","image":"i:2"}]}}}}
            """);
        Assert.Equal("""{"x":"y"}""", now["metadata"]!["labels"]!.ToJsonString());
        Assert.Equal(["a.example/hold", "b.example/hold"], now["metadata"]!["finalizers"]!.AsArray().Select(f => (string)f!).Order(StringComparer.Ordinal));
        JsonArray containers = now["spec"]!["template"]!["spec"]!["containers"]!.AsArray();
        Assert.Equal(["m", "side"], containers.Select(c => (string?)c!["name"]));
        Assert.Equal("i:2", (string?)containers[0]!["image"]);
        Assert.Null(containers[0]!["args"]);
        Assert.Equal(["L"], containers[0]!["env"]!.AsArray().Select(e => (string?)e!["name"]));
        Assert.Equal("""[{"containerPort":81,"protocol":"TCP"}]""", containers[0]!["ports"]!.ToJsonString());
        // A whole item with the defaults in it, and only what is its manager's.
        now = await As("b", Web, """{"metadata":{"labels":{"x":"y"}},"spec":{"template":{"spec":{"containers":[{"name":"m","env":[{"name":"L","value":"w"}]}]}}}}""");
        containers = now["spec"]!["template"]!["spec"]!["containers"]!.AsArray();
        Assert.Equal(["m"], containers.Select(c => (string?)c!["name"]));
        Assert.Null(containers[0]!["ports"]);
        Assert.Equal(["a.example/hold"], now["metadata"]!["finalizers"]!.AsArray().Select(f => (string?)f));
        now = await As("b", Web, "{}");
        Assert.Equal(("a:Apply", null), (Managers(now), now["metadata"]!["labels"]));
    }

    [Fact]
    public async Task Keyed_lists_keep_the_order_of_the_configuration_and_atomic_ones_go_as_a_whole()
    {
        await As("a", Web, Deployment, 201);
        await As("b", Web, """{"spec":{"template":{"spec":{"containers":[{"name":"after","image":"s:1"}]}}}}""");
        JsonObject now = await As("a", Web, Deployment.Replace("      containers:", "      containers:\n      - {name: first, image: \"f:1\"}", StringComparison.Ordinal).Replace("args: [x]", "args: [y, z]", StringComparison.Ordinal));
        JsonArray containers = now["spec"]!["template"]!["spec"]!["containers"]!.AsArray();
        Assert.Equal(["first", "m", "after"], containers.Select(c => (string?)c!["name"]));
        Assert.Equal("""["y","z"]""", containers[1]!["args"]!.ToJsonString());
        JsonObject conflict = await As("b", Web, """{"spec":{"template":{"spec":{"containers":[{"name":"m","args":["y","q"]}]}}}}""", 409);
        Assert.Equal(".spec.template.spec.containers[name=\"m\"].args", (string?)conflict["details"]!["causes"]![0]!["field"]);
    }

    [Fact]
    public async Task What_was_there_before_the_first_apply_is_nobodys_to_take_without_force()
    {
        await Expect(201, "POST", Maps, """{"metadata":{"name":"c"},"data":{"k":"v","l":"w"}}""");
        JsonObject conflict = await As("a", Maps + "c", """{"data":{"k":"other"}}""", 409);
        Assert.StartsWith("Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1 at ", (string?)conflict["message"], StringComparison.Ordinal);
        Assert.Null((await Expect(200, "GET", Maps + "c"))["metadata"]!["managedFields"]);
        JsonObject now = await As("a", Maps + "c", """{"data":{"k":"v","m":"x"}}""");
        Assert.Equal("a:Apply before-first-apply:Update", Managers(now));
        Assert.Equal("""{"f:data":{".":{},"f:k":{},"f:l":{}}}""", Of(now, "before-first-apply", "Update"));
        now = await As("a", Maps + "c", """{"data":{"k":"other"}}""", more: "&force=true");
        Assert.Equal(("""{"k":"other","l":"w"}""", """{"f:data":{".":{},"f:l":{}}}"""), (now["data"]!.ToJsonString(), Of(now, "before-first-apply", "Update")));
    }

    [Fact]
    public async Task Kubectl_takes_over_what_it_applied_from_its_own_side()
    {
        const string last = "kubectl.kubernetes.io/last-applied-configuration";
        JsonObject map = Json("""{"metadata":{"name":"c","annotations":{}},"data":{"k":"v","l":"w","own":"x"}}""");
        map["metadata"]!["annotations"]![last] = """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","annotations":{}},"data":{"k":"v","l":"w"}}""" + "\n";
        await Expect(201, "POST", Maps, map.ToJsonString());
        await Expect(200, "PATCH", Maps + "c", """{"data":{"l":"changed"}}""", Merge);
        const string config = """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"k":"new","l":"new"}}""";
        // l was changed since by somebody else.
        Assert.Equal("""[".data.l"]""", new JsonArray([.. (await As("kubectl", Maps + "c", config, 409))["details"]!["causes"]!.AsArray().Select(c => c!["field"]!.DeepClone())]).ToJsonString());
        Assert.Equal(2, (await As("other", Maps + "c", config, 409))["details"]!["causes"]!.AsArray().Count);
        JsonObject now = await As("kubectl", Maps + "c", config.Replace("\"l\":\"new\"", "\"l\":\"changed\"", StringComparison.Ordinal));
        Assert.Equal(("new", "x"), ((string?)now["data"]!["k"], (string?)now["data"]!["own"]));
        Assert.Equal("new", (string?)JsonNode.Parse((string)now["metadata"]!["annotations"]![last]!)!["data"]!["k"]);
    }

    [Fact]
    public async Task Every_other_write_takes_what_it_changes_once_an_object_was_applied()
    {
        await As("a", Web, Deployment, 201);
        JsonObject now = await Expect(200, "PATCH", Web + "?fieldManager=editor", """{"spec":{"replicas":7},"metadata":{"labels":{"more":"m"}}}""", Merge);
        Assert.Equal("""{"f:metadata":{"f:labels":{"f:more":{}}},"f:spec":{"f:replicas":{}}}""", Of(now, "editor", "Update"));
        Assert.DoesNotContain("f:replicas", Of(now, "a"), StringComparison.Ordinal);
        Assert.StartsWith("Apply failed with 1 conflict: conflict with \"editor\" using apps/v1 at ", (string?)(await As("a", Web, Deployment, 409))["message"], StringComparison.Ordinal);
        // A write that changes nothing owns nothing, and a second one no more than it changed.
        string version = (string)now["metadata"]!["resourceVersion"]!;
        Assert.Equal(version, (string?)(await Expect(200, "PATCH", Web + "?fieldManager=idle", """{"spec":{"replicas":7}}""", Merge))["metadata"]!["resourceVersion"]);
        now["metadata"]!.AsObject().Remove("managedFields");
        now["metadata"]!["labels"]!.AsObject().Remove("a");
        now = await Expect(200, "PUT", Web + "?fieldManager=replacer", now.ToJsonString());
        Assert.Equal("a:Apply editor:Update", Managers(now));
        Assert.DoesNotContain("f:labels", Of(now, "a").Split("f:template")[0], StringComparison.Ordinal);
        now = await Expect(200, "PATCH", Web + "/status?fieldManager=watcher", """{"status":{"replicas":7}}""", Merge);
        Assert.Equal("""{"f:status":{"f:replicas":{}}}""", Of(now, "watcher", "Update", "status"));
        // The entries themselves can be taken away, and come back with the next apply.
        now = await Expect(200, "PATCH", Web, """{"metadata":{"managedFields":[{}]}}""", Merge);
        Assert.Null(now["metadata"]!["managedFields"]);
    }

    [Fact]
    public async Task Objects_that_nobody_applied_carry_no_managed_fields()
    {
        await Expect(201, "POST", Maps + "?fieldManager=x", """{"metadata":{"name":"c","managedFields":[{"manager":"x","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:k":{}}}}]},"data":{"k":"v"}}""");
        JsonObject now = await Expect(200, "PATCH", Maps + "c?fieldManager=y", """{"data":{"k":"w"}}""", Merge);
        Assert.Null(now["metadata"]!["managedFields"]);
    }

    [Fact]
    public async Task The_status_is_applied_apart()
    {
        await As("a", Web, Deployment, 201);
        JsonObject now = await As("w", Web + "/status", """{"spec":{"replicas":9},"status":{"replicas":2,"conditions":[{"type":"Available","status":"True"}]}}""");
        Assert.Equal((2, 2), ((int)now["spec"]!["replicas"]!, (int)now["status"]!["replicas"]!));
        Assert.Equal("""{"f:status":{"f:conditions":{"k:{\"type\":\"Available\"}":{".":{},"f:status":{},"f:type":{}}},"f:replicas":{}}}""", Of(now, "w", "Apply", "status"));
        now = await As("a", Web, Deployment + "\nstatus: {replicas: 77}\n");
        Assert.Equal(2, (int)now["status"]!["replicas"]!);
        now = await As("w", Web + "/status", """{"status":{"replicas":3}}""");
        Assert.Equal((3, null), ((int)now["status"]!["replicas"]!, now["status"]!["conditions"]));
        await As("w", Web.Replace("/web", "/none", StringComparison.Ordinal) + "/status", "{}", 404);
    }

    [Theory]
    [InlineData(422, "fieldManager: Required value", "", """{"data":{}}""")]
    [InlineData(422, "may not be more than 128", "?fieldManager=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", """{"data":{}}""")]
    [InlineData(400, ".dota: field not declared in schema", "?fieldManager=a", """{"dota":{}}""")]
    [InlineData(400, ".data: expected map, got", "?fieldManager=a", """{"data":["x"]}""")]
    [InlineData(400, "duplicate entries for key", "?fieldManager=a", """{"metadata":{"finalizers":["x.io/y","x.io/y"]}}""")]
    [InlineData(400, "omits key field \"uid\"", "?fieldManager=a", """{"metadata":{"ownerReferences":[{"name":"x"}]}}""")]
    [InlineData(400, "managedFields must be nil", "?fieldManager=a", """{"metadata":{"managedFields":[]}}""")]
    [InlineData(400, "does not match the name on the URL", "?fieldManager=a", """{"metadata":{"name":"d"}}""")]
    [InlineData(400, "the path is of v1 ConfigMap", "?fieldManager=a", """{"kind":"Secret"}""")]
    [InlineData(400, "must be an object", "?fieldManager=a", "- a")]
    [InlineData(404, "configmaps \"c\" not found", "?fieldManager=a", """{"metadata":{"resourceVersion":"1"}}""")]
    [InlineData(409, "uid mismatch", "?fieldManager=a", """{"metadata":{"uid":"1"}}""")]
    [InlineData(422, "metadata.labels", "?fieldManager=a", """{"metadata":{"labels":{"k":"not/valid/value"}}}""")]
    public async Task What_is_wrong_is_said(int code, string says, string query, string body)
    {
        Assert.Contains(says, (string?)(await Expect(code, "PATCH", Maps + "c" + query, body, Apply))["message"], StringComparison.Ordinal);
        await Expect(404, "GET", Maps + "c");
    }

    [Fact]
    public async Task Who_may_not_make_an_object_does_not_make_it_by_an_apply_and_force_is_for_applies()
    {
        await Expect(403, "PATCH", Maps + "c?fieldManager=a", "{}", Apply, token: "site");
        await As("a", Maps + "c", """{"data":{"k":"v"}}""", 201);
        Assert.Contains("force", (string?)(await Expect(422, "PATCH", Maps + "c?force=true", "{}", Merge))["message"], StringComparison.Ordinal);
        Assert.Contains("has been modified", (string?)(await As("a", Maps + "c", """{"metadata":{"resourceVersion":"1"},"data":{"k":"w"}}""", 409))["message"], StringComparison.Ordinal);
        await As("a", Pods + "p/eviction", "{}", 405);
    }

    [Fact] // As Kubernetes' ScaleHandler: the workload's replicas are managed, under the subresource.
    public async Task Replicas_are_applied_through_the_scale_too()
    {
        await As("a", Web + "/scale", """{"spec":{"replicas":3}}""", 404);
        await As("a", Web, Deployment, 201);
        JsonObject conflict = await As("hpa", Web + "/scale", """{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"web"},"spec":{"replicas":3}}""", 409);
        Assert.Equal("Apply failed with 1 conflict: conflict with \"a\": .spec.replicas", (string?)conflict["message"]);
        JsonObject scale = await As("hpa", Web + "/scale", """{"spec":{"replicas":3}}""", more: "&force=true");
        Assert.Equal(("Scale", 3), ((string?)scale["kind"], (int)scale["spec"]!["replicas"]!));
        JsonObject now = await Expect(200, "GET", Web);
        Assert.Equal((3, 2), ((int)now["spec"]!["replicas"]!, (int)now["metadata"]!["generation"]!));
        Assert.Equal("""{"f:spec":{"f:replicas":{}}}""", Of(now, "hpa", subresource: "scale"));
        Assert.DoesNotContain("f:replicas", Of(now, "a"), StringComparison.Ordinal);
        Assert.Equal(["apps/v1"], now["metadata"]!["managedFields"]!.AsArray().Select(e => (string?)e!["apiVersion"]).Distinct());
        // Other writers of the scale are tracked as such, and whoever applies the whole is told of the one who scales.
        Assert.Contains("conflict with \"hpa\" with subresource \"scale\": .spec.replicas", (string?)(await As("a", Web, Deployment, 409))["message"], StringComparison.Ordinal);
        await Expect(200, "PATCH", Web + "/scale?fieldManager=person", """{"spec":{"replicas":4}}""", Merge);
        now = await Expect(200, "GET", Web);
        Assert.Equal(("", """{"f:spec":{"f:replicas":{}}}"""), (Of(now, "hpa", subresource: "scale"), Of(now, "person", "Update", "scale")));
        // Nothing said of replicas is nothing asked; what is no Scale is refused, with the field.
        Assert.Equal(4, (int)(await As("hpa", Web + "/scale", "{}"))["spec"]!["replicas"]!);
        Assert.Contains(".spec.replica: field not declared in schema", (string?)(await As("hpa", Web + "/scale", """{"spec":{"replica":3}}""", 400))["message"], StringComparison.Ordinal);
        Assert.Contains("cannot be handled as a Scale", (string?)(await As("hpa", Web + "/scale", Deployment, 400))["message"], StringComparison.Ordinal);
        Assert.Contains("spec.replicas", (string?)(await As("hpa", Web + "/scale", """{"spec":{"replicas":-1}}""", 422, "&force=true"))["message"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Before_the_first_apply_through_the_scale_all_belongs_to_whoever_was_before()
    {
        await Expect(201, "POST", Web[..^4], Atoll.Kube.Http.YamlReader.Parse(System.Text.Encoding.UTF8.GetBytes(Deployment), [])!.ToJsonString());
        await As("hpa", Web + "/scale", """{"spec":{"replicas":3}}""", 409);
        await As("hpa", Web + "/scale", """{"spec":{"replicas":3}}""", more: "&force=true");
        string before = Of(await Expect(200, "GET", Web), "before-first-apply", "Update");
        Assert.Contains("f:template", before, StringComparison.Ordinal);
        Assert.DoesNotContain("f:replicas", before, StringComparison.Ordinal);
        Assert.DoesNotContain("f:status", before, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_secrets_plain_text_is_owned_as_the_data_that_it_becomes()
    {
        const string path = "/api/v1/namespaces/default/secrets/s";
        JsonObject made = await As("a", path, """{"stringData":{"k":"v"}}""", 201);
        Assert.Equal(("dg==", """{"f:data":{"f:k":{}}}"""), ((string?)made["data"]!["k"], Of(made, "a")));
        Assert.Null((await As("a", path, "{}"))["data"]);
    }

    [Fact]
    public async Task The_oldest_of_many_writers_are_put_together()
    {
        await As("a", Maps + "c", """{"data":{"k":"v"}}""", 201);
        for (int i = 0; i < 14; i++)
            await Expect(200, "PATCH", $"{Maps}c?fieldManager=w{i}", $$$"""{"data":{"d{{{i}}}":"x"}}""", Merge);
        JsonObject now = await Expect(200, "GET", Maps + "c");
        string[] updaters = [.. now["metadata"]!["managedFields"]!.AsArray().Where(e => (string?)e!["operation"] == "Update").Select(e => (string)e!["manager"]!)];
        Assert.Equal(10, updaters.Length);
        Assert.Contains("ancient-changes", updaters);
        Assert.All(Enumerable.Range(0, 14), i => Assert.Contains($"\"f:d{i}\"", now["metadata"]!["managedFields"]!.ToJsonString(), StringComparison.Ordinal));
    }
}
