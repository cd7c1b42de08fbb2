using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.UnitTests.Kube;

/// <summary>What a new pod takes from its PriorityClass and RuntimeClass.</summary>
public sealed class PodAdmissionTests : KubeTestBase
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_pod_without_a_class_has_priority_0_and_the_default_class_wins_when_there_is_one()
    {
        Assert.Equal(0, (int)Spec(await Make(Kinds.Pod, Pod("a")))["priority"]!);
        await Make(Kinds.PriorityClass, Json("""{"metadata":{"name":"usual"},"value":7,"globalDefault":true,"preemptionPolicy":"Never"}"""));
        JsonNode spec = Spec(await Make(Kinds.Pod, Pod("b")));
        Assert.Equal(("usual", 7, "Never"), ((string?)spec["priorityClassName"], (int)spec["priority"]!, (string?)spec["preemptionPolicy"]));
        ApiResult second = await Admin.CreateAsync(Kinds.PriorityClass, null, Json("""{"metadata":{"name":"other"},"value":8,"globalDefault":true}"""), Cancel);
        Assert.Equal(403, second.Error!.Code);
        Assert.Contains("usual is already marked as default", second.Error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_named_class_gives_its_value_and_an_unknown_one_is_refused()
    {
        await Make(Kinds.PriorityClass, Json("""{"metadata":{"name":"high"},"value":1000}"""));
        Assert.Equal(1000, (int)Spec(await Make(Kinds.Pod, Pod("a", ",\"priorityClassName\":\"high\"")))["priority"]!);
        Assert.Equal(2_000_001_000, (int)Spec(await Make(Kinds.Pod, Pod("n", ",\"priorityClassName\":\"system-node-critical\"")))["priority"]!);
        ApiResult unknown = await Admin.CreateAsync(Kinds.Pod, "default", Pod("b", ",\"priorityClassName\":\"none\""), Cancel);
        Assert.Equal(403, unknown.Error!.Code);
        Assert.Equal("pods \"b\" is forbidden: no PriorityClass with name none was found", unknown.Error.Message);
        ApiResult forged = await Admin.CreateAsync(Kinds.Pod, "default", Pod("c", ",\"priority\":5"), Cancel);
        Assert.Contains("must not be provided in pod spec", forged.Error!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Quantities_written_as_numbers_are_stored_as_texts_and_null_is_absent()
    {
        JsonObject pod = Json("""{"metadata":{"name":"n","creationTimestamp":null},"spec":{"nodeName":null,"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":2,"memory":1e9,"example.com/x":null},"limits":{"cpu":2.5}}}]},"status":null}""");
        KubeObject made = await Make(Kinds.Pod, pod);
        JsonNode container = Spec(made)["containers"]![0]!;
        Assert.Equal(("2", "1000000000", "2500m"), ((string?)container["resources"]!["requests"]!["cpu"], (string?)container["resources"]!["requests"]!["memory"], (string?)container["resources"]!["limits"]!["cpu"]));
        Assert.False(container["resources"]!["requests"]!.AsObject().ContainsKey("example.com/x"));
        Assert.False(Spec(made).AsObject().ContainsKey("nodeName"));
        Assert.Equal("2", made.View(Atoll.Api.ApiJson.Default.Pod).Spec.Containers[0].Resources!.Requests!["cpu"]);
    }

    [Fact]
    public async Task A_replacement_that_says_nothing_of_priority_keeps_it()
    {
        await Make(Kinds.PriorityClass, Json("""{"metadata":{"name":"high"},"value":1000}"""));
        JsonObject pod = (await Make(Kinds.Pod, Pod("a", ",\"priorityClassName\":\"high\""))).ToNode();
        pod["spec"]!.AsObject().Remove("priority");
        pod["spec"]!.AsObject().Remove("preemptionPolicy");
        pod["metadata"]!["labels"] = new JsonObject { ["x"] = "y" };
        ApiResult replaced = await Admin.UpdateAsync(Kinds.Pod, "default", "a", pod, Cancel);
        Assert.True(replaced.Ok, replaced.Error?.Message);
        Assert.Equal(1000, (int)Spec(replaced.Object!)["priority"]!);
    }

    [Fact]
    public async Task A_runtime_class_gives_overhead_selector_and_tolerations()
    {
        await Make(Kinds.RuntimeClass, Json("""{"metadata":{"name":"machine"},"handler":"machine","overhead":{"podFixed":{"cpu":"100m"}},"scheduling":{"nodeSelector":{"kvm":"yes"},"tolerations":[{"key":"kvm","operator":"Exists"}]}}"""));
        JsonNode spec = Spec(await Make(Kinds.Pod, Pod("a", ",\"runtimeClassName\":\"machine\"")));
        Assert.Equal("100m", (string?)spec["overhead"]!["cpu"]);
        Assert.Equal("yes", (string?)spec["nodeSelector"]!["kvm"]);
        Assert.Contains(spec["tolerations"]!.AsArray(), t => (string?)t!["key"] == "kvm");
        ApiResult unknown = await Admin.CreateAsync(Kinds.Pod, "default", Pod("b", ",\"runtimeClassName\":\"none\""), Cancel);
        Assert.Equal("pods \"b\" is forbidden: pod rejected: RuntimeClass \"none\" not found", unknown.Error!.Message);
        ApiResult conflict = await Admin.CreateAsync(Kinds.Pod, "default", Pod("c", ",\"runtimeClassName\":\"machine\",\"nodeSelector\":{\"kvm\":\"no\"}"), Cancel);
        Assert.Contains("nodeSelector[kvm]", conflict.Error!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_pod_that_was_given_up_for_its_dead_node_is_not_brought_back_by_a_late_word_of_that_node()
    {
        await Make(Kinds.Pod, Pod("a"));
        await StatusAsync("Running", null);
        Assert.Equal("Pending ", await StatusAsync("Pending", null)); // Only an end is the last word.
        Assert.Equal("Failed NodeLost", await StatusAsync("Failed", "NodeLost"));
        Assert.Equal("Failed NodeLost", await StatusAsync("Running", null));
        Assert.Equal("Failed NodeLost", await StatusAsync("Succeeded", null));
    }

    [Theory]
    [InlineData("Succeeded", "Failed", "NodeLost", "Succeeded ")]
    [InlineData("Succeeded", "Failed", "Error", "Succeeded ")]
    [InlineData("Succeeded", "Running", null, "Succeeded ")]
    [InlineData("Succeeded", "Succeeded", "Completed", "Succeeded Completed")]
    [InlineData("Failed", "Failed", "NodeLost", "Failed ")]
    [InlineData("Failed", "Succeeded", null, "Failed ")]
    public async Task A_pod_that_came_to_its_end_is_neither_given_up_nor_ends_otherwise(string ended, string phase, string? reason, string after)
    {
        await Make(Kinds.Pod, Pod("a"));
        await StatusAsync(ended, null);
        Assert.Equal(after, await StatusAsync(phase, reason));
    }

    private async Task<string> StatusAsync(string phase, string? reason)
    {
        ApiResult said = await Admin.PatchAsync(Kinds.Pod, "default", "a", PatchType.Merge, new JsonObject { ["status"] = new JsonObject { ["phase"] = phase, ["reason"] = reason } }, Cancel, "status");
        JsonNode status = said.Object!.ToNode()["status"]!;
        return $"{(string?)status["phase"]} {(string?)status["reason"]}";
    }

    private static JsonNode Spec(KubeObject pod) => pod.ToNode()["spec"]!;
}
