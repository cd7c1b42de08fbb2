using System.Diagnostics;

namespace Atoll.EndToEnd.Sites;

/// <summary>What a site of two nodes survives, by whose word, and what it refuses.</summary>
public sealed partial class NodesTests
{
    [Fact]
    public async Task Of_two_nodes_one_goes_on_with_the_centres_vote()
    {
        rig.Need();
        string mark = Pods.Mark();
        await TwoAsync(async () =>
        {
            await using IAsyncDisposable deployed = await DeployAsync("nodes-two", mark, 2);
            await RunningAsync("nodes-two", 2);
            RigSite first = await lan.LeaderAsync();
            var clock = Stopwatch.StartNew();
            await lan.DieAsync(first);
            await ReplacedAsync("two nodes, the centre's vote", "nodes-two", first, clock);
            await lan.StartAsync(first);
            await lan.ReadyAsync(first);
        });
    }

    [Fact]
    public async Task Cut_off_one_of_two_nodes_goes_on_with_the_witness_vote_and_without_it_says_why_it_does_not()
    {
        rig.Need();
        string mark = Pods.Mark();
        await TwoAsync(async () =>
        {
            await lan.StartWitnessAsync();
            await RestartAsync(lan.Two, "--witness", lan.WitnessAddress);
            await lan.VotingAsync([$"and the witness at {lan.WitnessAddress}."]);
            await using (await DeployAsync("nodes-wit", mark, 2))
                await LoseTheOtherAsync("nodes-wit");
            await RestartAsync(lan.Two, "--witness", "none");
            await RestartAsync(lan.One, "--witness", "none");
            await lan.VotingAsync(["and the parent"]);
            await lan.DieAsync(lan.Fourth);
        });
    }

    private async Task LoseTheOtherAsync(string name)
    {
        Dictionary<string, PodFact> start = await RunningAsync(name, 2);
        RigSite first = await lan.LeaderAsync(), second = Other(first);
        // Until the one that stays has the new list of voters itself, the former ones are asked as well, and the line is going to be cut.
        await lan.ChangedAsync(second, $"and the witness at {lan.WitnessAddress}.");
        await using (await lan.CutAsync())
        {
            // Neither the other nor the witness: nothing is replaced.
            await lan.DieAsync(lan.Fourth);
            await lan.DieAsync(first);
            using ApiView alone = LocalRig.SiteApi(second);
            await Until.TrueAsync("the condition says why", 60, async () => LanSite.LedOf(await alone.GetAsync(lan.Path)) is var led && led.StartsWith("False", StringComparison.Ordinal)
                && led.Contains($"1 of the site's 2 nodes and has no vote of the witness at {lan.WitnessAddress}", StringComparison.Ordinal), () => rig.LogAsync($"site-{second.Name}"));
            Assert.Equal(start.Keys.Order(), (await alone.PodsAsync())!.Keys.Where(n => n.StartsWith(name + "-", StringComparison.Ordinal)).Order());

            // Its word is all that was missing.
            var clock = Stopwatch.StartNew();
            await lan.StartWitnessAsync();
            Dictionary<string, PodFact> after = await ReplacedAsync("two nodes, cut off, the witness comes back", name, first, clock);
            AssertSame(start.Where(p => p.Value.Node == second.Name), after);

            // With it from the start: the leader dies, the other takes its place.
            await lan.StartAsync(first, "--witness", lan.WitnessAddress);
            await lan.ChangedAsync(first, $"Node {second.Name} leads");
            using (ApiView copy = ApiView.OfSite($"/run/atoll/{first.Name}/api.sock", here: true))
                await RunningAsync(name, 2, without: first, at: copy);
            clock.Restart();
            await lan.DieAsync(second);
            await ReplacedAsync("two nodes, cut off, a witness", name, second, clock);
        }
        await lan.StartAsync(second);
        await lan.ReadyAsync(second);
    }

    [Fact]
    public async Task With_a_power_fence_one_of_two_nodes_has_the_other_switched_off_and_goes_on_alone()
    {
        rig.Need();
        string mark = Pods.Mark(), identity = Pods.Mark(), broken = $"{rig.Home}/run/fence.broken";
        await TwoAsync(async () =>
        {
            await StartFencedAsync(broken);
            await using (await DeployAsync("nodes-off", mark, 2))
            await using (await IdentityAsync("nodes-offdb", lan.Two, identity))
            await using (new NeverTwice(identity))
                await LoseEachOtherAsync(broken, mark, identity);
            await BothAsync();
            await lan.VotingAsync(["and the parent"]);
        });
    }

