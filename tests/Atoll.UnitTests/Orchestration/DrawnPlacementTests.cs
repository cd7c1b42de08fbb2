using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Binding;
using Atoll.Orchestration.Loop;
using Atoll.Scheduling.Online;
using Atoll.UnitTests.Scheduling;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Orchestration;

/// <summary>
/// The placement loop over an API in which everything is drawn: all constraints and forms, named profiles and scheduling gates. Each of its
/// plans is proven by <see cref="EveryPlan"/>.
/// </summary>
public sealed class DrawnPlacementTests
{
    [Fact]
    public void Gated_pods_wait_and_the_fleet_that_the_loop_keeps_plans_as_one_made_anew() =>
        DrawnCases.Each(120, (5, 10, 8), c => new Drawn(c).RunAsync().GetAwaiter().GetResult(), (533554580, 2, 10, 2), (430567148, 1, 9, 7), (608795899, 2, 6, 6)); // The fake answers at once.

    private sealed class Drawn((int Seed, int Nodes, int Pods, int Pending) drawn)
    {
        private readonly Random _random = new(drawn.Seed ^ 0x6a7e);
        private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
        private readonly HashSet<string> _gated = new(StringComparer.Ordinal);
        private FakeApi _api = null!;
        private Cluster _cluster = null!;

        public async Task RunAsync()
        {
            _api = new FakeApi(_time);
            _cluster = new Cluster(_api, _time, new Random(1), NullLoggerFactory.Instance);
            var mirrors = new FakeMirrors(_api, _cluster);
            var loop = new PlacementLoop(_cluster);
            var fleet = new MixedFleet(drawn.Seed, drawn.Nodes, drawn.Pods, drawn.Pending);
            KubeObject[] all = [.. fleet.Namespaces, .. fleet.Others, .. fleet.Profiles, .. fleet.Nodes, .. fleet.Pods, .. fleet.Pending.Select(Gated)];
            _random.Shuffle(all);
            foreach (KubeObject value in all)
                Assert.Null((await _api.CreateAsync(Kinds.Find(value.ApiVersion, value.Kind)!, value.Namespace, value.ToNode(), default)).Error);
            for (int round = 0; round < 7; round++)
            {
                await BindClaimsAsync();
                mirrors.Pump();
                await loop.StepAsync(default);
                mirrors.Pump();
                Assert.All(_gated, key => Assert.Null(_api.Find(Kinds.Pod, key)?.View(ApiJson.Default.Pod).Spec.NodeName));
                // Who has to go goes, some of them later.
                foreach (KubeObject pod in _api.All(Kinds.Pod))
                    if (pod.IsDeleting && _random.Next(3) > 0)
                        _api.Finish(Kinds.Pod, pod);
                if (round >= 2)
                    await OpenAsync();
                _time.Advance(TimeSpan.FromSeconds(20));
            }
            await BindClaimsAsync();
            mirrors.Pump();
            List<KubeObject> pods = _api.All(Kinds.Pod);
            List<KubeObject> waiting = [.. pods.Where(p => !p.IsDeleting && !_gated.Contains(p.Key) && p.View(ApiJson.Default.Pod) is { Spec.NodeName: null or "", Status: null or { Phase: null or "Pending" } }).OrderBy(p => p.Key, StringComparer.Ordinal)];
            Snapshot anew = Documents.Fleet(_api.All(Kinds.Node), pods.Where(p => waiting.Contains(p) || !string.IsNullOrEmpty(p.View(ApiJson.Default.Pod).Spec.NodeName)), _cluster.Copies.SelectMany(c => c.Type == Kinds.Node || c.Type == Kinds.Pod ? [] : _api.All(c.Type)));
            foreach (KubeObject ns in _api.All(Kinds.Namespace))
                anew.UpsertNamespace(ns);
            Assert.Equal(Told(Scheduler.Plan(anew, waiting, fleet.Options(drawn.Seed))), Told(Scheduler.Plan(loop.Fleet(), waiting, fleet.Options(drawn.Seed))));
        }

        private static string[] Told(Plan plan) =>
            [.. plan.Placements.Select(p => $"{p.Pod.Key} {p.Node} {p.Message} {p.Nominated} {p.Reservation} {p.Allocation} {p.Gang} {string.Join(',', p.Victims.Select(v => v.Uid))} {string.Join(',', p.Volumes)}")];

        private KubeObject Gated(KubeObject pod)
        {
            if (_random.Next(4) > 0 || pod.View(ApiJson.Default.Pod).Spec.NodeName is not null)
                return pod;
            _gated.Add(pod.Key);
            return KubeObject.FromNode(Documents.Merge(pod.ToNode(), new JsonObject { ["spec"] = new JsonObject { ["schedulingGates"] = new JsonArray(new JsonObject { ["name"] = "example.com/later" }) } }));
        }

        private async Task OpenAsync()
        {
            foreach (string key in _gated.ToList())
                if (_random.Next(3) == 0 && _gated.Remove(key) && _api.Find(Kinds.Pod, key) is { } pod)
                    await _api.PatchAsync(Kinds.Pod, pod.Namespace, pod.Name, PatchType.Merge, new JsonObject { ["spec"] = new JsonObject { ["schedulingGates"] = null } }, default);
        }

        // What the claims' controller does with a volume that was set aside.
        private async Task BindClaimsAsync()
        {
            foreach (KubeObject volume in _api.All(Kinds.PersistentVolume))
                if (volume.View(ApiJson.Default.PersistentVolume).Spec.ClaimRef is { } its && _api.Find(Kinds.PersistentVolumeClaim, $"{its.Namespace}/{its.Name}") is { } claim && string.IsNullOrEmpty(claim.View(ApiJson.Default.PersistentVolumeClaim).Spec.VolumeName))
                    await _api.PatchAsync(Kinds.PersistentVolumeClaim, claim.Namespace, claim.Name, PatchType.Merge, new JsonObject { ["spec"] = new JsonObject { ["volumeName"] = volume.Name } }, default);
        }
    }
}
