using System.Diagnostics;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Commands;
using Atoll.Kube.Client;
using Atoll.Store;

namespace Atoll.Cloud.Local;

/// <summary>
/// A centre, a registry and three sites on this machine. Every step looks first whether its result is already there, so that
/// <c>up</c> can be run again after any interruption, and <c>down</c> removes what it finds, however far <c>up</c> came.
/// </summary>
internal sealed class LocalInstallation(string home, string agentPath, int instance, string form)
{
    private int Port => 6443 + instance;

    private readonly LocalNetwork _network = new(instance);
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private int _step;

    private string Run => Path.Combine(home, "run");

    private string Centre => Path.Combine(home, "centre");

    private OwnFolder Folder => new(home, ["sites", "centre"], ["image", "kubeconfig*", "registry", "run"]);

    private SampleImage Image => new(home, _network);

    private string Kubeconfig => Path.Combine(home, "kubeconfig");

    private Daemon Server => new("centre", Run, Environment.ProcessPath!, ["server", "--state", Centre, "--listen", $"0.0.0.0:{Port}", "--advertise", $"https://{_network.CentreAddress}:{Port}", "--kubeconfig-out", Kubeconfig, "--relay", Image.RegistryAddress]);

    private static string PageOf(LocalSite site) => $"http://{site.UserAddress}:8080/cgi-bin/hello.cgi";

    private string StateOf(LocalSite site) => Path.Combine(home, "sites", site.Name);

    private Daemon AgentOf(LocalSite site) => new($"site-{site.Name}", Run, agentPath,
    [
        "run", "--state", StateOf(site), "--node-name", site.Name, "--pod-subnet", site.PodSubnet, "--capacity-share", "0.3", "--node-address", site.UserAddress,
        "--mirror", $"{SampleImage.RegistryName}=http://{Image.RegistryAddress}",
    ], site.Namespace);

    // Starts again what ends by itself; it holds nothing that could be lost with it.
    private Daemon Keeper => new("keeper", Run, Environment.ProcessPath!, ["keep", "--home", home, "--agent", agentPath, "--instance", $"{instance}"]);

    /// <summary>Starts again whatever of this installation ends by itself, until cancelled.</summary>
    public async Task KeepAsync(CancellationToken cancellation) =>
        await Task.WhenAll([Server.KeepAsync(cancellation), (await Image.RegistryAsync(cancellation)).KeepAsync(cancellation), .. _network.Sites.Select(s => AgentOf(s).KeepAsync(cancellation))]);

    /// <summary>Starts everything, deploys the sample, waits for it, and prints what to do next, or (JSON, YAML) what is up.</summary>
    public async Task<int> UpAsync(string samplePath, CancellationToken cancellation)
    {
        if (!File.Exists(agentPath))
            throw new CommandException($"there is no agent at {agentPath}. Build it with: make build");
        if (!File.Exists(samplePath))
            throw new CommandException($"there is no sample at {samplePath}. Give one with --sample PATH.");
        TakeFolder("name a folder that is new or empty");
        Directory.CreateDirectory(Run);
        // What is on this machine is not asked for through the proxy that leads out of it.
        foreach (string name in (string[])["NO_PROXY", "no_proxy"])
            Environment.SetEnvironmentVariable(name, $"{Environment.GetEnvironmentVariable(name)},{_network.CentreAddress}".TrimStart(','));
        // Two that start the same daemon at one time would start it twice.
        await Keeper.StopAsync(cancellation);
        Say("network: a router and three sites behind NAT");
        await _network.EnsureAsync(cancellation);
        Say("registry with the sample's image");
        await EnsureImageAsync(cancellation);
        Say("centre");
        await Server.StartAsync(cancellation);
        KubeConfig config = await WaitForCentreAsync(cancellation);
        // Who came by sudo goes on without it.
        if (Environment.GetEnvironmentVariable("SUDO_UID") is { Length: > 0 } user && Environment.GetEnvironmentVariable("SUDO_GID") is { Length: > 0 } group)
            await Tool.RunAsync(cancellation, "chown", $"{user}:{group}", Kubeconfig);
        using var client = new HttpResources(config);
        foreach (LocalSite site in _network.Sites)
        {
            Say($"site {site.Name}");
            await JoinAsync(site, client, config, cancellation);
            await AgentOf(site).StartAsync(cancellation);
        }
        await Keeper.StartAsync(cancellation);
        Say("waiting for the sites to connect");
        await WaitAsync("the sites did not connect", TimeSpan.FromMinutes(3), async () => await ConnectedAsync(client, cancellation) == _network.Sites.Count, cancellation);
        Say("sample: a small web server on every site");
        await Manifest.ApplyAsync(client, samplePath, config.Namespace, cancellation);
        await WaitAsync("the sample did not become ready; look with: kubectl describe pods", TimeSpan.FromMinutes(4), () => SampleReadyAsync(client, cancellation), cancellation);
        if (form != "table")
            return await StatusAsync(cancellation);
        await PrintNextStepsAsync(client, cancellation);
        return ExitCodes.Success;
    }

