using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.UnitTests.Kube;

/// <summary>A batch pod is written with cpu and memory and asks for what online pods leave.</summary>
public sealed class BatchAdmissionTests : KubeTestBase
{
    private const string Plain = """{"requests":{"cpu":"250m","memory":"64Mi"},"limits":{"cpu":"1","memory":"128Mi"}}""";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_label_makes_a_pod_batch_below_every_online_pod()
    {
        JsonObject pod = (await Make(Kinds.Pod, Batch("a", Plain))).ToNode();
        JsonNode resources = pod["spec"]!["containers"]![0]!["resources"]!;
        Assert.Equal("""{"edge.atoll.dev/batch-cpu":"250","edge.atoll.dev/batch-memory":"67108864"}""", resources["requests"]!.ToJsonString());
        Assert.Equal("""{"edge.atoll.dev/batch-cpu":"1000","edge.atoll.dev/batch-memory":"134217728"}""", resources["limits"]!.ToJsonString());
        Assert.Equal((WellKnown.BatchClass, -1_000_000, "Never"), ((string?)pod["spec"]!["priorityClassName"], (int)pod["spec"]!["priority"]!, (string?)pod["spec"]!["preemptionPolicy"]));
        Assert.Equal("BestEffort", (string?)pod["status"]!["qosClass"]);
        Assert.Equal("batch", (await Read(Kinds.PriorityClass, WellKnown.BatchClass))!.Metadata.Label(WellKnown.QosLabel));
    }

    [Fact]
    public async Task A_class_of_batch_pods_makes_its_pods_batch()
    {
        await Make(Kinds.PriorityClass, Json("""{"metadata":{"name":"nightly","labels":{"edge.atoll.dev/qos":"batch"}},"value":-5,"preemptionPolicy":"Never"}"""));
        KubeObject pod = await Make(Kinds.Pod, Batch("a", Plain, """{"x":"y"}""", "nightly"));
        Assert.Equal("batch", pod.Metadata.Label(WellKnown.QosLabel));
        Assert.Equal(-5, (int)pod.ToNode()["spec"]!["priority"]!);
        await Make(Kinds.PriorityClass, Json("""{"metadata":{"name":"web"},"value":100}"""));
        Assert.Contains("it is a class of online pods and this pod is batch", await Refused(Batch("b", Plain, priorityClass: "web")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_manifest_can_be_applied_again_and_what_the_kernel_was_told_stays()
    {
        JsonObject pod = (await Make(Kinds.Pod, Batch("a", Plain))).ToNode();
        JsonNode container = pod["spec"]!["containers"]![0]!;
        container["resources"]!["requests"]!["cpu"] = "250m";
        container["resources"]!["limits"]!["memory"] = "128Mi";
        pod["metadata"]!["labels"]!["x"] = "y";
        ApiResult again = await Admin.UpdateAsync(Kinds.Pod, "default", "a", pod, Cancel);
        Assert.True(again.Ok, again.Error?.Message);
        Assert.False(again.Object!.ToNode()["spec"]!["containers"]![0]!["resources"]!["requests"]!.AsObject().ContainsKey("cpu"));
        ApiResult online = await Admin.PatchAsync(Kinds.Pod, "default", "a", PatchType.Merge, Json("""{"metadata":{"labels":{"edge.atoll.dev/qos":null}}}"""), Cancel);
        Assert.Contains("may not be changed after creation", online.Error!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"requests":{"cpu":"1"}}""", "spec.containers[0].resources.requests[memory]: Required value: a batch pod says how much it takes")]
    [InlineData("""{"requests":{"cpu":"1","memory":"1Mi","edge.atoll.dev/batch-cpu":"2"}}""", "requests[cpu]: Forbidden: a batch pod gets edge.atoll.dev/batch-cpu for it")]
    [InlineData("""{"requests":{"cpu":"1","memory":"1Mi","edge.atoll.dev/compute":"2"},"limits":{"edge.atoll.dev/compute":"2"}}""", "normalised cores are sold to online pods")]
    [InlineData("""{"requests":{"cpu":"2","memory":"1Mi"},"limits":{"cpu":"1"}}""", "must be less than or equal to edge.atoll.dev/batch-cpu limit of 1000")]
    public async Task What_a_batch_pod_may_not_ask_for_is_named(string resources, string message) =>
        Assert.Contains(message, await Refused(Batch("a", resources)), StringComparison.Ordinal);

    [Fact]
    public async Task Online_pods_other_qualities_and_whole_nodes_are_refused()
    {
        Assert.Contains("is for batch pods: give the pod the label edge.atoll.dev/qos: batch", await Refused(Batch("a", """{"limits":{"edge.atoll.dev/batch-cpu":"1"}}""", "{}")), StringComparison.Ordinal);
        Assert.Contains("supported values: \"batch\"", await Refused(Batch("a", "{}", """{"edge.atoll.dev/qos":"best"}""")), StringComparison.Ordinal);
        await Make(Kinds.RuntimeClass, Json("""{"metadata":{"name":"metal"},"handler":"container"}"""));
        JsonObject whole = Batch("a", Plain);
        whole["spec"]!["runtimeClassName"] = "metal";
        Assert.Contains("it cannot take a whole one", await Refused(whole), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"value":0,"preemptionPolicy":"Never"}""", "must be less than 0 for batch pods")]
    [InlineData("""{"value":-1}""", "must be Never for batch pods")]
    [InlineData("""{"value":-1,"preemptionPolicy":"Never","globalDefault":true}""", "cannot be the default of all pods")]
    public async Task A_class_of_batch_pods_comes_after_all_online_pods(string fields, string message)
    {
        JsonObject document = Json(fields);
        document["metadata"] = Json("""{"name":"c","labels":{"edge.atoll.dev/qos":"batch"}}""");
        ApiResult refused = await Admin.CreateAsync(Kinds.PriorityClass, null, document, Cancel);
        Assert.Contains(message, refused.Error!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"cpuReclaimThresholdPercent":0}""", "spec.colocation.cpuReclaimThresholdPercent: Invalid value: 0: must be between 1 and 100")]
    [InlineData("""{"memoryReclaimThresholdPercent":101}""", "spec.colocation.memoryReclaimThresholdPercent")]
    [InlineData("""{"evictAfterSeconds":0}""", "must be between 1 and 86400")]
    [InlineData("""{"coldStartSeconds":-1}""", "must be between 0 and 86400")]
    public async Task A_sites_colocation_is_validated(string colocation, string message)
    {
        ApiResult refused = await Admin.CreateAsync(Kinds.Site, null, Json($$$"""{"metadata":{"name":"s"},"spec":{"colocation":{{{colocation}}}}}"""), Cancel);
        Assert.Contains(message, refused.Error!.Message, StringComparison.Ordinal);
    }

    private static JsonObject Batch(string name, string resources, string labels = """{"edge.atoll.dev/qos":"batch"}""", string? priorityClass = null)
    {
        JsonObject pod = Pod(name);
        pod["metadata"]!["labels"] = Json(labels);
        pod["spec"]!["containers"]![0]!["resources"] = Json(resources);
        if (priorityClass is not null)
            pod["spec"]!["priorityClassName"] = priorityClass;
        return pod;
    }

    private async Task<string> Refused(JsonObject pod)
    {
        ApiResult result = await Admin.CreateAsync(Kinds.Pod, "default", pod, Cancel);
        Assert.False(result.Ok);
        return result.Error!.Message ?? "";
    }
}