    private async Task LoseEachOtherAsync(string broken, string mark, string identity)
    {
        await RunningAsync("nodes-off", 2);
        await RunningAsync("nodes-offdb", 1);
        RigSite alone = lan.One;
        bool found = false;
        Dictionary<string, PodFact> after;
        await using (await lan.CutAsync())
        {
            // Both are well, and do not see each other; neither can do anything about the other, so neither does anything.
            await File.WriteAllTextAsync(broken, "");
            await lan.PlugAsync(lan.Two, plugged: false);
            using ApiView one = LocalRig.SiteApi(lan.One);
            await Until.TrueAsync("the condition says why", 60, async () => LanSite.LedOf(await one.GetAsync(lan.Path)) is var led && led.StartsWith("False", StringComparison.Ordinal)
                && led.Contains($"has not had node {lan.Two.Name} switched off", StringComparison.Ordinal) && led.Contains("ended with 1: the power switch does not answer", StringComparison.Ordinal), () => rig.LogAsync($"site-{lan.One.Name}"));
            Assert.Equal(2, Programs.WithLastArgument(mark).Count);

            var clock = Stopwatch.StartNew();
            File.Delete(broken);
            await Until.TrueAsync("one of them goes on alone", 60, async () =>
            {
                foreach (RigSite node in (RigSite[])[lan.One, lan.Two])
                {
                    using ApiView own = LocalRig.SiteApi(node);
                    if (LanSite.LedOf(await own.GetAsync(lan.Path)) is var led && led.Contains($"for it had node {Other(node).Name} switched off", StringComparison.Ordinal))
                        (alone, found) = (node, true);
                }
                return found;
            }, () => rig.LogAsync($"site-{lan.One.Name}"));
            Assert.Empty(lan.ProcessesOf(Other(alone)));
            using ApiView left = LocalRig.SiteApi(alone);
            after = await RunningAsync("nodes-off", 2, without: Other(alone), at: left);
            await RunningAsync("nodes-offdb", 1, without: Other(alone), at: left);
            TestContext.Current.TestOutputHelper?.WriteLine($"two nodes, cut off from all and from each other: replaced {clock.Elapsed.TotalSeconds:0.0} s after the fence could be reached");
        }
        // What was switched off boots, and follows.
        await lan.PlugAsync(lan.Two, plugged: true);
        await lan.StartAsync(Other(alone), "--fence", FencePath);
        await lan.VotingAsync([$"Node {alone.Name} leads the site", ", of which one goes on alone"]);
        AssertSame(after, await RunningAsync("nodes-off", 2));
        Assert.Equal((2, 1), (Programs.WithLastArgument(mark).Count, Programs.WithLastArgument(identity).Count));
    }

    private string FencePath => $"{rig.Home}/run/fence-node";

    private RigSite Other(RigSite first) => first == lan.One ? lan.Two : lan.One;

    private async Task RestartAsync(RigSite node, params string[] more)
    {
        await lan.DieAsync(node);
        await lan.StartAsync(node, more);
        await lan.ReadyAsync(node);
    }

    // Both pods run at the node that is left, by its own word.
    private async Task<Dictionary<string, PodFact>> ReplacedAsync(string how, string name, RigSite dead, Stopwatch clock)
    {
        using ApiView left = LocalRig.SiteApi(Other(dead));
        Dictionary<string, PodFact> after = await RunningAsync(name, 2, without: dead, at: left);
        TestContext.Current.TestOutputHelper?.WriteLine($"{how}: replaced after {clock.Elapsed.TotalSeconds:0.0} s");
        Assert.True(clock.Elapsed.TotalSeconds < Soon, $"{how}: took {clock.Elapsed.TotalSeconds:0.0} s");
        return after;
    }

    // Both start with a power switch in reach, which kills all of a node at once.
    private async Task StartFencedAsync(string broken)
    {
        await File.WriteAllTextAsync(FencePath, $$"""
            #!/bin/sh
            if [ -e {{broken}} ]; then echo "the power switch does not answer" >&2; exit 1; fi
            for turn in $(seq 50); do
              left=$(grep -lE "[s]ites/$1|/run/[a]toll/$1" /proc/[0-9]*/cmdline; grep -l "atoll-$1" /proc/[0-9]*/cgroup)
              [ -n "$left" ] || exit 0
              for file in $left; do file=${file#/proc/}; kill -9 "${file%%/*}"; done
              sleep 0.1
            done
            exit 2

            """);
        File.SetUnixFileMode(FencePath, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await BothAsync("--fence", FencePath);
        await lan.VotingAsync([", of which one goes on alone"]);
    }

    private async Task BothAsync(params string[] more)
    {
        RigSite[] both = [lan.One, lan.Two];
        foreach (RigSite node in both)
            await lan.DieAsync(node);
        foreach (RigSite node in both)
            await lan.StartAsync(node, more);
        foreach (RigSite node in both)
            await lan.ReadyAsync(node);
    }

    // The third leaves for good, as far as the site is concerned, and comes again.
    private async Task TwoAsync(Func<Task> test)
    {
        await lan.DieAsync(lan.Three);
        await rig.Centre.DeleteAsync($"/api/v1/nodes/{lan.Three.Name}");
        await lan.VotingAsync([lan.One.Name, lan.Two.Name, " and the parent"]);
        await test();
        await lan.StartAsync(lan.Three);
        await lan.ReadyAsync(lan.Three);
        await lan.VotingAsync(lan.All.Select(n => n.Name));
    }
}
