using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Net;
using Atoll.Agent.Host;
using Atoll.Agent.Identity;
using Atoll.Agent.Members;
using Atoll.Api.Enrolment;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;
using Atoll.Edge.Devices;
using Atoll.Link;
using Atoll.Store.Sqlite;

namespace Atoll.Agent.Commands;

/// <summary>The agent's commands: join, run, reset. Exit codes as the operator's program: 0, 1 failed, 2 mistyped, 4 centre out of reach, 130 cancelled.</summary>
internal static class AgentCli
{
    private static readonly Option<string> s_state = new("--state") { Description = "folder of everything durable", DefaultValueFactory = _ => Path.Combine(AgentOptions.StateRoot, "agent"), Validators = { NotEmpty } };

    private static readonly Option<string> s_nodeName = new("--node-name") { Description = "name of this node (default: the host's name)", DefaultValueFactory = _ => Dns.GetHostName().Split('.')[0].ToLowerInvariant() };

    private static readonly Option<string[]> s_peer = new("--peer") { Description = "ADDRESS:PORT of another node of the same site; may be given again" };

    private static void NotEmpty(OptionResult result)
    {
        if (result.GetValueOrDefault<string?>() is "")
            result.AddError($"{result.Option.Name}: it is empty; name a folder.");
    }

