using System.Text.Json.Nodes;

namespace Atoll.Conformance;

/// <summary>Commands that change objects.</summary>
public sealed class WriteTests(Cluster cluster)
{
    public static TheoryData<string> Kubectls() => Kubectl.All();

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Apply_creates_changes_and_prunes_fields(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        Assert.Equal("configmap/c created\n", await kubectl.FeedAsync(Manifests.ConfigMap("c", "{a: one, b: two}"), "apply", "-f", "-"));
        Assert.Equal("configmap/c unchanged\n", await kubectl.FeedAsync(Manifests.ConfigMap("c", "{a: one, b: two}"), "apply", "-f", "-"));
        // A field of somebody else stays, one that left the manifest goes.
        await kubectl.OkAsync("patch", "configmap", "c", "--type=merge", "-p", """{"data":{"other":"mine"}}""");
        Assert.Equal("configmap/c configured\n", await kubectl.FeedAsync(Manifests.ConfigMap("c", "{a: changed}"), "apply", "-f", "-"));
        JsonNode data = JsonNode.Parse(await kubectl.OkAsync("get", "configmap", "c", "-o", "jsonpath={.data}"))!;
        Assert.Equal("""{"a":"changed","other":"mine"}""", new JsonObject(data.AsObject().OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => KeyValuePair.Create(p.Key, p.Value?.DeepClone()))).ToJsonString());
        Kubectl.Outcome same = await kubectl.RunAsync(System.Text.Encoding.UTF8.GetBytes(Manifests.ConfigMap("c", "{a: changed}")), "diff", "-f", "-");
        Assert.True(same.Code == 0, same.Output + same.Error);
        Kubectl.Outcome different = await kubectl.RunAsync(System.Text.Encoding.UTF8.GetBytes(Manifests.ConfigMap("c", "{a: again}")), "diff", "-f", "-");
        Assert.True(different.Code == 1 && different.Output.Contains("again", StringComparison.Ordinal), different.Output + different.Error);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Edit_writes_what_the_editor_made(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.ConfigMap("c", "{a: before}"), "create", "-f", "-");
        kubectl.Environment["KUBE_EDITOR"] = "sed -i s/before/after/";
        await kubectl.OkAsync("edit", "configmap", "c");
        Assert.Equal("after", await kubectl.OkAsync("get", "configmap", "c", "-o", "jsonpath={.data.a}"));
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Patch_of_every_type(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.Deployment("web", 0), "create", "-f", "-");
        await kubectl.OkAsync("patch", "deployment", "web", "-p", """{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"local:side"}]}}}}""");
        Assert.Equal("main side", Sorted(await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[*].name}")));
        await kubectl.OkAsync("patch", "deployment", "web", "--type=merge", "-p", """{"metadata":{"annotations":{"note":"x"}}}""");
        await kubectl.OkAsync("patch", "deployment", "web", "--type=json", "-p", """[{"op":"replace","path":"/spec/paused","value":true},{"op":"test","path":"/metadata/annotations/note","value":"x"}]""".Replace("replace", "add", StringComparison.Ordinal));
        Assert.Equal("true x", await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.spec.paused} {.metadata.annotations.note}"));

        static string Sorted(string words) => string.Join(' ', words.Split(' ').Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Label_and_annotate(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.ConfigMap("c", "{a: b}"), "create", "-f", "-");
        await kubectl.OkAsync("label", "configmap", "c", "tier=edge");
        Assert.Contains("already has a value", await kubectl.FailAsync("label", "configmap", "c", "tier=cloud"), StringComparison.Ordinal);
        await kubectl.OkAsync("label", "configmap", "c", "tier=cloud", "--overwrite");
        await kubectl.OkAsync("annotate", "configmap", "c", "note=some text");
        Assert.Equal("cloud some text", await kubectl.OkAsync("get", "configmap", "c", "-o", "jsonpath={.metadata.labels.tier} {.metadata.annotations.note}"));
        await kubectl.OkAsync("label", "configmap", "c", "tier-");
        Assert.Equal("", await kubectl.OkAsync("get", "configmaps", "-l", "tier", "-o", "name"));
        // kubectl checks a label itself; a patch shows what the server says.
        string wrong = $$"""{"metadata":{"labels":{"bad":"{{new string('x', 64)}}"} } }""";
        Assert.Contains("metadata.labels", await kubectl.FailAsync("patch", "configmap", "c", "--type=merge", "-p", wrong), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Delete_cascades_or_orphans_and_waits(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        bool isNew = await ReadTests.IsNewAsync(kubectl);
        await kubectl.FeedAsync(Manifests.Deployment("web", 1), "create", "-f", "-");
        await kubectl.OkAsync("rollout", "status", "deployment/web", "--timeout=60s");
        await kubectl.OkAsync("delete", "deployment", "web", "--cascade=orphan");
        Assert.Contains("replicaset.apps/web-", await kubectl.OkAsync("get", "replicasets", "-o", "name"), StringComparison.Ordinal);
        await kubectl.OkAsync("delete", "replicasets", "-l", "app=web", isNew ? "--cascade=foreground" : "--cascade=background", "--wait");
        await kubectl.GoneAsync("pods", "app=web");
        Assert.Equal("", await kubectl.OkAsync("get", "pods,replicasets", "-o", "name"));
        await kubectl.FeedAsync(Manifests.Pod("one"), "create", "-f", "-");
        await kubectl.OkAsync("delete", "pod", "one", "--now");
        Assert.Contains("not found", await kubectl.FailAsync("get", "pod", "one"), StringComparison.Ordinal);
        Assert.Equal("", await kubectl.OkAsync("delete", "pod", "one", "--ignore-not-found"));
        await kubectl.OkAsync("delete", "namespace", kubectl.Namespace, "--timeout=60s");
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Create_run_and_expose(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.OkAsync("create", "configmap", "literal", "--from-literal=a=b");
        await kubectl.OkAsync("create", "secret", "generic", "hidden", "--from-literal=p=secret");
        Assert.Equal("c2VjcmV0", await kubectl.OkAsync("get", "secret", "hidden", "-o", "jsonpath={.data.p}"));
        await kubectl.OkAsync("create", "deployment", "made", "--image=local");
        await kubectl.OkAsync("create", "serviceaccount", "robot");
        await kubectl.OkAsync("create", "job", "once", "--image=local");
        await kubectl.OkAsync("wait", "--for=condition=complete", "job/once", "--timeout=60s");
        await kubectl.OkAsync("run", "solo", "--image=local", "--port=8080");
        await kubectl.OkAsync("wait", "--for=condition=Ready", "pod/solo", "--timeout=60s");
        await kubectl.OkAsync("expose", "pod", "solo", "--port=80", "--target-port=8080");
        Assert.Equal("80", await kubectl.OkAsync("get", "service", "solo", "-o", "jsonpath={.spec.ports[0].port}"));
        Assert.Contains("already exists", await kubectl.FailAsync("create", "configmap", "literal"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task A_wrong_object_is_refused_with_its_field(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        Assert.Contains("metadata.name", await kubectl.FailAsync("create", "configmap", "Not_A_Name"), StringComparison.Ordinal);
        Assert.Contains("namespaces \"nowhere\" not found", await kubectl.FailAsync("create", "configmap", "c", "-n", "nowhere"), StringComparison.Ordinal);
    }
}
