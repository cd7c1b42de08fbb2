namespace Atoll.Conformance;

/// <summary>Deployments over their life, and nodes.</summary>
[Collection(nameof(RolloutTests))]
public sealed class RolloutTests(Cluster cluster)
{
    public static TheoryData<string> Kubectls() => Kubectl.All();

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Rollout_status_history_undo_restart_and_set_image(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.Deployment("web", 2), "apply", "-f", "-");
        Assert.Contains("successfully rolled out", await kubectl.OkAsync("rollout", "status", "deployment/web", "--timeout=60s"), StringComparison.Ordinal);
        await kubectl.OkAsync("set", "image", "deployment/web", "main=local:2");
        await kubectl.OkAsync("rollout", "status", "deployment/web", "--timeout=60s");
        Assert.Matches(@"(?s)\n1 .*\n2 ", await kubectl.OkAsync("rollout", "history", "deployment/web"));
        await kubectl.OkAsync("rollout", "undo", "deployment/web");
        await kubectl.OkAsync("rollout", "status", "deployment/web", "--timeout=60s");
        Assert.Equal("local:1", await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"));
        await kubectl.OkAsync("rollout", "restart", "deployment/web");
        await kubectl.OkAsync("rollout", "status", "deployment/web", "--timeout=60s");
        Assert.NotEqual("", await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.spec.template.metadata.annotations.kubectl\\.kubernetes\\.io/restartedAt}"));
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task A_stateful_set_over_its_life(string program)
    {
        const string set = "statefulset/db";
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.StatefulSet("db", 2), "apply", "-f", "-");
        await kubectl.OkAsync("rollout", "status", set, "--timeout=60s");
        Assert.Matches(@"db +2/2 ", await kubectl.OkAsync("get", "sts", "-o", "wide"));
        Assert.Equal("db-0 db-1", await kubectl.OkAsync("get", "pods", "-l", "app=db", "--sort-by=.metadata.name", "-o", "jsonpath={.items[*].metadata.name}"));
        Assert.Equal("1", await kubectl.OkAsync("get", "pod", "db-1", "-o", "jsonpath={.metadata.labels.apps\\.kubernetes\\.io/pod-index}"));
        await kubectl.OkAsync("set", "image", set, "main=local:2");
        await kubectl.OkAsync("rollout", "status", set, "--timeout=60s");
        Assert.Matches(@"(?s)\n1 .*\n2 ", await kubectl.OkAsync("rollout", "history", set));
        Assert.Contains("local:1", await kubectl.OkAsync("rollout", "history", set, "--revision=1"), StringComparison.Ordinal);
        await kubectl.OkAsync("rollout", "undo", set, "--to-revision=1");
        await kubectl.OkAsync("rollout", "status", set, "--timeout=60s");
        Assert.Equal("local:1", await kubectl.OkAsync("get", "pod", "db-0", "-o", "jsonpath={.spec.containers[0].image}"));
        await kubectl.OkAsync("rollout", "restart", set);
        await kubectl.OkAsync("rollout", "status", set, "--timeout=60s");
        Assert.NotEqual("", await kubectl.OkAsync("get", "pod", "db-0", "-o", "jsonpath={.metadata.annotations.kubectl\\.kubernetes\\.io/restartedAt}"));
        await kubectl.OkAsync("scale", set, "--replicas=1", "--current-replicas=2");
        await kubectl.GoneAsync("pods", "statefulset.kubernetes.io/pod-name=db-1");
        await kubectl.UntilAsync("\"replicas\":1", "get", "--raw", $"/apis/apps/v1/namespaces/{kubectl.Namespace}/statefulsets/db/status");
        Assert.Contains("Replicas:", await kubectl.OkAsync("describe", set), StringComparison.Ordinal);
        await kubectl.OkAsync("delete", set);
        await kubectl.GoneAsync("pods", "app=db");
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Scale_and_wait(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.Deployment("web", 1), "create", "-f", "-");
        await kubectl.OkAsync("scale", "deployment/web", "--replicas=3", "--current-replicas=1");
        await kubectl.OkAsync("rollout", "status", "deployment/web", "--timeout=60s");
        Assert.Equal("3", await kubectl.OkAsync("get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}"));
        await kubectl.OkAsync("wait", "--for=condition=Available", "deployment/web", "--timeout=60s");
        await kubectl.OkAsync("scale", "deployment/web", "--replicas=0");
        await kubectl.GoneAsync("pods", "app=web");
        Assert.Contains("timed out", await kubectl.FailAsync("wait", "--for=condition=Progressing=False", "deployment/web", "--timeout=1s"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Cordon_and_drain_a_node(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        await kubectl.FeedAsync(Manifests.Deployment("web", 2), "create", "-f", "-");
        await kubectl.OkAsync("rollout", "status", "deployment/web", "--timeout=60s");
        string node = await kubectl.OkAsync("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].spec.nodeName}");
        try
        {
            await kubectl.OkAsync("cordon", node);
            Assert.Contains("SchedulingDisabled", await kubectl.OkAsync("get", "node", node), StringComparison.Ordinal);
            await kubectl.OkAsync("drain", node, "--pod-selector=app=web", "--ignore-daemonsets", "--force", "--timeout=60s");
            await kubectl.OkAsync("rollout", "status", "deployment/web", "--timeout=60s");
            Assert.DoesNotContain(node, await kubectl.OkAsync("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}"), StringComparison.Ordinal);
        }
        finally
        {
            await kubectl.OkAsync("uncordon", node);
        }
    }
}