    public static async Task<int> RunAsync(string[] arguments)
    {
        var root = new RootCommand("""
            atoll-agent: everything that an Atoll site needs on a node, in one process.

            Examples:
              atoll-agent join --server https://centre.example.org:6443 --token atoll1.…   once, as 'atoll site create' prints it
              atoll-agent run                                                              from then on
              atoll-agent supervise                                                        the same, started again whenever it ends
              atoll-agent witness --listen 192.168.7.10:6446                               a vote for sites of two nodes
              atoll-agent reset                                                            stop and remove all that runs here
            """) { Join(), Run(), Supervise(), Witness(), Reset(), EndIdentities() };
        ParseResult parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction)
        {
            await parsed.InvokeAsync();
            return 2;
        }
        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromSeconds(10) });
        }
        catch (Exception e) when (e is InvalidOperationException or InvalidDataException or IOException or UnauthorizedAccessException or ArgumentException or FormatException or OperationCanceledException)
        {
            await Console.Error.WriteLineAsync($"error: {(e is OperationCanceledException ? "cancelled" : e.Message)}");
            // What never reached the centre may be tried again as it is; what it refused may not.
            return e switch { OperationCanceledException => 130, ArgumentException => 2, { InnerException: OperationCanceledException or HttpRequestException { HttpRequestError: not HttpRequestError.SecureConnectionError } } => 4, _ => 1 };
        }
    }

    private static Command Join()
    {
        var server = new Option<string[]>("--server") { Description = "address of the centre, such as https://centre.example.org:6443; may be given again, the preferred one first", Required = true };
        var token = new Option<string>("--token") { Description = "the one-time token that 'atoll site create' printed", Required = true };
        var site = new Option<string?>("--site") { Description = "name of the site, when it has to be that of the token" };
        var command = new Command("join", """
            Make this machine a site, or one more node of it: makes its key, has it certified against a one-time token, and stores
            the identity. A second node names a first one with --peer; its token comes from 'atoll site token NAME'.

            Examples:
              atoll-agent join --server https://centre.example.org:6443 --token atoll1.lyon-1.…
              atoll-agent join --site lyon-1 --peer 192.168.7.11:6445 --server https://centre.example.org:6443 --token atoll1.lyon-1.…
            """) { s_state, server, token, site, s_peer };
        command.SetAction(async (parsed, cancellation) =>
        {
            string state = Path.GetFullPath(parsed.GetRequiredValue(s_state));
            string[] addresses = Array.ConvertAll(parsed.GetRequiredValue(server), text => Uri.TryCreate(text, UriKind.Absolute, out Uri? address) && address.Scheme == Uri.UriSchemeHttps && text.Length <= LinkLimits.MaxAddressLength
                ? address.ToString().TrimEnd('/')
                : throw new ArgumentException($"--server: '{text}' is not an https address, such as https://centre.example.org:6443."));
            if (!JoinToken.TryParse(parsed.GetValue(token), out JoinToken? read, out string? error))
                throw new ArgumentException($"--token: {error}");
            if (parsed.GetValue(site) is { } asked && asked != read.Site)
                throw new ArgumentException($"--site: the token is for site {read.Site}, not {asked}.");
            if (SiteIdentity.SiteOf(state) is { } already && already != read.Site)
                throw new InvalidOperationException($"{state} belongs to site {already}. Give another --state, or remove it first with: atoll-agent reset --state {state}");
            await EnrolmentClient.JoinAsync(state, addresses, read, Peers(parsed.GetValue(s_peer) ?? []), cancellation);
            Console.WriteLine($"joined as site {read.Site}. Start it with: atoll-agent {((parsed.GetValue(s_peer) ?? []).Length > 0 ? $"supervise --state {state} --lan ADDRESS:PORT" : $"run --state {state}")}");
            return 0;
        });
        return command;
    }

    private static Command Run()
    {
        var subnet = new Option<string>("--pod-subnet") { Description = "addresses of this node's pods", DefaultValueFactory = _ => "10.88.0.0/24" };
        var share = new Option<double>("--capacity-share") { Description = "share of the machine that this node may sell, above 0 up to 1", DefaultValueFactory = _ => 1 };
        var devices = new Option<string?>("--devices") { Description = "JSON file that declares the node's devices (GPUs, accelerators) with their attributes; see docs/how-to/sell-hardware.md" };
        var address = new Option<string?>("--node-address") { Description = "address of this node (default: the one of its default route)" };
        var mirror = new Option<string[]>("--mirror") { Description = "REGISTRY=URL: ask this address before the registry; may be given again" };
        var insecure = new Option<string[]>("--insecure-registry") { Description = "registry (host[:port]) to be spoken to over plain HTTP; may be given again" };
        var runtime = new Option<string?>("--oci-runtime") { Description = "OCI runtime, name or path (default: crun, then runc, whichever this host allows)" };
        var images = new Option<string?>("--image-limit") { Description = "size of all images above which unused ones are deleted, such as 20Gi (default: when the disk is 85 % full)" };
        var port = new Option<int>("--api-port") { Description = "loopback port of the site's own API", DefaultValueFactory = _ => 6444 };
        var dates = new Option<string>("--dates") { Description = "what the dates of the centre's certificate are held against: ask (this machine's clock, unless the centre says that it is wrong), strict (this machine's clock), ignore (nothing)", DefaultValueFactory = _ => "ask" };
        dates.AcceptOnlyFromAmong("ask", "strict", "ignore");
        var lan = new Option<string?>("--lan") { Description = "ADDRESS:PORT of this node on the site's own network, for a site of several nodes (TCP and UDP); without it nothing listens" };
        var dead = new Option<double>("--dead-after") { Description = "seconds of silence after which a node of the site counts as dead, 2 to 60; the same on all of its nodes", DefaultValueFactory = _ => 8 };
        var witness = new Option<string?>("--witness") { Description = "ADDRESS:PORT of the site's witness (atoll-agent witness), which votes instead of the centre when the site has an even number of nodes; 'none' takes it away" };
        var fence = new Option<string?>("--fence") { Description = "PROGRAM that switches the other node of a site of two off, for good or to boot anew, and ends with 0 when it surely is: then this node goes on alone; instead of --witness, and on both nodes" };
        var fenceArgument = new Option<string[]>("--fence-argument") { Description = "argument of that program, such as --fence-argument=--ip=bmc-{node}; may be given again; {node} stands for the node's name (default: that alone)" };
        var fenceSeconds = new Option<double>("--fence-seconds") { Description = "seconds within which it has to end, 1 to 60", DefaultValueFactory = _ => 10 };
        var identities = new Option<double?>("--identity-lease") { Description = "seconds without the site's leading node after which this node stops pods of StatefulSets, so that another may run them; twice --dead-after (the default) to 120, or 0: they are neither stopped nor replaced; the same on all nodes of the site" };
        var command = new Command("run", """
            Run the site, or this node of it. Instances go on when this process ends, for whatever reason.

            Examples:
              atoll-agent run --state /var/lib/atoll/agent
              atoll-agent run --lan 192.168.7.12:6445          a node of a site of several
            """) { s_state, s_nodeName, subnet, share, devices, address, mirror, insecure, runtime, images, port, dates, lan, s_peer, dead, identities, witness, fence, fenceArgument, fenceSeconds };
        command.SetAction(async (parsed, cancellation) =>
        {
            string name = NodeName(parsed);
            double part = parsed.GetValue(share);
            if (part is not (> 0 and <= 1))
                throw new ArgumentException($"--capacity-share: {part} is not above 0 and up to 1.");
            if (!IPNetwork.TryParse(parsed.GetRequiredValue(subnet), out IPNetwork network))
                throw new ArgumentException($"--pod-subnet: '{parsed.GetValue(subnet)}' is not a network, such as 10.88.0.0/24.");
            if (parsed.GetValue(dead) is not (>= 2 and <= 60))
                throw new ArgumentException($"--dead-after: {parsed.GetValue(dead)} is not 2 to 60 seconds.");
            double least = parsed.GetValue(dead) * 2, lease = parsed.GetValue(identities) ?? least;
            if (lease is not 0 && !(lease >= least && lease <= 120))
                throw new ArgumentException($"--identity-lease: {lease} is neither 0 nor twice --dead-after ({least}) to 120 seconds.");
            string? fencing = parsed.GetValue(fence);
            if (fencing is not null && (parsed.GetValue(witness) is not null || parsed.GetValue(lan) is null))
                throw new ArgumentException("--fence: it is for a site of several nodes, which needs --lan, and takes the place of --witness: give one of the two.");
            if (fencing is null && parsed.GetValue(fenceArgument) is { Length: > 0 })
                throw new ArgumentException("--fence-argument: there is no program that it is for; give --fence PROGRAM.");
            await AgentHost.RunAsync(new AgentOptions
            {
                State = Path.GetFullPath(parsed.GetRequiredValue(s_state)),
                NodeName = name,
                PodSubnet = network,
                CapacityShare = part,
                Devices = parsed.GetValue(devices) is { } file ? DeclaredDevices.Load(file) : [],
                NodeAddress = parsed.GetValue(address),
                Mirrors = Mirrors(parsed.GetValue(mirror) ?? []),
                InsecureRegistries = new HashSet<string>(parsed.GetValue(insecure) ?? []),
                OciRuntime = parsed.GetValue(runtime),
                ImageLimitBytes = Size(parsed.GetValue(images)),
                ApiPort = parsed.GetValue(port),
                Dates = parsed.GetValue(dates) switch { "strict" => CertificateDates.Strict, "ignore" => CertificateDates.Ignore, _ => CertificateDates.AskParent },
                Lan = Lan(parsed.GetValue(lan)),
                Peers = Peers(parsed.GetValue(s_peer) ?? []),
                DeadAfter = TimeSpan.FromSeconds(parsed.GetValue(dead)),
                Witness = parsed.GetValue(witness) is { } at ? at == "none" ? "" : Peers([at], "--witness")[0] : null,
                Fence = fencing is null ? null : FenceProgram.Load(fencing, parsed.GetValue(fenceArgument) ?? [], parsed.GetValue(fenceSeconds)),
                IdentityLease = TimeSpan.FromSeconds(lease),
            }, cancellation);
            return 0;
        });
        return command;
    }

    // It is carried out before command lines are read (see Program.cs); this is its place in the help.
    private static Command Supervise() => new("supervise", """
        Run the agent with the arguments of 'run', start it again whenever it ends, and tell the site's other nodes that this one is
        alive, agent or not: what a node of a site of several should be started with.

        Example:
          atoll-agent supervise --lan 192.168.7.12:6445
        """) { TreatUnmatchedTokensAsErrors = false };

    private static Command Witness()
    {
        var listen = new Option<string>("--listen") { Description = "ADDRESS:PORT at which the site's nodes reach the witness", Required = true };
        var command = new Command("witness", """
            Vote about who leads a site of an even number of nodes, on a third machine that runs nothing else of it: with it, one of two
            nodes goes on when the other is lost, line or no line. The machine joins the site first, as a node does; the nodes
            are told with 'run --witness ADDRESS:PORT'.

            Examples:
              atoll-agent join --server https://centre.example.org:6443 --token atoll1.lyon-1.… --state /var/lib/atoll/witness
              atoll-agent witness --listen 192.168.7.10:6446 --state /var/lib/atoll/witness
            """) { s_state, listen };
        command.SetAction(async (parsed, cancellation) =>
        {
            await WitnessHost.RunAsync(Path.GetFullPath(parsed.GetRequiredValue(s_state)), Lan(parsed.GetRequiredValue(listen), "--listen")!, cancellation);
            return 0;
        });
        return command;
    }

    // What the supervisor's sentry calls; nobody types it.
    private static Command EndIdentities()
    {
        var command = new Command("end-identities", "End the containers of pods of StatefulSets unless this node has a lease for them.") { s_state };
        command.Hidden = true;
        command.SetAction(async (parsed, _) =>
        {
            await IdentityGuard.EndAsync(Path.GetFullPath(parsed.GetRequiredValue(s_state)));
            return 0;
        });
        return command;
    }

    private static IPEndPoint? Lan(string? text, string option = "--lan")
    {
        if (text is null)
            return null;
        if (!IPEndPoint.TryParse(text, out IPEndPoint? at) || at.Port == 0 || at.Address.Equals(IPAddress.Any) || at.Address.Equals(IPAddress.IPv6Any) || IPAddress.IsLoopback(at.Address))
            throw new ArgumentException($"{option}: '{text}' is not an address and port at which peers reach this node, such as 192.168.7.12:6445.");
        return at;
    }

    private static string[] Peers(string[] values, string option = "--peer")
    {
        foreach (string value in values)
            if (!IPEndPoint.TryParse(value, out IPEndPoint? at) || at.Port == 0)
                throw new ArgumentException($"{option}: '{value}' is not an address and port, such as 192.168.7.11:6445.");
        return values;
    }

    private static long Size(string? text)
    {
        if (text is null)
            return 0;
        if (!Quantity.TryParse(text, out Quantity size) || size.Value <= 0)
            throw new ArgumentException($"--image-limit: '{text}' is not a size, such as 20Gi.");
        return size.Value;
    }

    private static string NodeName(ParseResult parsed) => parsed.GetRequiredValue(s_nodeName) is var name && LabelSyntax.IsSubdomain(name)
        ? name
        : throw new ArgumentException($"--node-name: '{name}' is not a name of a Node: lower-case letters, digits, '-' and '.', such as edge-1.");

    private static Command Reset()
    {
        var command = new Command("reset", "Stop and remove everything that runs on this node, and its state. The agent must not be running.\n\nExample:\n  atoll-agent reset --state /var/lib/atoll/agent") { s_state, s_nodeName };
        command.SetAction(async (parsed, cancellation) =>
        {
            var options = new AgentOptions { State = Path.GetFullPath(parsed.GetRequiredValue(s_state)), NodeName = NodeName(parsed) };
            foreach (string left in await ResetCommand.RunAsync(options, cancellation))
                Console.Error.WriteLine($"{left} is left: it is not the node's");
            Console.WriteLine($"node {options.NodeName} is reset");
            return 0;
        });
        return command;
    }

    private static Dictionary<string, IReadOnlyList<Uri>> Mirrors(string[] values)
    {
        var mirrors = new Dictionary<string, IReadOnlyList<Uri>>(StringComparer.Ordinal);
        foreach (string value in values)
        {
            int equals = value.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || !Uri.TryCreate(value[(equals + 1)..], UriKind.Absolute, out Uri? address))
                throw new ArgumentException($"--mirror: '{value}' is not REGISTRY=URL, such as docker.io=https://mirror.example.org.");
            mirrors[value[..equals]] = [.. mirrors.GetValueOrDefault(value[..equals]) ?? [], address];
        }
        return mirrors;
    }
}
