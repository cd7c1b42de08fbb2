using System.Text;
using System.Text.Json.Nodes;

namespace Atoll.Conformance;

/// <summary>kubectl apply and diff with --server-side.</summary>
public sealed class ServerSideApplyTests(Cluster cluster)
{
    private const string Two = """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, labels: {tier: front}}
        spec:
          replicas: 0
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec:
              containers:
              - name: main
                image: "local:1"
                env: [{name: A, value: one}, {name: B, value: two}]
                ports: [{containerPort: 53}, {containerPort: 53, protocol: UDP}]
              - {name: side, image: "local:side"}
        """;

    private static readonly string s_one = Two.Replace(", {name: B, value: two}", "", StringComparison.Ordinal).Replace("[{containerPort: 53}, ", "[", StringComparison.Ordinal).Replace("      - {name: side, image: \"local:side\"}", "", StringComparison.Ordinal);

    public static TheoryData<string> Kubectls() => Kubectl.All();

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Apply_makes_changes_and_takes_out_what_left_the_manifest(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        Assert.Equal("deployment.apps/web serverside-applied\n", await kubectl.FeedAsync(Two, "apply", "--server-side", "-f", "-"));
        string version = await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.metadata.generation}");
        await kubectl.FeedAsync(Two, "apply", "--server-side", "-f", "-");
        Assert.Equal(version, await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.metadata.generation}"));
        await kubectl.OkAsync("label", "deployment", "web", "mine=yes");
        await kubectl.FeedAsync(s_one, "apply", "--server-side", "-f", "-");
        JsonNode spec = JsonNode.Parse(await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers}"))!;
        JsonNode main = Assert.Single(spec.AsArray())!;
        Assert.Equal("A", (string?)Assert.Single(main["env"]!.AsArray())!["name"]);
        Assert.Equal("UDP", (string?)Assert.Single(main["ports"]!.AsArray())!["protocol"]);
        Assert.Equal("front yes", await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.metadata.labels.tier} {.metadata.labels.mine}"));
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task A_field_of_another_manager_is_a_conflict_until_it_is_forced(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.ConfigMap("c", "{a: one, b: two}"), "apply", "--server-side", "--field-manager=first", "-f", "-");
        byte[] other = Encoding.UTF8.GetBytes(Manifests.ConfigMap("c", "{a: other}"));
        Kubectl.Outcome refused = await kubectl.RunAsync(other, "apply", "--server-side", "--field-manager=second", "-f", "-");
        Assert.True(refused.Code != 0 && refused.Error.Contains("conflict with \"first\": .data.a", StringComparison.Ordinal) && refused.Error.Contains("--force-conflicts", StringComparison.Ordinal), refused.Error);
        Kubectl.Outcome forced = await kubectl.RunAsync(other, "apply", "--server-side", "--field-manager=second", "--force-conflicts", "-f", "-");
        Assert.True(forced.Code == 0, forced.Error);
        Assert.Equal("other two", await kubectl.OkAsync("get", "configmap", "c", "-o", "jsonpath={.data.a} {.data.b}"));
        // An edit takes its field too.
        await kubectl.OkAsync("patch", "configmap", "c", "--type=merge", "--field-manager=hand", "-p", """{"data":{"b":"edited"}}""");
        refused = await kubectl.RunAsync(Encoding.UTF8.GetBytes(Manifests.ConfigMap("c", "{b: two}")), "apply", "--server-side", "--field-manager=first", "-f", "-");
        Assert.True(refused.Code != 0 && refused.Error.Contains("conflict with \"hand\" using v1", StringComparison.Ordinal), refused.Error);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Diff_shows_what_an_apply_would_change(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Two, "apply", "--server-side", "-f", "-");
        Kubectl.Outcome same = await kubectl.RunAsync(Encoding.UTF8.GetBytes(Two), "diff", "--server-side", "-f", "-");
        Assert.True(same.Code == 0, same.Output + same.Error);
        Kubectl.Outcome different = await kubectl.RunAsync(Encoding.UTF8.GetBytes(s_one), "diff", "--server-side", "-f", "-");
        Assert.True(different.Code == 1 && different.Output.Contains("-          value: two", StringComparison.Ordinal), different.Output + different.Error);
        Assert.Contains("local:side", await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={..image}"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task After_an_apply_from_the_clients_side(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Two, "apply", "-f", "-");
        await kubectl.FeedAsync(Two.Replace("local:1", "local:2", StringComparison.Ordinal), "apply", "--server-side", "-f", "-");
        Assert.Equal("local:2 local:side", await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[*].image}"));
        if (!await ReadTests.IsNewAsync(kubectl))
            return; // Of old it leaves both as owners.
        await kubectl.FeedAsync(s_one, "apply", "--server-side", "-f", "-");
        Assert.Equal("local:1", await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[*].image}"));
        // And back: both keep what kubectl applied last.
        await kubectl.FeedAsync(Two, "apply", "-f", "-");
        Assert.Equal("local:1 local:side", await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[*].image}"));
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Kinds_of_our_own_are_applied_as_well(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        string name = "f" + kubectl.Namespace, flavour = $$"""{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Flavour","metadata":{"name":"{{name}}"},"spec":{"resources":{"cpu":"2","memory":"4Gi"} } }""";
        await kubectl.FeedAsync(flavour, "apply", "--server-side", "-f", "-");
        await kubectl.FeedAsync(flavour.Replace(",\"memory\":\"4Gi\"", "", StringComparison.Ordinal), "apply", "--server-side", "-f", "-");
        Assert.Equal("""{"cpu":"2"}""", await kubectl.OkAsync("get", "flavour", name, "-o", "jsonpath={.spec.resources}"));
        await kubectl.OkAsync("delete", "flavour", name);
    }
}
