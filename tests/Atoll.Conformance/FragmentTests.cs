using System.Text.Json.Nodes;

namespace Atoll.Conformance;

/// <summary>Flavours, capacity and plans to defragment, as kubectl shows them. Not beside the tests that cordon a node: both count here.</summary>
[Collection(nameof(RolloutTests))]
public sealed class FragmentTests(Cluster cluster)
{
    public static TheoryData<string> Kubectls() => Kubectl.All();

    [Theory]
    [MemberData(nameof(Kubectls))]
    public async Task Capacity_and_plans_have_columns_and_descriptions(string program)
    {
        Kubectl kubectl = await Kubectl.StartAsync(program, cluster);
        string name = "f-" + kubectl.Namespace;
        await kubectl.FeedAsync($$"""{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Flavour","metadata":{"name":"{{name}}"},"spec":{"resources":{"cpu":"1","memory":"1Gi"} } }""", "create", "-f", "-");
        try
        {
            // The controller looks every ten seconds.
            await UntilAsync(kubectl, "2", "get", "capacity", name, "--ignore-not-found", "-o", "jsonpath={.status.nodes}");
            Assert.Matches(@"^NAME +FLAVOUR +REGION +SITE +NODES +SALEABLE +POOLED +FRAGMENTATION +AGE\n" + name + $" +{name} +\\* +\\* +2 +\\d+ +\\d+ +[0-9.]+ % ", await kubectl.OkAsync("get", "capacity", name));
            Assert.Matches(@"FREE +SHORT-OF +GPU-FRAGMENT +UPDATED", await kubectl.OkAsync("get", "capacities", name, "-o", "wide"));
            Assert.Equal(name, (string?)JsonNode.Parse(await kubectl.OkAsync("get", "cap", name, "-o", "json"))!["spec"]!["flavour"]);
            Assert.Contains("Saleable:", await kubectl.OkAsync("describe", "capacity", name), StringComparison.Ordinal);
            Assert.Contains("fragmentation", await kubectl.OkAsync("explain", "capacity.status"), StringComparison.Ordinal);

            await kubectl.FeedAsync($$"""{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"DefragmentationPlan","metadata":{"name":"{{name}}"},"spec":{"flavours":[{"name":"{{name}}"}],"limits":{"maxMoves":3},"doNotMove":{"matchExpressions":[{"key":"moves-in-this-test","operator":"DoesNotExist"}]} } }""", "apply", "-f", "-");
            await kubectl.OkAsync("wait", "--for=condition=Computed", $"defragmentationplan/{name}", "--timeout=90s");
            Assert.Matches(@"^NAME +PHASE +MOVES +PROMISED +REACHED +AGE\n" + name + @" +WaitingForApproval +0/\d+ +" + name + @"\+\d+ ", await kubectl.OkAsync("get", "defragmentationplans", name));
            Assert.Contains("WaitingForApproval", await kubectl.OkAsync("describe", "defragmentationplans", name), StringComparison.Ordinal);
            await kubectl.OkAsync("patch", "defrag", name, "--type=merge", "-p", """{"spec":{"approved":true}}""");
            await kubectl.OkAsync("wait", "--for=condition=Complete", $"defragmentationplan/{name}", "--timeout=120s");
            string refused = await kubectl.FailAsync("patch", "defrag", name, "--type=merge", "-p", """{"spec":{"limits":{"maxMoves":0}}}""");
            Assert.Contains("spec.limits.maxMoves", refused, StringComparison.Ordinal);
        }
        finally
        {
            await kubectl.OkAsync("delete", "defragmentationplan", name, "--ignore-not-found");
            await kubectl.OkAsync("delete", "flavour", name);
        }
    }

    private static async Task UntilAsync(Kubectl kubectl, string wanted, params string[] command)
    {
        DateTime limit = DateTime.UtcNow.AddSeconds(120);
        string last = "";
        while (DateTime.UtcNow < limit)
            if ((last = await kubectl.OkAsync(command)) == wanted)
                return;
        Assert.Fail($"{string.Join(' ', command)}: {last}");
    }
}
