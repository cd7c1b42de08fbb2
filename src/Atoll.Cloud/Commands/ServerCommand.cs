using System.CommandLine;
using System.Net;
using Atoll.Cloud.Server;
using Atoll.Link;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll server</c>: the centre.</summary>
internal static class ServerCommand
{
    /// <summary>Most addresses of one centre.</summary>
    internal const int MaxAddresses = 8;

    public static Command Create()
    {
        var state = new Option<string>("--state") { Description = "folder of the store, keys and certificates", DefaultValueFactory = _ => "/var/lib/atoll/centre", Validators = { Cli.NotEmpty } };
        var listen = new Option<string>("--listen") { Description = "address and port to listen on", DefaultValueFactory = _ => "0.0.0.0:6443" };
        var advertise = new Option<string[]>("--advertise") { Description = "address at which sites and people reach this centre; may be given again, the preferred one first (default: https://HOSTNAME:PORT)" };
        var relay = new Option<string[]>("--relay") { Description = "registry (HOST:PORT) that sites reach through their links, so that downloads yield to everything else on a thin line; may be given again. Sites reach others directly" };
        var kubeconfig = new Option<string?>("--kubeconfig-out") { Description = "where to write the administrator's kubeconfig (default: STATE/admin.kubeconfig)" };
        var command = new Command("server", """
            Run a centre: the API, the controllers, the scheduler and the hub of all sites' links, on one port.

            Examples:
              atoll server --state /var/lib/atoll/centre --listen 0.0.0.0:6443 --advertise https://centre.example.org:6443
              kubectl --kubeconfig /var/lib/atoll/centre/admin.kubeconfig get sites
            """) { state, listen, advertise, relay, kubeconfig };
        command.SetAction(async (parsed, cancellation) =>
        {
            string folder = Path.GetFullPath(parsed.GetRequiredValue(state));
            if (!IPEndPoint.TryParse(parsed.GetRequiredValue(listen), out IPEndPoint? endpoint) || endpoint.Port == 0 && !parsed.GetRequiredValue(listen).EndsWith(":0", StringComparison.Ordinal))
                throw new CommandException($"--listen: '{parsed.GetValue(listen)}' is not ADDRESS:PORT, such as 0.0.0.0:6443.", ExitCodes.Usage);
            string[] given = parsed.GetValue(advertise) is { Length: > 0 } some ? some : [$"https://{Dns.GetHostName()}:{endpoint.Port}"];
            if (given.Length > MaxAddresses)
                throw new CommandException($"--advertise: at most {MaxAddresses} addresses.", ExitCodes.Usage);
            Uri[] advertised = Array.ConvertAll(given, address => Uri.TryCreate(address, UriKind.Absolute, out Uri? uri) && uri.Scheme == Uri.UriSchemeHttps && address.Length <= LinkLimits.MaxAddressLength
                ? uri
                : throw new CommandException($"--advertise: '{address}' is not an https address, such as https://centre.example.org:6443.", ExitCodes.Usage));
            await CentreServer.RunAsync(new CentreOptions(folder, endpoint, advertised, parsed.GetValue(kubeconfig) ?? Path.Combine(folder, "admin.kubeconfig"), Relayed(parsed.GetValue(relay) ?? [])), cancellation);
            return ExitCodes.Success;
        });
        return command;
    }

    private static HashSet<string> Relayed(string[] addresses)
    {
        foreach (string address in addresses)
        {
            int colon = address.LastIndexOf(':');
            if (colon <= 0 || !ushort.TryParse(address.AsSpan(colon + 1), out ushort port) || port == 0)
                throw new CommandException($"--relay: '{address}' is not HOST:PORT, such as registry.example.org:443.", ExitCodes.Usage);
        }
        return new HashSet<string>(addresses, StringComparer.Ordinal);
    }
}
