using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Sites;

/// <summary>A site of three nodes loses nodes, agents and its line, and none of its work. The tests leave it whole.</summary>
[Collection(SitesGroup.Name)]
public sealed partial class NodesTests(LocalRig rig, LanSite lan) : IClassFixture<LanSite>
{
    /// <summary>From the death of a node to its pods running on others: dead after 8 s, replaced within 10; more for a loaded machine.</summary>
    private const double Soon = 20;

    [Fact]
    public async Task An_agents_crash_replaces_nothing_and_a_nodes_death_its_pods_and_what_comes_back_is_stopped()
    {
        rig.Need();
        string mark = Pods.Mark();
        await using (await DeployAsync("nodes-web", mark))
        {
            Dictionary<string, PodFact> start = await RunningAsync("nodes-web", 3);
            Assert.Equal(3, start.Values.Select(p => p.Node).Distinct().Count());

            // Every node answers for all, and streams reach the node that runs the pod.
            foreach (RigSite node in lan.All)
                Assert.Contains("nodes-web", await lan.KubectlAsync(node, "get", "pods", "-o", "wide"), StringComparison.Ordinal);
            foreach (string pod in start.Keys)
            {
                Assert.Equal("started\n", await rig.KubectlAsync("logs", pod));
                Assert.Equal("inside\n", await rig.KubectlAsync("exec", pod, "--", "echo", "inside"));
                Assert.Equal("here\n", await lan.KubectlAsync(lan.Two, "exec", pod, "--", "echo", "here"));
            }
            Assert.Contains("Led: True", await LocalRig.AtollAsync("site", "show", lan.Name, "--kubeconfig", rig.Kubeconfig), StringComparison.Ordinal);

            RigSite leader = await lan.LeaderAsync(), dead = lan.All.First(n => n != leader), other = lan.All.First(n => n != leader && n != dead);
            // The agent alone: its supervisor goes on telling that the node lives, and starts it again.
            int agent = lan.AgentOf(dead);
            Programs.Kill(agent);
            await Until.TrueAsync("the agent is started again", 20, () => Programs.Find(f => File.ReadAllText($"{f}/cmdline").StartsWith($"{Built.Agent}\0run\0--state\0{rig.StateOf(dead)}\0", StringComparison.Ordinal)).Any(p => p != agent));
            using ApiView deadApi = LocalRig.SiteApi(dead);
            await Until.TrueAsync("it answers", 30, async () => await deadApi.PodsAsync() is not null);
            AssertSame(start, await RunningAsync("nodes-web", 3));

            // All of it.
            var clock = Stopwatch.StartNew();
            await lan.DieAsync(dead);
            Dictionary<string, PodFact> after = await RunningAsync("nodes-web", 3, without: dead);
            Assert.True(clock.Elapsed.TotalSeconds < Soon, $"took {clock.Elapsed.TotalSeconds:0.0} s");
            TestContext.Current.TestOutputHelper?.WriteLine($"connected: replaced {clock.Elapsed.TotalSeconds:0.0} s after the node was killed");
            Assert.Equal("Unknown", await rig.ReadyOfAsync(dead));
            Assert.Equal("True", await rig.ReadyOfAsync(other));
            (string lost, _) = Assert.Single(start, p => p.Value.Node == dead.Name);
            JsonObject given = (await rig.Centre.GetAsync($"/api/v1/namespaces/default/pods/{lost}"))!;
            Assert.Equal(("Failed", "NodeLost"), ((string?)given["status"]!["phase"], (string?)given["status"]!["reason"]));
            AssertSame(start.Where(p => p.Value.Node != dead.Name), after);
            await Until.TrueAsync("three replicas are available", 30, async () => (int?)(await rig.Centre.GetAsync("/apis/apps/v1/namespaces/default/deployments/nodes-web"))?["status"]?["availableReplicas"] == 3);

            // It comes back: what was replaced does not run beside its replacement.
            await lan.StartAsync(dead);
            await lan.ReadyAsync(dead);
            AssertSame(after, await RunningAsync("nodes-web", 3));
            await Until.TrueAsync("nothing runs twice", 20, () => Programs.WithLastArgument(mark).Count == 3);
        }
    }

