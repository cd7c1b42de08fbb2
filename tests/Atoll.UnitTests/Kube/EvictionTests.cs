using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.UnitTests.Kube;

/// <summary>pods/eviction against disruption budgets.</summary>
public sealed class EvictionTests : KubeTestBase
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_budget_is_spent_once_and_then_refuses()
    {
        foreach (string pod in new[] { "a", "b" })
            await RunningAsync(pod);
        await BudgetAsync(allowed: 1);
        Assert.Null((await EvictAsync("a")).Error);
        KubeObject budget = (await Admin.GetAsync(Kinds.PodDisruptionBudget, "default", "web", Cancel)).Object!;
        JsonNode status = budget.ToNode()["status"]!;
        Assert.Equal(0, (int)status["disruptionsAllowed"]!);
        Assert.NotNull(status["disruptedPods"]!["a"]);
        ApiStatus refused = (await EvictAsync("b")).Error!;
        Assert.Equal(429, refused.Code);
        Assert.Equal("Cannot evict pod as it would violate the pod's disruption budget.", refused.Message);
        Assert.Equal("The disruption budget web needs 1 healthy pods and has 2 currently", refused.Details!.Causes![0].Message);
        Assert.False((await Admin.GetAsync(Kinds.Pod, "default", "b", Cancel)).Object!.IsDeleting);
    }

    [Fact]
    public async Task A_dry_run_spends_nothing_and_a_pod_that_never_ran_needs_nothing()
    {
        await RunningAsync("a");
        await Make(Kinds.Pod, Pod("waits"));
        await BudgetAsync(allowed: 0);
        Assert.Null((await EvictAsync("waits")).Error);
        Assert.Equal(429, (await EvictAsync("a")).Error!.Code);
        await Admin.PatchAsync(Kinds.PodDisruptionBudget, "default", "web", PatchType.Merge, Json("""{"status":{"disruptionsAllowed":1}}"""), Cancel, "status");
        Assert.Null((await EvictAsync("a", """{"dryRun":["All"]}""")).Error);
        Assert.Equal(1, (int)(await Admin.GetAsync(Kinds.PodDisruptionBudget, "default", "web", Cancel)).Object!.ToNode()["status"]!["disruptionsAllowed"]!);
    }

    [Theory]
    [InlineData("""{"minAvailable":1,"maxUnavailable":1}""")]
    [InlineData("""{"minAvailable":-1}""")]
    [InlineData("""{"maxUnavailable":"101%"}""")]
    [InlineData("""{"maxUnavailable":"many"}""")]
    public async Task A_budget_that_makes_no_sense_is_refused(string spec)
    {
        JsonObject budget = Json("""{"metadata":{"name":"x"}}""");
        budget["spec"] = JsonNode.Parse(spec);
        Assert.Equal(422, (await Admin.CreateAsync(Kinds.PodDisruptionBudget, "default", budget, Cancel)).Error!.Code);
    }

    private async Task BudgetAsync(int allowed)
    {
        await Make(Kinds.PodDisruptionBudget, Json("""{"metadata":{"name":"web"},"spec":{"minAvailable":1,"selector":{}}}"""));
        JsonObject status = Json("""{"status":{"observedGeneration":1,"currentHealthy":2,"desiredHealthy":1,"expectedPods":2}}""");
        status["status"]!["disruptionsAllowed"] = allowed;
        Assert.Null((await Admin.PatchAsync(Kinds.PodDisruptionBudget, "default", "web", PatchType.Merge, status, Cancel, "status")).Error);
    }

    private async Task RunningAsync(string name)
    {
        await Make(Kinds.Pod, Pod(name, ",\"nodeName\":\"n\""));
        Assert.Null((await Admin.PatchAsync(Kinds.Pod, "default", name, PatchType.Merge, Json("""{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"""), Cancel, "status")).Error);
    }

    private ValueTask<ApiResult> EvictAsync(string name, string? options = null)
    {
        var eviction = new JsonObject { ["apiVersion"] = "policy/v1", ["kind"] = "Eviction", ["metadata"] = new JsonObject { ["name"] = name } };
        if (options is not null)
            eviction["deleteOptions"] = JsonNode.Parse(options);
        return Admin.CreateAsync(Kinds.Pod, "default", eviction, Cancel, name, "eviction");
    }
}
