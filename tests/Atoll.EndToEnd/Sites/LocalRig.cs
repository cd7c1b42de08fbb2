using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Sites;

/// <summary>Tests that share the one installation run one after the other, and alone: they measure time.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class SitesGroup : ICollectionFixture<LocalRig>
{
    public const string Name = "sites";
}

/// <summary>One of the three sites.</summary>
public sealed record RigSite(string Name, int Index);

/// <summary>
/// What <c>atoll up</c> starts on this machine – a centre, a registry, three sites behind NAT with real agents and containers –
/// under an instance number that nobody else uses, and the means to hurt it.
/// </summary>
public sealed class LocalRig : IAsyncLifetime
{
    private const string Keeper = "keeper";

    private FileStream? _lock;
    private string _pageFailure = "none";

    internal int Instance { get; private set; }

    internal string Home => $"/tmp/atoll-e2e-{Instance}";

    internal RigSite Alpha => Site("alpha", 1);

    internal RigSite Bravo => Site("bravo", 2);

    internal RigSite Charlie => Site("charlie", 3);

    internal IReadOnlyList<RigSite> All => [Alpha, Bravo, Charlie];

    internal ApiView Centre { get; private set; } = null!;

    internal string Kubeconfig => $"{Home}/kubeconfig";

    internal string Server => $"https://10.{213 + 2 * Instance}.0.1:{6443 + Instance}";

    private string? Lacking { get; set; }

    private RigSite Site(string name, int index) => new($"{name}-{Instance}", index);

    internal string StateOf(RigSite site) => $"{Home}/sites/{site.Name}";

    internal static string NamespaceOf(RigSite site) => $"atoll-{site.Name}";

    internal string PageOf(RigSite site) => $"http://10.{214 + 2 * Instance}.{site.Index}.2:8080/cgi-bin/hello.cgi";

    internal static ApiView SiteApi(RigSite site) => ApiView.OfSite($"/run/atoll/{site.Name}/api.sock");

    public async ValueTask InitializeAsync()
    {
        Lacking = await LackingAsync();
        if (Lacking is not null)
            return;
        for (Instance = 7; _lock is null; Instance++)
            try
            {
                _lock = new FileStream($"/tmp/atoll-e2e-{Instance}.lock", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
                break;
            }
            catch (IOException) when (Instance < 20)
            {
                // Another run of the tests has this one.
            }
        await DownAsync(); // What a run that was killed left behind.
        await UpAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (_lock is null)
            return;
        Centre?.Dispose();
        if (Environment.GetEnvironmentVariable("ATOLL_KEEP") != "1")
            await DownAsync();
        await _lock.DisposeAsync();
    }

    /// <summary>Skips the test when the kernel lacks what sites on one machine need.</summary>
    internal void Need() => Assert.SkipWhen(Lacking is not null, Lacking ?? "");

    private static async Task<string?> LackingAsync()
    {
        if (!Environment.IsPrivilegedProcess)
            return "network namespaces, mounts and cgroups need root";
        string name = $"atoll-probe-{Environment.ProcessId}";
        Outcome made = await Programs.RunAsync("ip", ["netns", "add", name]);
        if (made.Code != 0)
            return $"this kernel gives no network namespace: {made.Error.Trim()}";
        Outcome veth = await Programs.RunAsync("ip", ["-n", name, "link", "add", "a0", "type", "veth", "peer", "name", "a1"]);
        Outcome nft = await Programs.RunAsync("ip", ["netns", "exec", name, "nft", "add", "table", "ip", "probe"]);
        await Programs.RunAsync("ip", ["netns", "delete", name]);
        return veth.Code != 0 ? $"this kernel has no veth links: {veth.Error.Trim()}" : nft.Code != 0 ? $"this kernel has no nftables: {nft.Error.Trim()}" : null;
    }

    internal async Task<string> UpAsync()
    {
        string output = await AtollAsync("up", "--home", Home, "--agent", Built.Agent, "--sample", Built.Sample, "--instance", $"{Instance}");
        Centre?.Dispose();
        Centre = ApiView.OfCentre(Kubeconfig);
        return output;
    }

    /// <summary>Takes up the administrator's kubeconfig anew: after a rotation of the CA.</summary>
    internal void Reconnect()
    {
        Centre.Dispose();
        Centre = ApiView.OfCentre(Kubeconfig);
    }

    internal Task<string> DownAsync() => AtollAsync("down", "--home", Home, "--agent", Built.Agent, "--instance", $"{Instance}");

    internal static Task<string> AtollAsync(params string[] arguments) => Programs.OkAsync(Built.Atoll, arguments);

    /// <summary>Stock kubectl against the centre.</summary>
    internal async Task<string> KubectlAsync(params string[] arguments) => await Programs.OkAsync("kubectl", ["--kubeconfig", Kubeconfig, .. arguments]);

    internal string[] KubectlArguments(params string[] arguments) => ["--kubeconfig", Kubeconfig, .. arguments];

    /// <summary>Stock kubectl inside a site, against the site's own API.</summary>
    internal async Task<string> SiteKubectlAsync(RigSite site, params string[] arguments) =>
        await Programs.OkAsync("nsenter", [$"--net=/run/netns/{NamespaceOf(site)}", "kubectl", "--kubeconfig", $"{StateOf(site)}/kubeconfig", .. arguments]);

    /// <summary>The sample's page, as a user next to the site gets it; empty while nobody answers.</summary>
    internal async Task<string> PageAsync(RigSite site)
    {
        using var client = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(10) };
        try
        {
            return await client.GetStringAsync(PageOf(site));
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            _pageFailure = e.Message;
            return "";
        }
    }

