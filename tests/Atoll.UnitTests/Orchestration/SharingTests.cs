using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.UnitTests.Orchestration;

/// <summary>What the status of quotas and profiles says.</summary>
public sealed class SharingTests : IDisposable
{
    private readonly World _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public async Task A_quota_shows_what_it_and_those_below_use()
    {
        await QuotaAsync("team", """{"min":{"cpu":"2"},"max":{"cpu":"4","memory":"1Gi"},"parent":"all"}""");
        await _world.SettleAsync();
        Assert.Equal(("False", "ParentMissing"), Ready("team"));
        await QuotaAsync("all", """{"min":{"cpu":"1"}}""");
        await PodAsync("a", "1500m");
        await PodAsync("b", "250m");
        await _world.SettleAsync();
        Assert.Equal(("True", "Ready"), Ready("team"));
        Assert.Equal(("False", "Overcommitted"), Ready("all"));
        Assert.Equal(("1750m", "0"), (Quota("team").Used!["cpu"], Quota("team").Used!["memory"]));
        Assert.Equal("1750m", Quota("all").Used!["cpu"]);
        await _world.PhaseAsync(_world.Api.Find(Kinds.Pod, "default/a")!, "Succeeded");
        await _world.PatchAsync(Kinds.ElasticQuota, "all", """{"spec":{"parent":"team"}}""");
        await _world.SettleAsync();
        Assert.Equal("250m", Quota("team").Used!["cpu"]);
        Assert.Equal(("False", "Circle"), Ready("team"));
    }

    [Fact]
    public async Task A_reservation_shows_who_took_of_it_loses_a_node_that_is_gone_and_expires()
    {
        _world.Nodes.Clear();
        await _world.CreateAsync(Kinds.Reservation, """{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Reservation","metadata":{"name":"r"},"spec":{"resources":{"cpu":"2"},"owners":[{"namespace":"default"}],"ttlSeconds":60}}""");
        await _world.SettleAsync();
        Assert.Equal("Pending", Kept().Phase);
        await _world.PatchAsync(Kinds.Reservation, "r", """{"status":{"nodeName":"n0"}}""", "status");
        await _world.CreateAsync(Kinds.Pod, """{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"edge.atoll.dev/reservation":"r"}},"spec":{"nodeName":"n0","containers":[{"name":"c","resources":{"requests":{"cpu":"1500m"}}}]}}""");
        await _world.SettleAsync();
        Assert.Equal(("Available", "1500m", "default/p"), (Kept().Phase, Kept().Allocated!["cpu"], Kept().CurrentOwners!.Single()));
        await _world.Api.DeleteAsync(Kinds.Node, null, "n0", Atoll.Api.Resources.DeleteOptions.Default, default);
        await _world.SettleAsync();
        Assert.Equal(("Pending", null, "NodeLost"), (Kept().Phase, Kept().NodeName, Kept().Conditions!.Single().Reason));
        await _world.SettleAsync(TimeSpan.FromSeconds(61));
        Assert.Equal(("Expired", "Expired"), (Kept().Phase, Kept().Conditions!.Single().Reason));
    }

    private ReservationStatus Kept() => _world.Api.Find(Kinds.Reservation, "r")!.View(ApiJson.Default.Reservation).Status!;

    [Fact]
    public async Task A_broken_profile_is_told_and_the_last_good_settings_are_kept()
    {
        await _world.CreateAsync(Kinds.SchedulerProfile, """{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"SchedulerProfile","metadata":{"name":"packing"},"spec":{"scoringStrategy":{"type":"MostAllocated"}}}""");
        await _world.SettleAsync();
        Assert.Equal(("True", "These settings are in use."), Accepted());
        await _world.PatchAsync(Kinds.SchedulerProfile, "packing", """{"spec":{"weights":{"NodeAffinity":1000}}}""");
        await _world.SettleAsync();
        Assert.Equal(("False", "spec.weights[NodeAffinity]: 1000 is not in the range 0-100. The last good settings stay in use."), Accepted());
        Assert.Equal(("MostAllocated", null), (Profile().Active!.ScoringStrategy!.Type, Profile().Active!.Weights));
    }

    private Task QuotaAsync(string name, string spec) => _world.CreateAsync(Kinds.ElasticQuota, $$$$"""{"apiVersion":"scheduling.x-k8s.io/v1alpha1","kind":"ElasticQuota","metadata":{"name":"{{{{name}}}}"},"spec":{{{{spec}}}}}""");

    private Task PodAsync(string name, string cpu) => _world.CreateAsync(Kinds.Pod, $$$$$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{{{{name}}}}}}","labels":{"scheduling.x-k8s.io/elastic-quota":"team"}},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"{{{{{{cpu}}}}}}"}}}]}}""");

    private ElasticQuotaStatus Quota(string name) => _world.Api.Find(Kinds.ElasticQuota, $"default/{name}")!.View(ApiJson.Default.ElasticQuota).Status!;

    private (string, string?) Ready(string name) => Quota(name).Conditions!.Single() is var c ? (c.Status, c.Reason) : default;

    private SchedulerProfileStatus Profile() => _world.Api.Find(Kinds.SchedulerProfile, "packing")!.View(ApiJson.Default.SchedulerProfile).Status!;

    private (string, string?) Accepted() => Profile().Conditions!.Single() is var c ? (c.Status, c.Message) : default;
}
