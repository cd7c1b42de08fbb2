using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Enrolment;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Server;
using Atoll.Kube.Client;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll site …</c>: the operator's view of sites, all through the API.</summary>
internal static class SiteCommands
{
    private static readonly string[] s_headers = ["NAME", "STATUS", "REGION", "KIND", "NODES", "AGENT", "LAST CHANGE"];

    public static Command Create() => new("site", "Invite, show and remove sites.\n\nExamples:\n  atoll site create lyon-1 --region eu --kind near\n  atoll site list -o json\n  atoll site show lyon-1")
    {
        CreateCommand(), TokenCommand(), ListCommand(), ShowCommand(), OrphanCommand.Create(), RevokeCommand(), DeleteCommand(),
    };

    private static Argument<string> NameArgument() => Cli.Name("the site's name");

    private static Option<double?> Life() => Cli.Within(new("--valid-hours") { Description = "how long the token may be used, up to 720", DefaultValueFactory = _ => 24 }, 0.0001, 720);

    private static Command CreateCommand()
    {
        Argument<string> name = NameArgument();
        var region = new Option<string?>("--region") { Description = "region; becomes the label topology.kubernetes.io/region of its nodes" };
        Option<string> kind = Cli.Among(new Option<string>("--kind", "--tier") { Description = "distance to the user: field (1-5 ms), near (5-20 ms) or cloud (20-40 ms)", DefaultValueFactory = _ => "near" }, "field", "near", "cloud");
        var carrier = new Option<string?>("--carrier") { Description = "operator of the site's uplink" };
        Option<double?> latitude = Cli.Within(new("--latitude") { Description = "degrees north, -90..90" }, -90, 90);
        Option<double?> longitude = Cli.Within(new("--longitude") { Description = "degrees east, -180..180" }, -180, 180);
        SiteOptions more = new();
        var server = new Option<string[]>("--server") { Description = "address at which the site reaches the centre; may be given again, the preferred one first (default: those that the centre advertises)" };
        Option<double?> life = Life();
        var command = new Command("create", """
            Create a site and print the one command that joins a machine to it. Run again for a new token: the old one then
            no longer works.

            Examples:
              atoll site create lyon-1 --region eu --kind near --carrier orange
              atoll site create paris-2 --region eu --tier field --round-trip paris=4 --round-trip lyon=11.5 --cost 0.04 \\
                --headroom cpu=4,memory=8Gi --uplink 10G --public-addresses 16
              atoll site create lyon-1 --output json | jq -r .command
            """) { name, region, kind, carrier, latitude, longitude, server, life };
        more.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, KubeConfig config) = Cli.Connect(parsed);
            using HttpResources client = resources;
            var spec = new SiteSpec { Region = parsed.GetValue(region), Kind = parsed.GetValue(kind), Carrier = parsed.GetValue(carrier), Latitude = parsed.GetValue(latitude), Longitude = parsed.GetValue(longitude) };
            more.Read(parsed, spec);
            JsonObject result = await InviteAsync(client, config, parsed.GetRequiredValue(name), spec, Servers(parsed.GetValue(server)), TimeSpan.FromHours(parsed.GetValue(life)!.Value), cancellation);
            string form = parsed.GetRequiredValue(Cli.Output);
            if (form != "table")
            {
                Printer.Print(form, result, [], []);
                return ExitCodes.Success;
            }
            Console.WriteLine($"site {result["site"]} {result["outcome"]}. Run this on its machine, once, before {result["expires"]}:\n");
            Console.WriteLine($"  {result["command"]}\n{Missing((await client.GetAsync(Kinds.Site, null, parsed.GetRequiredValue(name), cancellation)).Object, null)}");
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command TokenCommand()
    {
        Argument<string> name = NameArgument();
        var peer = new Option<string[]>("--peer") { Description = "ADDRESS:PORT of a node that the site has, as its --lan says; may be given again" };
        var server = new Option<string[]>("--server") { Description = "address at which the site reaches the centre; may be given again, the preferred one first (default: those that the centre advertises)" };
        Option<double?> life = Life();
        var command = new Command("token", "Print the command that joins one more machine to a site. It replaces a token that was not used.\n\nExample:\n  atoll site token lyon-1 --peer 192.168.7.11:6445") { name, peer, server, life };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, KubeConfig config) = Cli.Connect(parsed);
            using HttpResources client = resources;
            KubeObject site = Check(await client.GetAsync(Kinds.Site, null, parsed.GetRequiredValue(name), cancellation));
            JsonObject result = await InviteAsync(client, config, site.Name, new SiteSpec(), Servers(parsed.GetValue(server)), TimeSpan.FromHours(parsed.GetValue(life)!.Value), cancellation);
            result["command"] = $"{result["command"]} --site {site.Name}{string.Concat(Peers(parsed.GetValue(peer)).Select(p => $" --peer {p}"))}";
            if (parsed.GetRequiredValue(Cli.Output) is var form and not "table")
                Printer.Print(form, result, [], []);
            else
                Console.WriteLine($"Run this on the machine, once, before {result["expires"]}:\n\n  {result["command"]}\n{Missing(site, parsed.GetValue(peer))}");
            return ExitCodes.Success;
        });
        return command;
    }

    // A second machine that is told of no other would take itself for the only one.
    private static string Missing(KubeObject? site, string[]? peers) => site?.View(ApiJson.Default.Site).Status?.Nodes is > 0 && peers is not { Length: > 0 }
        ? $"The site has nodes. A machine that joins them needs one's address as well: atoll site token {site.Name} --peer ADDRESS:PORT\nA witness, or a machine in place of the only node, does not.\n"
        : "";

    /// <summary>Creates the site if it does not exist and gives it a new one-time token.</summary>
    internal static async Task<JsonObject> InviteAsync(IResources client, KubeConfig config, string name, SiteSpec spec, IReadOnlyList<string> servers, TimeSpan life, CancellationToken cancellation)
    {
        ApiResult existing = await client.GetAsync(Kinds.Site, null, name, cancellation);
        bool created = existing.IsNotFound;
        if (created)
            existing = await client.CreateAsync(Kinds.Site, null, KubeObject.FromView(new Site { Metadata = new ObjectMeta { Name = name }, Spec = spec }, ApiJson.Default.Site).ToNode(), cancellation);
        KubeObject site = Check(existing);
        if (site.View(ApiJson.Default.Site).Spec.Revoked == true)
            throw new CommandException($"site {name} was revoked. Delete it and create it anew: atoll site delete {name}");
        if (!created && Differing(spec, site) is { } field)
            throw new CommandException($"site {name} exists, and its spec.{field} is {site.ToNode()["spec"]?[field]?.ToJsonString() ?? "not set"}. Change it with: kubectl edit site {name}");
        if (servers.Count == 0)
            servers = await JoinTokens.AdvertisedAsync(client, cancellation);
        if (servers.Count == 0)
            servers = [config.Server.ToString().TrimEnd('/')];
        if (config.Authorities.Count == 0)
            throw new CommandException("the kubeconfig has no certificate-authority-data, so the token could not pin the centre's CA.");
        JoinToken token = JoinToken.Create(name, config.Authorities[0].RawData);
        DateTimeOffset expires = DateTimeOffset.UtcNow + life;
        Check(await JoinTokens.PutAsync(client, site, token, expires, cancellation));
        return new JsonObject
        {
            ["site"] = name,
            ["outcome"] = created ? "created" : "has a new token",
            ["server"] = servers[0],
            ["servers"] = new JsonArray([.. servers.Select(s => (JsonNode)s)]),
            ["token"] = token.ToString(),
            ["expires"] = KubeTime.Format(expires),
            ["command"] = $"atoll-agent join {string.Join(' ', servers.Select(s => $"--server {s}"))} --token {token}",
        };
    }

    // The first field that was asked for otherwise than the site has it. A kind is always there: who repeats the command need not repeat it.
    private static string? Differing(SiteSpec asked, KubeObject site)
    {
        JsonNode? has = site.ToNode()["spec"];
        foreach ((string field, JsonNode? value) in JsonSerializer.SerializeToNode(new Site { Spec = asked }, ApiJson.Default.Site)!["spec"]!.AsObject())
            if (field != "kind" && !JsonNode.DeepEquals(value, has?[field]))
                return field;
        return null;
    }

    // They go into a command that somebody pastes into a shell.
    private static string[] Servers(string[]? values) => Array.ConvertAll(values ?? [], text => Uri.TryCreate(text, UriKind.Absolute, out Uri? at) && at.Scheme == Uri.UriSchemeHttps && at.PathAndQuery == "/" && at.UserInfo.Length == 0 && at.Fragment.Length == 0
        ? at.GetLeftPart(UriPartial.Authority)
        : throw new CommandException($"--server: '{text}' is not an https address, such as https://centre.example.org:6443.", ExitCodes.Usage));

    private static string[] Peers(string[]? values) => Array.ConvertAll(values ?? [], text => IPEndPoint.TryParse(text, out IPEndPoint? at) && at.Port > 0
        ? at.ToString()
        : throw new CommandException($"--peer: '{text}' is not an address and port, such as 192.168.7.11:6445.", ExitCodes.Usage));

    private static Command ListCommand()
    {
        var command = new Command("list", "List the sites and their states.\n\nExamples:\n  atoll site list\n  atoll site list -o json") { Aliases = { "ls" } };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            ApiList list = await client.ListAsync(Kinds.Site, null, ListOptions.Default, cancellation);
            if (list.Error is { } error)
                throw new CommandException(error.Message ?? "the list failed");
            var items = new JsonArray();
            foreach (KubeObject item in list.Items)
                items.Add((JsonNode)item.ToNode());
            Printer.Print(parsed.GetRequiredValue(Cli.Output), new JsonObject { ["apiVersion"] = "v1", ["kind"] = "List", ["items"] = items }, s_headers, list.Items.Select(Row));
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command ShowCommand()
    {
        Argument<string> name = NameArgument();
        var command = new Command("show", "Show one site with its conditions and nodes.\n\nExample:\n  atoll site show lyon-1") { name };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            KubeObject value = Check(await client.GetAsync(Kinds.Site, null, parsed.GetRequiredValue(name), cancellation));
            string form = parsed.GetRequiredValue(Cli.Output);
            if (form != "table")
            {
                Printer.Print(form, value.ToNode(), [], []);
                return ExitCodes.Success;
            }
            ApiList nodes = await client.ListAsync(Kinds.Node, null, new ListOptions { LabelSelector = $"{WellKnown.SiteLabel}={value.Name}" }, cancellation);
            Console.Write(Describe(value, nodes));
            ApiList events = await client.ListAsync(Kinds.Event, null, new ListOptions { FieldSelector = $"involvedObject.kind=Site,involvedObject.name={value.Name},type=Warning" }, cancellation);
            if (events.Items.Count > 0)
                Console.Write($"\n{Printer.Table(["LAST", "TIMES", "WARNING", "MESSAGE"], events.Items.Select(Warning).OrderBy(w => w[0], StringComparer.Ordinal).TakeLast(5))}");
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command RevokeCommand()
    {
        Argument<string> name = NameArgument();
        var command = new Command("revoke", "Revoke a site: its session ends at once and its certificate is refused for good. What it runs goes on.\n\nExample:\n  atoll site revoke lyon-1") { name };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            string site = parsed.GetRequiredValue(name);
            Check(await client.PatchAsync(Kinds.Site, null, site, PatchType.Merge, new JsonObject { ["spec"] = new JsonObject { ["revoked"] = true } }, cancellation));
            await JoinTokens.DeleteAsync(client, site, cancellation);
            Printer.Done(parsed.GetRequiredValue(Cli.Output), $"site {site} revoked", new JsonObject { ["site"] = site, ["outcome"] = "revoked" });
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command DeleteCommand()
    {
        Argument<string> name = NameArgument();
        var command = new Command("delete", "Delete a site and its nodes from the centre. Its certificate is refused from then on.\n\nExample:\n  atoll site delete lyon-1") { name };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            string site = parsed.GetRequiredValue(name);
            await JoinTokens.DeleteAsync(client, site, cancellation);
            ApiResult result = await client.DeleteAsync(Kinds.Site, null, site, DeleteOptions.Default, cancellation);
            if (result.Error is { } error)
                throw Failure(error);
            Printer.Done(parsed.GetRequiredValue(Cli.Output), $"site {site} deleted", new JsonObject { ["site"] = site, ["outcome"] = "deleted" });
            return ExitCodes.Success;
        });
        return command;
    }

    private static IReadOnlyList<string> Warning(KubeObject value)
    {
        JsonObject text = value.ToNode();
        return [(string?)text["lastTimestamp"] ?? "-", text["count"]?.ToString() ?? "1", (string?)text["reason"] ?? "-", (string?)text["message"] ?? "-"];
    }

    internal static IReadOnlyList<string> Row(KubeObject value)
    {
        Site site = value.View(ApiJson.Default.Site);
        return
        [
            value.Name, site.Status?.Phase ?? "Pending", site.Spec.Region ?? "-", site.Spec.Kind ?? "-",
            (site.Status?.Nodes ?? 0).ToString(CultureInfo.InvariantCulture), site.Status?.AgentVersion ?? "-",
            site.Status?.LastTransitionTime is { } time ? KubeTime.Format(time) : "-",
        ];
    }

    private static string Describe(KubeObject value, ApiList nodes)
    {
        Site site = value.View(ApiJson.Default.Site);
        var text = new StringBuilder();
        text.Append(Printer.Table(s_headers, [Row(value)]));
        foreach (Condition condition in site.Status?.Conditions ?? [])
            text.Append(CultureInfo.InvariantCulture, $"\n{condition.Type}: {condition.Status} ({condition.Reason}) {condition.Message}");
        if (site.Status?.Parent is { } parent)
            text.Append(CultureInfo.InvariantCulture, $"\nParent: {parent.Address} ({parent.Reason}) {parent.Message}");
        if (site.Status?.Certificate is { } certificate)
            text.Append(CultureInfo.InvariantCulture, $"\nCertificate: of {certificate.Issuer}, until {(certificate.Expires is { } end ? KubeTime.Format(end) : "?")}");
        text.Append("\n\n");
        SiteOptions.Describe(site, TimeProvider.System.GetUtcNow(), text);
        text.Append(Printer.Table(["NODE", "READY", "CPU", "MEMORY"], nodes.Items.Select(n =>
        {
            NodeStatus? status = n.View(ApiJson.Default.Node).Status;
            return (IReadOnlyList<string>)
            [
                n.Name, status?.Conditions?.Find(c => c.Type == "Ready")?.Status ?? "Unknown",
                status?.Allocatable?.GetValueOrDefault("cpu") ?? "-", status?.Allocatable?.GetValueOrDefault("memory") ?? "-",
            ];
        })));
        return text.ToString();
    }

    internal static KubeObject Check(ApiResult result) => result.Error is { } error ? throw Failure(error) : result.Object!;

    internal static CommandException Failure(ApiStatus error) =>
        new(error.Message ?? error.Reason ?? "the call failed", error.Code == 404 ? ExitCodes.NotFound : ExitCodes.Failure);
}
