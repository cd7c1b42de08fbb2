using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Atoll.Conformance;

/// <summary>Commands that only look.</summary>
public sealed class ReadTests(Cluster cluster)
{
    public static TheoryData<string> Kubectls() => Kubectl.All();

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Get_in_every_output_form(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.Pod("one"), "create", "-f", "-");
        await kubectl.OkAsync("wait", "--for=condition=Ready", "pod/one", "--timeout=60s");
        string table = await kubectl.OkAsync("get", "pods");
        Assert.Matches(@"^NAME +READY +STATUS +RESTARTS +AGE\none +1/1 +Running +0 ", table);
        Assert.Matches(@"NODE .*\none .* node-[ab] ", await kubectl.OkAsync("get", "pods", "-o", "wide"));
        Assert.Equal("one", (string?)JsonNode.Parse(await kubectl.OkAsync("get", "pod", "one", "-o", "json"))!["metadata"]!["name"]);
        Assert.Contains("\n  name: one\n", await kubectl.OkAsync("get", "pod", "one", "-o", "yaml"), StringComparison.Ordinal);
        Assert.Equal("pod/one\n", await kubectl.OkAsync("get", "pods", "-o", "name"));
        Assert.Equal("Running", await kubectl.OkAsync("get", "pod", "one", "-o", "jsonpath={.status.phase}"));
        Assert.Matches(@"^N +P\none +Running\n$", await kubectl.OkAsync("get", "pods", "-o", "custom-columns=N:.metadata.name,P:.status.phase"));
        Assert.Equal("one;", await kubectl.OkAsync("get", "pods", "-o", "go-template={{range .items}}{{.metadata.name}};{{end}}"));
        Assert.Contains("app=one", await kubectl.OkAsync("get", "pods", "--show-labels"), StringComparison.Ordinal);
        Assert.Equal("pod/one\n", await kubectl.OkAsync("get", "pods", "-l", "app=one", "-o", "name"));
        Assert.Equal("", await kubectl.OkAsync("get", "pods", "-l", "app!=one", "-o", "name"));
        Assert.Equal("pod/one\n", await kubectl.OkAsync("get", "pods", "--field-selector=status.phase=Running", "-o", "name"));
        Assert.Contains("one", await kubectl.OkAsync("get", "pods", "-A"), StringComparison.Ordinal);
        Assert.Contains("pods \"two\" not found", await kubectl.FailAsync("get", "pod", "two"), StringComparison.Ordinal);
        Assert.Contains("pod/one", await kubectl.OkAsync("get", "all"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Get_watches(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.ConfigMap("first", "{a: b}"), "create", "-f", "-");
        using Process watch = kubectl.Begin("get", "configmaps", "-w", "-l", "case", "-o", "name");
        try
        {
            Assert.Equal("configmap/first", await watch.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60)));
            await kubectl.FeedAsync(Manifests.ConfigMap("second", "{a: b}"), "create", "-f", "-");
            Assert.Equal("configmap/second", await watch.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60)));
        }
        finally
        {
            watch.Kill();
        }
        using Process table = kubectl.Begin("get", "configmaps", "first", "-w");
        try
        {
            Assert.StartsWith("NAME", await table.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60)), StringComparison.Ordinal);
            Assert.Matches("^first +1 ", await table.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60)));
            await kubectl.OkAsync("patch", "configmap", "first", "--type=merge", "-p", """{"data":{"c":"d"}}""");
            Assert.Matches("^first +2 ", await table.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60)));
        }
        finally
        {
            table.Kill();
        }
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Describe_shows_objects_of_each_kind(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.Deployment("web", 1), "create", "-f", "-");
        await kubectl.OkAsync("rollout", "status", "deployment/web", "--timeout=60s");
        Assert.Contains("RollingUpdate", await kubectl.OkAsync("describe", "deployment", "web"), StringComparison.Ordinal);
        Assert.Contains("Controlled By:", await kubectl.OkAsync("describe", "pods"), StringComparison.Ordinal);
        Assert.Contains("Allocatable:", await kubectl.OkAsync("describe", "node", "node-a"), StringComparison.Ordinal);
        Assert.Contains("Status:", await kubectl.OkAsync("describe", "namespace", kubectl.Namespace), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Events_are_listed(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.Deployment("web", 1), "create", "-f", "-");
        await kubectl.UntilAsync("ScalingReplicaSet", "get", "events");
        if (await IsNewAsync(kubectl))
            Assert.Contains("ScalingReplicaSet", await kubectl.OkAsync("events", "--for", "deployment/web"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Explain_and_discovery_tell_of_the_api(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        Assert.Contains("apps/v1", await kubectl.OkAsync("api-versions"), StringComparison.Ordinal);
        string resources = await kubectl.OkAsync("api-resources");
        Assert.Matches(@"deployments +deploy +apps/v1 +true +Deployment", resources);
        Assert.Matches(@"sites .*edge\.atoll\.dev/v1alpha1 +false +Site", resources);
        if (await IsNewAsync(kubectl))
        {
            Assert.Contains("replicas", await kubectl.OkAsync("explain", "deployment.spec"), StringComparison.Ordinal);
            Assert.Contains("KIND:", await kubectl.OkAsync("explain", "pods.spec.containers"), StringComparison.Ordinal);
        }
        Assert.Equal("yes\n", await kubectl.OkAsync("auth", "can-i", "create", "pods"));
        Assert.Contains("Server Version", await kubectl.OkAsync("version"), StringComparison.Ordinal);
    }

    internal static async Task<bool> IsNewAsync(Kubectl kubectl) =>
        int.Parse(((string)JsonNode.Parse(await kubectl.OkAsync("version", "--client", "-o", "json"))!["clientVersion"]!["minor"]!).TrimEnd('+')) >= 27;
}
