using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.UnitTests.Orchestration;

/// <summary>What a PodDisruptionBudget's status says.</summary>
public sealed class DisruptionTests : IDisposable
{
    private readonly World _world = new();

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData("\"minAvailable\":2", 4, 2, 2)]
    [InlineData("\"minAvailable\":\"50%\"", 4, 2, 2)]
    [InlineData("\"maxUnavailable\":1", 4, 3, 1)]
    [InlineData("\"maxUnavailable\":\"30%\"", 4, 2, 2)]
    [InlineData("\"minAvailable\":9", 4, 9, 0)]
    public async Task The_budget_follows_its_pods(string rule, int expected, int desired, int allowed)
    {
        await _world.CreateAsync(Kinds.Deployment, """
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":4,"selector":{"matchLabels":{"app":"web"}},
             "template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"a:1"}]}}}}
            """);
        await _world.CreateAsync(Kinds.PodDisruptionBudget, """{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b"},"spec":{RULE,"selector":{"matchLabels":{"app":"web"}}}}""".Replace("RULE", rule, StringComparison.Ordinal));
        await _world.SettleAsync();
        PodDisruptionBudgetStatus status = Status();
        Assert.Equal((expected, 4, desired, allowed), (status.ExpectedPods, status.CurrentHealthy, status.DesiredHealthy, status.DisruptionsAllowed));
        Assert.Equal(1, status.ObservedGeneration);
        // One that a line that is cut hides is not known to be healthy.
        string node = _world.ActivePods()[0].View(ApiJson.Default.Pod).Spec.NodeName!;
        int hidden = _world.ActivePods().Count(p => p.View(ApiJson.Default.Pod).Spec.NodeName == node);
        await _world.NodeAsync(node, "Unknown");
        await _world.SettleAsync();
        Assert.Equal((4 - hidden, Math.Max(0, 4 - hidden - desired)), (Status().CurrentHealthy, Status().DisruptionsAllowed));
    }

    [Fact]
    public async Task A_granted_eviction_counts_until_the_pod_went_or_two_minutes_passed()
    {
        foreach (string pod in new[] { "a", "b" })
            await _world.CreateAsync(Kinds.Pod, """{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","labels":{"app":"x"}},"spec":{"containers":[{"name":"c","image":"i"}]}}""".Replace("NAME", pod, StringComparison.Ordinal));
        await _world.CreateAsync(Kinds.PodDisruptionBudget, """{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"x"}}}}""");
        await _world.SettleAsync();
        Assert.Equal(1, Status().DisruptionsAllowed);
        await _world.PatchAsync(Kinds.PodDisruptionBudget, "b", """{"status":{"disruptionsAllowed":0,"disruptedPods":{"a":"NOW"}}}""".Replace("NOW", KubeTime.Format(_world.Time.GetUtcNow()), StringComparison.Ordinal), "status");
        await _world.SettleAsync();
        Assert.Equal((0, 1), (Status().DisruptionsAllowed, Status().CurrentHealthy));
        await _world.SettleAsync(TimeSpan.FromMinutes(3));
        Assert.Equal((1, 2), (Status().DisruptionsAllowed, Status().CurrentHealthy));
        Assert.Null(Status().DisruptedPods);
    }

    private PodDisruptionBudgetStatus Status() => _world.Api.Find(Kinds.PodDisruptionBudget, "default/b")!.View(ApiJson.Default.PodDisruptionBudget).Status!;
}
