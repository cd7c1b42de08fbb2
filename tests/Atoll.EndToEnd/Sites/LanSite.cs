using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Sites;

/// <summary>
/// A fourth site beside those of <see cref="LocalRig"/>: three nodes with real agents, each in a network namespace, joined by a bridge
/// that is their own network and behind one line to the centre. Each is started by its supervisor, as an operator would.
/// </summary>
public sealed class LanSite(LocalRig rig) : IAsyncLifetime
{
    internal RigSite One => Node(1);

    internal RigSite Two => Node(2);

    internal RigSite Three => Node(3);

    internal IReadOnlyList<RigSite> All => [One, Two, Three];

    /// <summary>A fourth machine: it runs nothing of the site, and may vote.</summary>
    internal RigSite Fourth => Node(4);

    internal string Name => $"lan-{rig.Instance}";

    internal string Path => $"/apis/edge.atoll.dev/v1alpha1/sites/{Name}";

    private string Router => $"atoll-net-{rig.Instance}";

    private RigSite Node(int index) => new($"lan{index}-{rig.Instance}", index);

    internal string AddressOf(RigSite node) => $"10.198.{rig.Instance}.1{node.Index}";

    public async ValueTask InitializeAsync()
    {
        if (rig.Centre is null)
            return;
        string gateway = $"10.198.{rig.Instance}.1";
        await RemoveAsync(); // What a run that was killed left behind.
        await RouterAsync("ip", "link", "add", "lan0", "type", "bridge");
        await RouterAsync("ip", "addr", "add", $"{gateway}/24", "dev", "lan0");
        await RouterAsync("ip", "link", "set", "lan0", "up");
        foreach (RigSite node in (RigSite[])[.. All, Fourth])
        {
            string space = LocalRig.NamespaceOf(node);
            await Programs.OkAsync("ip", "netns", "add", space);
            await RouterAsync("ip", "link", "add", $"lan{node.Index}", "type", "veth", "peer", "name", "uplink", "netns", space);
            await RouterAsync("ip", "link", "set", $"lan{node.Index}", "master", "lan0", "up");
            await Programs.OkAsync("ip", "-n", space, "addr", "add", $"{AddressOf(node)}/24", "dev", "uplink");
            await Programs.OkAsync("ip", "-n", space, "link", "set", "uplink", "up");
            await Programs.OkAsync("ip", "-n", space, "link", "set", "lo", "up");
            await Programs.OkAsync("ip", "-n", space, "route", "add", "default", "via", gateway);
        }
        await JoinAsync(One, "create", []);
        await StartAsync(One);
        await ReadyAsync(One);
        foreach (RigSite node in (RigSite[])[Two, Three])
        {
            await JoinAsync(node, "token", ["--site", Name, "--peer", $"{AddressOf(One)}:6445"]);
            await StartAsync(node);
        }
        foreach (RigSite node in All)
            await ReadyAsync(node);
        await VotingAsync(All.Select(n => n.Name));
    }

    public async ValueTask DisposeAsync()
    {
        if (rig.Centre is null || Environment.GetEnvironmentVariable("ATOLL_KEEP") == "1")
            return;
        await DieAsync(Fourth);
        foreach (RigSite node in All)
        {
            await DieAsync(node);
            await Programs.RunAsync("nsenter", [$"--net=/run/netns/{LocalRig.NamespaceOf(node)}", Built.Agent, "reset", "--state", rig.StateOf(node), "--node-name", node.Name]);
        }
        await LocalRig.AtollAsync("site", "delete", Name, "--kubeconfig", rig.Kubeconfig);
        await RemoveAsync();
    }

    internal Task StartAsync(RigSite node, params string[] more) => rig.StartAsync($"site-{node.Name}", [Built.Agent, "supervise", .. ArgumentsOf(node), .. more], node);

    /// <summary>Where the site's witness listens.</summary>
    internal string WitnessAddress => $"{AddressOf(Fourth)}:6446";

    /// <summary>Makes the fourth machine the site's witness; the first time it joins.</summary>
    internal async Task StartWitnessAsync()
    {
        if (!Directory.Exists(rig.StateOf(Fourth)))
            await JoinAsync(Fourth, "token", []);
        await rig.StartAsync($"site-{Fourth.Name}", [Built.Agent, "witness", "--listen", WitnessAddress, "--state", rig.StateOf(Fourth)], Fourth);
    }

    private string[] ArgumentsOf(RigSite node) =>
    [
        "--state", rig.StateOf(node), "--node-name", node.Name, "--pod-subnet", $"10.88.{100 + node.Index}.0/24", "--capacity-share", "0.2", "--node-address", AddressOf(node),
        "--lan", $"{AddressOf(node)}:6445", "--mirror", $"registry.local:5000=http://10.{213 + (2 * rig.Instance)}.0.1:5000",
    ];

    internal Task ReadyAsync(RigSite node) =>
        Until.TrueAsync($"{node.Name} Ready at the centre", 60, async () => await rig.ReadyOfAsync(node) == "True", () => rig.LogAsync($"site-{node.Name}"));

    /// <summary>What the centre shows of who leads the site.</summary>
    internal async Task<string> LedAsync() => LedOf(await rig.Centre.GetAsync(Path));

    internal static string LedOf(JsonObject? site) =>
        (site?["status"]?["conditions"] as JsonArray)?.FirstOrDefault(c => (string?)c!["type"] == "Led") is { } led ? $"{led["status"]} {led["message"]}" : "";