    [Fact]
    public async Task Cut_off_another_node_leads_and_replaces_and_the_centre_adopts_without_a_restart()
    {
        rig.Need();
        string mark = Pods.Mark();
        await using (await DeployAsync("nodes-cut", mark))
        {
            Dictionary<string, PodFact> start = await RunningAsync("nodes-cut", 3);
            RigSite dead = await lan.LeaderAsync(), other = lan.All.First(n => n != dead);
            using ApiView site = LocalRig.SiteApi(other);
            Dictionary<string, PodFact> alone;
            await using (await lan.CutAsync())
            {
                await Until.TrueAsync("the centre sees the cut", 60, async () => await rig.PhaseOfAsync(lan.Name) == "Disconnected");
                var clock = Stopwatch.StartNew();
                await lan.DieAsync(dead);
                alone = await RunningAsync("nodes-cut", 3, without: dead, at: site);
                Assert.True(clock.Elapsed.TotalSeconds < Soon, $"took {clock.Elapsed.TotalSeconds:0.0} s");
                TestContext.Current.TestOutputHelper?.WriteLine($"cut, the leader itself: replaced {clock.Elapsed.TotalSeconds:0.0} s after it was killed");
                await Until.TrueAsync("another node says that it leads", 10, async () => await lan.LeaderAsync() != dead);
                Assert.Equal(start.Keys.Order(), (await rig.Centre.PodsAsync())!.Keys.Where(n => n.StartsWith("nodes-cut-", StringComparison.Ordinal)).Order()); // Proof that the line is cut.
            }
            // The centre takes them over as they are: same identity, same container.
            Dictionary<string, PodFact> adopted = await RunningAsync("nodes-cut", 3, without: dead);
            AssertSame(alone, adopted);
            (string made, _) = Assert.Single(adopted, p => !start.ContainsKey(p.Key));
            JsonObject pod = (await rig.Centre.GetAsync($"/api/v1/namespaces/default/pods/{made}"))!;
            Assert.Equal("site", (string?)pod["metadata"]!["labels"]!["edge.atoll.dev/created-by"]);
            Assert.Equal("ReplicaSet", (string?)pod["metadata"]!["ownerReferences"]![0]!["kind"]);
            await Until.TrueAsync("three replicas, counted once", 60, async () =>
                (await rig.Centre.GetAsync("/apis/apps/v1/namespaces/default/deployments/nodes-cut"))?["status"] is { } status && (int?)status["replicas"] == 3 && (int?)status["availableReplicas"] == 3);
            Assert.Equal(3, Programs.WithLastArgument(mark).Count);

            await lan.StartAsync(dead);
            await lan.ReadyAsync(dead);
            AssertSame(adopted, await RunningAsync("nodes-cut", 3));
            Assert.Equal(3, Programs.WithLastArgument(mark).Count);
        }
    }

    [Fact]
    public async Task A_node_without_a_majority_replaces_nothing_says_why_and_its_identity_runs_elsewhere_but_never_twice()
    {
        rig.Need();
        string mark = Pods.Mark(), identity = Pods.Mark();
        RigSite leader = await lan.LeaderAsync(), alone = lan.All.First(n => n != leader);
        await using (await DeployAsync("nodes-half", mark))
        await using (await IdentityAsync("nodes-db", alone, identity))
        {
            Dictionary<string, PodFact> start = await RunningAsync("nodes-half", 3);
            PodFact holder = (await RunningAsync("nodes-db", 1))["nodes-db-0"], taken;
            Assert.Equal(alone.Name, holder.Node);
            using ApiView others = LocalRig.SiteApi(leader);
            await using var never = new NeverTwice(identity);
            await using (await lan.CutAsync())
            {
                // One node of three, with neither its peers nor the centre.
                await lan.PlugAsync(alone, plugged: false);
                using ApiView api = LocalRig.SiteApi(alone);
                await Until.TrueAsync("the condition says why", 60, async () => LanSite.LedOf(await api.GetAsync(lan.Path)) is var led
                    && led.StartsWith("False", StringComparison.Ordinal) && led.Contains("1 of the site's 3 nodes", StringComparison.Ordinal), () => rig.LogAsync($"site-{alone.Name}"));
                Assert.DoesNotContain((await api.PodsAsync())!, p => p.Key.StartsWith("nodes-half-", StringComparison.Ordinal) && !start.ContainsKey(p.Key));
                (string mine, PodFact pod) = Assert.Single(start, p => p.Value.Node == alone.Name);
                Assert.Equal((pod.ContainerId, pod.Restarts), ((await api.PodsAsync())![mine].ContainerId, (await api.PodsAsync())![mine].Restarts));
                // It stops the identity by itself, and only then the others start it.
                taken = (await RunningAsync("nodes-db", 1, without: alone, at: others))["nodes-db-0"];
                Assert.NotEqual(holder.Uid, taken.Uid);
                await lan.PlugAsync(alone, plugged: true);
            }
            await lan.ReadyAsync(alone);
            // The centre takes it over as it is: the name has another UID, and nothing was restarted.
            await Until.TrueAsync("the centre has the new holder", 60, async () => (await rig.Centre.PodsAsync())?.GetValueOrDefault("nodes-db-0")?.Uid == taken.Uid, () => rig.LogAsync($"site-{leader.Name}"));
            AssertSame([new("nodes-db-0", taken)], await RunningAsync("nodes-db", 1, without: alone));
            Dictionary<string, PodFact> after = await RunningAsync("nodes-half", 3);
            await Until.TrueAsync("nothing runs twice", 30, () => Programs.WithLastArgument(mark).Count == 3);
            AssertSame(start.Where(p => p.Value.Node != alone.Name), after);
        }
    }