    /// <summary>Stops and removes everything; tells what is left behind.</summary>
    public async Task<string> DownAsync(CancellationToken cancellation)
    {
        if (!File.Exists(agentPath) && _network.Sites.Any(HasState))
            throw new CommandException($"--agent: there is no agent at {agentPath}, and it takes the sites apart. Build it with: make build", ExitCodes.Usage);
        TakeFolder("name the one that 'atoll up' was given");
        await Keeper.StopAsync(cancellation);
        foreach (LocalSite site in _network.Sites)
        {
            Say($"site {site.Name}");
            Daemon agent = AgentOf(site);
            await agent.StopAsync(cancellation);
            if (HasState(site))
            {
                List<string> reset = [agentPath, "reset", "--state", StateOf(site), "--node-name", site.Name];
                if (File.Exists($"/run/netns/{site.Namespace}"))
                    await Tool.RunAsync(cancellation, "nsenter", [$"--net=/run/netns/{site.Namespace}", .. reset]);
                else
                    await Tool.RunAsync(cancellation, reset[0], reset[1..]);
            }
        }
        Say("centre and registry");
        await Server.StopAsync(cancellation);
        await (await Image.RegistryAsync(cancellation)).StopAsync(cancellation);
        Say("network");
        await _network.RemoveAsync(cancellation);
        string[] left = Folder.Delete();
        return left.Length > 0 ? $"nothing is left behind but {string.Join(", ", left)}, which this installation did not put there"
            : Directory.Exists(home) ? $"nothing is left behind but {home}: it is empty, and a mount point, which only umount removes"
            : "nothing is left behind";
    }

    private bool HasState(LocalSite site) => Directory.Exists(StateOf(site)) || Directory.Exists($"/run/atoll/{site.Name}");

    // Before anything else is made in it: down does so too.
    private void TakeFolder(string what)
    {
        if (Folder.IsForeign)
            throw new CommandException($"--home: {home} is not the folder of a local installation, and names of what one has are taken in it: {what}. Nothing was changed.", ExitCodes.Usage);
        Directory.CreateDirectory(Centre);
    }

    /// <summary>Prints processes, lines, sites and pods; 3 when nothing is up.</summary>
    public async Task<int> StatusAsync(CancellationToken cancellation)
    {
        if (!File.Exists(Kubeconfig) || Server.Pid is not { } centre)
            throw new CommandException("nothing is up on this machine. Start it with: make up", ExitCodes.NotFound);
        using var client = new HttpResources(KubeConfig.Load(Kubeconfig));
        ApiList sites = await client.ListAsync(Kinds.Site, null, ListOptions.Default, cancellation);
        ApiList pods = await client.ListAsync(Kinds.Pod, null, ListOptions.Default, cancellation);
        var rows = new List<IReadOnlyList<string>>();
        var list = new JsonArray();
        foreach (LocalSite site in _network.Sites)
        {
            Daemon agent = AgentOf(site);
            int? pid = agent.Pid;
            string line = await _network.IsCutAsync(site, cancellation) ? "cut" : "whole";
            string phase = sites.Items.FirstOrDefault(s => s.Name == site.Name)?.View(ApiJson.Default.Site).Status?.Phase ?? "Pending";
            int running = pods.Items.Count(p => p.View(ApiJson.Default.Pod) is { Spec.NodeName: { } node, Status.Phase: "Running" } && node == site.Name);
            rows.Add([site.Name, phase, line, pid?.ToString() ?? "stopped", $"{agent.Restarts}", $"{running}", PageOf(site)]);
            list.Add((JsonNode)new JsonObject { ["name"] = site.Name, ["phase"] = phase, ["line"] = line, ["agentPid"] = pid, ["agentRestarts"] = agent.Restarts, ["runningPods"] = running, ["page"] = PageOf(site) });
        }
        if (form == "table")
            Console.WriteLine($"centre   https://{_network.CentreAddress}:{Port}   pid {centre}   restarts {Server.Restarts}   kubeconfig {Kubeconfig}\n");
        Printer.Print(form, new JsonObject { ["server"] = $"https://{_network.CentreAddress}:{Port}", ["kubeconfig"] = Kubeconfig, ["pid"] = centre, ["restarts"] = Server.Restarts, ["sites"] = list },
            ["SITE", "STATUS", "LINE", "AGENT", "RESTARTS", "PODS", "FOR ITS USERS"], rows);
        return ExitCodes.Success;
    }