    /// <summary>What each station on the way of the sample's page holds: for the message of a test that did not see it.</summary>
    internal async Task<string> ExplainPageAsync(RigSite site)
    {
        const string Map = "/api/v1/namespaces/default/configmaps/hello";
        using ApiView api = SiteApi(site);
        (string name, PodFact pod) = (await Centre.PodsAsync() ?? []).FirstOrDefault(p => p.Key.StartsWith("hello-", StringComparison.Ordinal) && p.Value.Node == site.Name);
        string[] files = Directory.Exists(StateOf(site)) ? Directory.GetFiles(StateOf(site), "greeting", SearchOption.AllDirectories) : [];
        Outcome inside = await Programs.RunAsync("nsenter", [$"--net=/run/netns/{NamespaceOf(site)}", "nft", "list", "ruleset"]);
        return $"""
            page:     "{await PageAsync(site)}" (last failure: {_pageFailure})
            centre:   {(await Centre.GetAsync(Map))?["data"]?["greeting"]} ({await PhaseOfAsync(site)}, node ready {await ReadyOfAsync(site)})
            site:     {(await api.GetAsync(Map))?["data"]?["greeting"]}
            volume:   {string.Join(", ", files.Select(f => $"{f}: {File.ReadAllText(f)}"))}
            pod:      {name} {pod}
            at site:  {(name is null ? null : (await api.PodsAsync())?.GetValueOrDefault(name))}
            nat:      {string.Join(' ', inside.Output.Split('\n').Where(l => l.Contains("dnat", StringComparison.Ordinal)).Select(l => l.Trim()))}
            {await LogAsync($"site-{site.Name}")}
            {await LogAsync("centre")}
            """;
    }

    /// <summary>Cuts a site's line until the result is disposed of.</summary>
    internal async Task<IAsyncDisposable> CutAsync(RigSite site)
    {
        await AtollAsync("cut", site.Name, "--instance", $"{Instance}");
        return new Healing(this, site);
    }

    internal Task HealAsync(RigSite site) => AtollAsync("heal", site.Name, "--instance", $"{Instance}");

    internal Task<string> PhaseOfAsync(RigSite site) => PhaseOfAsync(site.Name);

    internal async Task<string> PhaseOfAsync(string site) => (await Centre.GetAsync($"/apis/edge.atoll.dev/v1alpha1/sites/{site}"))?["status"]?["phase"]?.GetValue<string>() ?? "";

    internal async Task<string> ReadyOfAsync(RigSite site) =>
        (await Centre.GetAsync($"/api/v1/nodes/{site.Name}"))?["status"]?["conditions"]?.AsArray().FirstOrDefault(c => c!["type"]!.GetValue<string>() == "Ready")?["status"]?.GetValue<string>() ?? "";

    internal Task ConnectedAsync(RigSite site) =>
        Until.TrueAsync($"{site.Name} connected and its node Ready", 90, async () => await PhaseOfAsync(site) == "Connected" && await ReadyOfAsync(site) == "True", () => LogAsync($"site-{site.Name}"));

    internal async Task<string> LogAsync(string daemon)
    {
        string[] lines = await File.ReadAllLinesAsync($"{Home}/run/{daemon}.log");
        return $"Last lines of {daemon}.log:\n{string.Join('\n', lines.TakeLast(15))}";
    }

    /// <summary>A daemon of the installation: its process id.</summary>
    internal int PidOf(string daemon) => int.Parse(File.ReadAllText($"{Home}/run/{daemon}.pid"), System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>Kills a daemon with SIGKILL and gives the command that starts it again. It stays dead until then: what keeps it is killed before.</summary>
    internal async Task<IReadOnlyList<string>> KillAsync(string daemon)
    {
        if (daemon != Keeper && File.Exists($"{Home}/run/{Keeper}.pid"))
        {
            await KillAsync(Keeper);
            File.Delete($"{Home}/run/{Keeper}.pid");
        }
        int pid = PidOf(daemon);
        string[] command = (await File.ReadAllTextAsync($"/proc/{pid}/cmdline")).TrimEnd('\0').Split('\0');
        Programs.Kill(pid);
        await Until.TrueAsync($"{daemon} is gone", 10, () => !Directory.Exists($"/proc/{pid}"));
        return command;
    }

    /// <summary>Starts a daemon as <c>atoll up</c> does.</summary>
    internal Task StartAsync(string daemon, IReadOnlyList<string> command, RigSite? site = null)
    {
        string[] enter = site is null ? [] : ["/usr/bin/nsenter", $"--net=/run/netns/{NamespaceOf(site)}"];
        string[] line = [.. enter, .. command];
        return Programs.OkAsync("start-stop-daemon", ["--start", "--background", "--make-pidfile", "--pidfile", $"{Home}/run/{daemon}.pid", "--startas", line[0], "--output", $"{Home}/run/{daemon}.log", "--chdir", "/", "--", .. line[1..]]);
    }

    /// <summary>Creates a pod that is bound to a site and waits until the centre sees it ready.</summary>
    internal async Task<PodFact> PodAsync(RigSite site, JsonObject pod)
    {
        await Centre.CreateAsync("pods", pod);
        string name = pod["metadata"]!["name"]!.GetValue<string>();
        PodFact? found = null;
        await Until.TrueAsync($"pod {name} ready", 60, async () => (found = (await Centre.PodsAsync())?.GetValueOrDefault(name)) is { Phase: "Running", Ready: true, ContainerId.Length: > 0 } && found.Node == site.Name,
            () => Programs.OkAsync("kubectl", KubectlArguments("describe", "pod", name)));
        return found!;
    }

    private sealed class Healing(LocalRig rig, RigSite site) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await rig.HealAsync(site);
            await rig.ConnectedAsync(site);
        }
    }
}