    private static void AssertSame(IEnumerable<KeyValuePair<string, PodFact>> expected, Dictionary<string, PodFact> actual)
    {
        foreach ((string name, PodFact pod) in expected)
            Assert.Equal((name, pod.Uid, pod.ContainerId, pod.Restarts), (name, actual.GetValueOrDefault(name)?.Uid, actual.GetValueOrDefault(name)?.ContainerId, actual.GetValueOrDefault(name)?.Restarts));
    }

    private async Task<Dictionary<string, PodFact>> RunningAsync(string name, int count, RigSite? without = null, ApiView? at = null)
    {
        var found = new Dictionary<string, PodFact>();
        await Until.TrueAsync($"{count} pods of {name} run", 60, async () =>
        {
            found = ((at is null ? await rig.Centre.PodsAsync() : await at.PodsAsync()) ?? []).Where(p => p.Key.StartsWith(name + "-", StringComparison.Ordinal) && p.Value is { Phase: "Running", Ready: true, IsEnding: false } && p.Value.Node != without?.Name).ToDictionary();
            return found.Count == count;
        }, () => rig.KubectlAsync("get", "pods", "-o", "wide"));
        return found;
    }

    private async Task<IAsyncDisposable> DeployAsync(string name, string mark, int replicas = 3)
    {
        await rig.Centre.SendAsync(HttpMethod.Post, "/apis/apps/v1/namespaces/default/deployments", JsonNode.Parse($$"""
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"{{name}}"},"spec":{"replicas":{{replicas}},"selector":{"matchLabels":{"app":"{{name}}"} },"template":{
              "metadata":{"labels":{"app":"{{name}}"} },"spec":{"terminationGracePeriodSeconds":1,"nodeSelector":{"edge.atoll.dev/site":"{{lan.Name}}"},
                "topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"kubernetes.io/hostname","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"{{name}}"} } }],
                "containers":[{"name":"main","image":"{{Pods.Image}}","command":["/bin/sh","-c","echo started; exec sleep {{mark}}"]}]} } } }
            """));
        return new Deployed(rig, name, mark);
    }

    // One pod with an identity, preferably on a node.
    private async Task<IAsyncDisposable> IdentityAsync(string name, RigSite node, string mark)
    {
        await rig.Centre.SendAsync(HttpMethod.Post, "/apis/apps/v1/namespaces/default/statefulsets", JsonNode.Parse($$"""
            {"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"{{name}}"},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"{{name}}"} },"template":{
              "metadata":{"labels":{"app":"{{name}}"} },"spec":{"terminationGracePeriodSeconds":1,"nodeSelector":{"edge.atoll.dev/site":"{{lan.Name}}"},
                "affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":100,"preference":{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["{{node.Name}}"]}]} }]} },
                "containers":[{"name":"main","image":"{{Pods.Image}}","command":["/bin/sh","-c","exec sleep {{mark}}"]}]} } } }
            """));
        return new Deployed(rig, name, mark, "statefulsets");
    }

    /// <summary>Looks, as often as it can, whether two processes of an identity run.</summary>
    private sealed class NeverTwice : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _looking;

        public NeverTwice(string mark) => _looking = Task.Run(() =>
        {
            while (!_stop.IsCancellationRequested)
            {
                List<int> run = Programs.WithLastArgument(mark);
                Assert.True(run.Count <= 1, $"processes {string.Join(" and ", run)} run at once");
                _stop.Token.WaitHandle.WaitOne(100);
            }
        });

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _looking;
            _stop.Dispose();
        }
    }

    private sealed class Deployed(LocalRig rig, string name, string mark, string kind = "deployments") : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await rig.Centre.DeleteAsync($"/apis/apps/v1/namespaces/default/{kind}/{name}");
            await Until.TrueAsync("its pods are gone", 60, async () => Programs.WithLastArgument(mark).Count == 0 && !(await rig.Centre.PodsAsync() ?? []).Keys.Any(k => k.StartsWith(name + "-", StringComparison.Ordinal)));
        }
    }
}