    private async Task EnsureImageAsync(CancellationToken cancellation)
    {
        Daemon registry = await Image.RegistryAsync(cancellation);
        await registry.StartAsync(cancellation);
        using var http = new HttpClient();
        await WaitAsync($"the registry does not answer; see {registry.LogPath}", TimeSpan.FromMinutes(1), async () =>
        {
            try
            {
                using HttpResponseMessage answer = await http.GetAsync($"http://{Image.RegistryAddress}/v2/", cancellation);
                return answer.IsSuccessStatusCode;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        }, cancellation);
        if (!await Image.IsServedAsync(http, cancellation))
            await Image.PublishAsync(cancellation);
    }

    private async Task<KubeConfig> WaitForCentreAsync(CancellationToken cancellation)
    {
        await WaitAsync($"the centre does not answer; see {Server.LogPath}", TimeSpan.FromMinutes(2), async () =>
        {
            if (!File.Exists(Kubeconfig))
                return false;
            try
            {
                using var client = new HttpResources(KubeConfig.Load(Kubeconfig));
                return (await client.GetAsync(Kinds.Namespace, null, "kube-public", cancellation)).Ok;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        }, cancellation);
        return KubeConfig.Load(Kubeconfig);
    }

    private async Task JoinAsync(LocalSite site, HttpResources client, KubeConfig config, CancellationToken cancellation)
    {
        if (File.Exists(Path.Combine(StateOf(site), "identity", "site.crt")))
            return;
        JsonObject invitation = await SiteCommands.InviteAsync(client, config, site.Name, new SiteSpec { Region = site.Region, Kind = site.Kind }, [], TimeSpan.FromMinutes(10), cancellation);
        await Tool.RunAsync(cancellation, "nsenter",
            [$"--net=/run/netns/{site.Namespace}", agentPath, "join", "--state", StateOf(site), "--server", invitation["server"]!.GetValue<string>(), "--token", invitation["token"]!.GetValue<string>()]);
    }

    private async Task<int> ConnectedAsync(HttpResources client, CancellationToken cancellation)
    {
        ApiList sites = await client.ListAsync(Kinds.Site, null, ListOptions.Default, cancellation);
        ApiList nodes = await client.ListAsync(Kinds.Node, null, ListOptions.Default, cancellation);
        // Its own alone: somebody may have let further sites join this centre.
        return _network.Sites.Count(own => sites.Items.Any(s => s.Name == own.Name && s.View(ApiJson.Default.Site).Status?.Phase == "Connected")
            && nodes.Items.Any(n => n.Name == own.Name && n.View(ApiJson.Default.Node).Status?.Conditions?.Exists(c => c is { Type: "Ready", Status: "True" }) == true));
    }

    private static async Task<bool> SampleReadyAsync(HttpResources client, CancellationToken cancellation)
    {
        ApiResult deployment = await client.GetAsync(Kinds.Deployment, "default", "hello", cancellation);
        Deployment? view = deployment.Object?.View(ApiJson.Default.Deployment);
        return view is null || (view.Status?.ObservedGeneration >= view.Metadata.Generation && view.Status?.AvailableReplicas >= view.Spec.Replicas);
    }

    private async Task PrintNextStepsAsync(HttpResources client, CancellationToken cancellation)
    {
        ApiList sites = await client.ListAsync(Kinds.Site, null, ListOptions.Default, cancellation);
        LocalSite first = _network.Sites[0];
        Console.WriteLine($"""

            Atoll is up ({_clock.Elapsed.TotalSeconds:0} s).

              API          https://{_network.CentreAddress}:{Port}
              kubeconfig   export KUBECONFIG={Kubeconfig}

            {Printer.Table(["SITE", "STATUS", "REGION", "KIND", "NODES", "AGENT", "LAST CHANGE"], sites.Items.Select(SiteCommands.Row))}
            A site answers its users:

              curl {PageOf(first)}

            Three things to try:

              1. kubectl get pods -o wide            the sample, one pod a site; then: kubectl logs, exec -it, port-forward
              2. {(instance == 0 ? "make cut SITE=" : $"atoll cut --instance {instance} ")}{first.Name}                cut the line: the curl still answers, 'kubectl get sites' shows it; {(instance == 0 ? "make heal SITE=" : $"atoll heal --instance {instance} ")}{first.Name}
              3. sudo ip netns exec {first.Namespace} kubectl --kubeconfig {Path.Combine(StateOf(first), "kubeconfig")} get pods
                                                     the site's own API, from inside the site: with or without the line
            """);
    }

    private async Task WaitAsync(string failure, TimeSpan limit, Func<Task<bool>> condition, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        while (!await condition())
        {
            if (clock.Elapsed > limit)
                throw new CommandException($"{failure} (waited {limit.TotalSeconds:0} s; logs are in {Run})");
            await Task.Delay(TimeSpan.FromMilliseconds(200), cancellation);
        }
    }

    // Progress is for people: what a program reads stays clean of it.
    private void Say(string what) => (form == "table" ? Console.Out : Console.Error).WriteLine($"[{_clock.Elapsed.TotalSeconds,5:0.0} s] {++_step,2}. {what}");
}
