using System.CommandLine;
using System.CommandLine.Completions;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Cloud.Commands;
using Atoll.UnitTests.Kube;

namespace Atoll.UnitTests.Cloud;

/// <summary><c>atoll explain</c> over a real API.</summary>
public sealed class ExplainTests : KubeTestBase
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_node_has_its_scores_or_its_reasons()
    {
        await NodeAsync("big", "8");
        await NodeAsync("small", "1");
        await NodeAsync("mid", "4");
        JsonObject pod = Pod("p");
        pod["spec"]!["nodeName"] = "mid";
        pod["spec"]!["containers"]![0]!["resources"] = JsonNode.Parse("""{"requests":{"cpu":"2","memory":"1Gi"}}""");
        await Make(Kinds.Pod, pod);
        JsonObject answer = await ExplainCommand.ExplainAsync(Admin, "default", "p", 1, Cancel);
        Assert.Equal(("default/p", "mid", 2, 3), ((string?)answer["pod"], (string?)answer["node"], (int)answer["fits"]!, (int)answer["of"]!));
        // The best, and the one where it is although it is not the best.
        Assert.Equal(["big", "mid"], answer["nodes"]!.AsArray().Select(n => (string?)n!["node"]));
        answer = await ExplainCommand.ExplainAsync(Admin, "default", "p", 0, Cancel);
        JsonNode big = answer["nodes"]![0]!, small = answer["nodes"]![2]!;
        Assert.Equal((long)big["score"]!, big["scores"]!.AsObject().Sum(s => (long)s.Value!));
        Assert.Equal("Insufficient cpu", (string?)small["reasons"]![0]);
        CommandException none = await Assert.ThrowsAsync<CommandException>(() => ExplainCommand.ExplainAsync(Admin, "default", "nobody", 0, Cancel));
        Assert.Equal(ExitCodes.NotFound, none.ExitCode);
    }

    [Fact]
    public void Help_asks_no_centre_for_pods()
    {
        Argument pod = ExplainCommand.Create().Arguments[0];
        // A kubeconfig that is not there, or a centre that does not answer, would be told here.
        Assert.Empty(pod.GetCompletions(CompletionContext.Empty));
    }

    [Theory]
    [InlineData("web-0", null, "default", "web-0")]
    [InlineData("web-0", "prod", "prod", "web-0")]
    [InlineData("prod/web-0", null, "prod", "web-0")]
    [InlineData("pod/web-0", "prod", "prod", "web-0")]
    [InlineData("pods/prod/web-0", "prod", "prod", "web-0")]
    public void A_pod_is_named_as_people_name_it(string written, string? ns, string space, string name) => Assert.Equal((space, name), ExplainCommand.NameOf(written, ns));

    [Theory]
    [InlineData("a/b/c", null)]
    [InlineData("pod/", null)]
    [InlineData("prod/web-0", "test")]
    public void What_is_no_pod_is_said(string written, string? ns) => Assert.Equal(ExitCodes.Usage, Assert.Throws<CommandException>(() => ExplainCommand.NameOf(written, ns)).ExitCode);

    [Fact]
    public async Task Claims_are_looked_at_and_the_last_decision_is_told()
    {
        await NodeAsync("a", "4");
        JsonObject pod = Pod("p");
        pod["spec"]!["volumes"] = JsonNode.Parse("""[{"name":"d","persistentVolumeClaim":{"claimName":"none"}}]""");
        pod["spec"]!["schedulingGates"] = JsonNode.Parse("""[{"name":"example.com/wait"}]""");
        await Make(Kinds.Pod, pod);
        JsonObject answer = await ExplainCommand.ExplainAsync(Admin, "default", "p", 0, Cancel);
        Assert.Equal("persistentvolumeclaim \"none\" not found", (string?)answer["nodes"]![0]!["reasons"]![0]);
        Assert.Contains("example.com/wait", (string?)answer["said"], StringComparison.Ordinal);
        JsonObject condition = (await Admin.GetAsync(Kinds.Pod, "default", "p", Cancel)).Object!.ToNode()["status"]!["conditions"]![0]!.AsObject();
        Assert.Equal(("PodScheduled", "False", "SchedulingGated"), ((string?)condition["type"], (string?)condition["status"], (string?)condition["reason"]));
        JsonObject other = Pod("q");
        other["spec"]!["schedulerName"] = "somebody";
        await Make(Kinds.Pod, other);
        Assert.Equal("left to the scheduler somebody: there is no SchedulerProfile of this name", (string?)(await ExplainCommand.ExplainAsync(Admin, "default", "q", 0, Cancel))["said"]);
    }

    private async Task NodeAsync(string name, string cpu)
    {
        JsonObject node = Json("""{"spec":{},"status":{"allocatable":{"memory":"8Gi","pods":"10"},"conditions":[{"type":"Ready","status":"True"}]}}""");
        node["metadata"] = new JsonObject { ["name"] = name };
        node["status"]!["allocatable"]!["cpu"] = cpu;
        await Make(Kinds.Node, node);
    }
}