    /// <summary>The words of the condition name all voters, and a majority has them: until then the former ones are asked as well.</summary>
    internal Task VotingAsync(IEnumerable<string> voters) =>
        Until.TrueAsync($"{string.Join(", ", voters)} vote", 60, async () => await LedAsync() is var led && voters.All(v => led.Contains(v, StringComparison.Ordinal)) && !led.Contains("under way", StringComparison.Ordinal), async () => await LedAsync() + await rig.LogAsync($"site-{One.Name}"));

    /// <summary>A node's own copy of the site's state says this of who leads and votes, and no change of voters is under way in it.</summary>
    internal async Task ChangedAsync(RigSite node, string words)
    {
        using ApiView own = ApiView.OfSite($"/run/atoll/{node.Name}/api.sock", here: true);
        await Until.TrueAsync($"{node.Name} knows: {words}", 60, async () => LedOf(await own.GetAsync(Path)) is var led && led.Contains(words, StringComparison.Ordinal) && !led.Contains("under way", StringComparison.Ordinal), async () => LedOf(await own.GetAsync(Path)) + await rig.LogAsync($"site-{node.Name}"));
    }

    /// <summary>The node that leads, by what the site's own API says at one of them.</summary>
    internal async Task<RigSite> LeaderAsync()
    {
        foreach (RigSite node in All)
        {
            using ApiView api = LocalRig.SiteApi(node);
            string led = LedOf(await api.GetAsync(Path));
            if (led.StartsWith("True", StringComparison.Ordinal) && All.FirstOrDefault(n => led.Contains($"Node {n.Name} leads", StringComparison.Ordinal)) is { } leader)
                return leader;
        }
        throw new InvalidOperationException("no node says who leads");
    }

    /// <summary>The process of a node's agent, below its supervisor.</summary>
    internal int AgentOf(RigSite node) => Assert.Single(Programs.Find(folder => File.ReadAllText(System.IO.Path.Combine(folder, "cmdline")).StartsWith($"{Built.Agent}\0run\0--state\0{rig.StateOf(node)}\0", StringComparison.Ordinal)));

    /// <summary>Everything of a node that runs: supervisor, agent, containers.</summary>
    internal List<int> ProcessesOf(RigSite node)
    {
        string state = rig.StateOf(node), run = $"/run/atoll/{node.Name}", cgroup = $"atoll-{node.Name}";
        return Programs.Find(folder => File.ReadAllText(System.IO.Path.Combine(folder, "cmdline")) is var line && (line.Contains(state, StringComparison.Ordinal) || line.Contains(run, StringComparison.Ordinal))
            || File.ReadAllText(System.IO.Path.Combine(folder, "cgroup")).Contains(cgroup, StringComparison.Ordinal));
    }

    /// <summary>SIGKILL to everything of a node at once.</summary>
    internal Task DieAsync(RigSite node) => Until.TrueAsync("every process of the node is gone", 20, () =>
    {
        List<int> left = ProcessesOf(node);
        left.ForEach(Programs.Kill);
        // Not before it has been reaped does its start find the place free.
        return left.Count == 0 && !(File.Exists($"{rig.Home}/run/site-{node.Name}.pid") && Directory.Exists($"/proc/{rig.PidOf($"site-{node.Name}")}"));
    });

    /// <summary>The site's line to the centre: cut and whole again. Its nodes go on seeing each other.</summary>
    internal async Task<IAsyncDisposable> CutAsync()
    {
        await Programs.OkAsync("ip", "netns", "exec", Router, "nft", "add table ip lan_cut; add chain ip lan_cut forward { type filter hook forward priority -200; policy accept; }; add rule ip lan_cut forward iifname lan0 oifname up0 drop; add rule ip lan_cut forward iifname up0 oifname lan0 drop");
        return new Mending(this);
    }

    /// <summary>A node's plug in the site's network.</summary>
    internal Task PlugAsync(RigSite node, bool plugged) => RouterAsync("ip", "link", "set", $"lan{node.Index}", plugged ? "up" : "down");

    internal Task<string> KubectlAsync(RigSite node, params string[] arguments) => rig.SiteKubectlAsync(node, arguments);

    private async Task JoinAsync(RigSite node, string word, string[] more)
    {
        string[] peer = word == "token" ? ["--peer", $"{AddressOf(One)}:6445"] : [];
        string token = JsonNode.Parse(await LocalRig.AtollAsync(["site", word, Name, "--kubeconfig", rig.Kubeconfig, "--output", "json", .. peer]))!["token"]!.GetValue<string>();
        await Programs.OkAsync("nsenter", [$"--net=/run/netns/{LocalRig.NamespaceOf(node)}", Built.Agent, "join", "--state", rig.StateOf(node), "--server", rig.Server, "--token", token, .. more]);
    }

    private Task<string> RouterAsync(params string[] command) => Programs.OkAsync("ip", ["netns", "exec", Router, .. command]);

    private async Task RemoveAsync()
    {
        foreach (RigSite node in (RigSite[])[.. All, Fourth])
            if (File.Exists($"/run/netns/{LocalRig.NamespaceOf(node)}"))
                await Programs.OkAsync("ip", "netns", "delete", LocalRig.NamespaceOf(node));
        await Programs.RunAsync("ip", ["netns", "exec", Router, "ip", "link", "delete", "lan0"]);
    }

    private sealed class Mending(LanSite site) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync() => await Programs.OkAsync("ip", "netns", "exec", site.Router, "nft", "delete", "table", "ip", "lan_cut");
    }
}
