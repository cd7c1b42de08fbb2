using System.CommandLine;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Certificates;
using Atoll.Kube.Client;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll ca …</c>: the centre's certificate authority, on the centre's machine. See docs/how-to/rotate-the-ca.md.</summary>
internal static class AuthorityCommands
{
    // One asks every five minutes, and a little more for the answer and the new certificate.
    private static readonly TimeSpan s_witnesses = TimeSpan.FromMinutes(6);

    private static readonly Option<string> s_state = new("--state") { Description = "the centre's folder, as given to 'atoll server'", DefaultValueFactory = _ => "/var/lib/atoll/centre", Validators = { Cli.NotEmpty } };

    public static Command Create() => new("ca", "Show and rotate the centre's certificate authority. Run it on the centre's machine.\n\nExamples:\n  atoll ca show\n  atoll ca rotate") { Show(), Rotate(), Retire() };

    private static Command Show()
    {
        var command = new Command("show", "Show the CA, and during a rotation which sites, and nodes of sites of several, have not moved yet.\n\nExample:\n  atoll ca show --state /var/lib/atoll/centre") { s_state };
        command.SetAction(async (parsed, cancellation) =>
        {
            CertificateAuthority authority = CertificateAuthority.OpenExisting(Folder(parsed), TimeProvider.System);
            List<string> behind = authority.IsRotating ? await BehindAsync(parsed, authority, cancellation) : [];
            var value = new JsonObject
            {
                ["signs"] = authority.Name,
                ["expires"] = KubeTime.Format(authority.Certificate.NotAfter.ToUniversalTime()),
                ["retiring"] = authority.RetiringName,
                ["trust"] = authority.TrustDigest,
                ["notMoved"] = new JsonArray([.. behind.Select(s => (JsonNode)s)]),
            };
            Printer.Print(parsed.GetRequiredValue(Cli.Output), value, ["SIGNS", "UNTIL", "RETIRING", "NOT MOVED"],
                [[authority.Name, KubeTime.Format(authority.Certificate.NotAfter.ToUniversalTime()), authority.RetiringName ?? "-", behind.Count == 0 ? "-" : string.Join(' ', behind)]]);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Rotate()
    {
        var command = new Command("rotate", """
            Make a new CA sign. The running centre takes it over within seconds; the old one is trusted until 'atoll ca retire'.
            Connected sites renew their certificates at once, others when they return. No connection is dropped.

            Example:
              atoll ca rotate --state /var/lib/atoll/centre
            """) { s_state };
        command.SetAction(parsed =>
        {
            CertificateAuthority.Rotate(Folder(parsed), TimeProvider.System);
            CertificateAuthority authority = CertificateAuthority.OpenExisting(Folder(parsed), TimeProvider.System);
            Printer.Done(parsed.GetRequiredValue(Cli.Output), $"{authority.Name} signs now; {authority.RetiringName} is trusted until you run: atoll ca retire\nWho has not moved yet: atoll ca show",
                new JsonObject { ["signs"] = authority.Name, ["retiring"] = authority.RetiringName });
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Retire()
    {
        var force = new Option<bool>("--force") { Description = "also when some have not moved yet: they must join again" };
        var command = new Command("retire", "Finish a rotation: the CA before is trusted no more. Refused while a site, or a node of one of several, has not moved, and for 6 minutes where a site has a witness.\n\nExample:\n  atoll ca retire --state /var/lib/atoll/centre") { s_state, force };
        command.SetAction(async (parsed, cancellation) =>
        {
            CertificateAuthority authority = CertificateAuthority.OpenExisting(Folder(parsed), TimeProvider.System);
            if (authority.IsRotating && !parsed.GetValue(force) && await BehindAsync(parsed, authority, cancellation) is { Count: > 0 } behind)
                throw new CommandException($"{behind.Count} sites, nodes (SITE/NODE) or witnesses (SITE/witness, for 6 minutes) may still hold a certificate of {authority.RetiringName} and would have to join again: {string.Join(' ', behind.Take(20))}{(behind.Count > 20 ? " …" : "")}. Wait for them, delete nodes that are gone for good (kubectl delete node NODE), or use --force.");
            CertificateAuthority.Retire(Folder(parsed), TimeProvider.System);
            Printer.Done(parsed.GetRequiredValue(Cli.Output), $"{authority.RetiringName} is trusted no more. Kubeconfigs and join tokens made before the rotation no longer work.",
                new JsonObject { ["signs"] = authority.Name, ["retired"] = authority.RetiringName });
            return ExitCodes.Success;
        });
        return command;
    }

    private static string Folder(ParseResult parsed) => Path.GetFullPath(parsed.GetRequiredValue(s_state));

    /// <summary>Sites that were ever joined, are not revoked, and hold no certificate of the CA that signs; and nodes.</summary>
    private static async Task<List<string>> BehindAsync(ParseResult parsed, CertificateAuthority authority, CancellationToken cancellation)
    {
        string own = Path.Combine(Folder(parsed), "admin.kubeconfig");
        using HttpResources client = parsed.GetValue(Cli.Kubeconfig) is null && File.Exists(own) ? new HttpResources(KubeConfig.Load(own)) : Cli.Connect(parsed).Resources;
        ApiList sites = await client.ListAsync(Kinds.Site, null, ListOptions.Default, cancellation);
        if (sites.Error is { } error)
            throw new CommandException(error.Message ?? "the sites could not be listed");
        ApiList nodes = await client.ListAsync(Kinds.Node, null, ListOptions.Default, cancellation);
        if (nodes.Error is { } failure)
            throw new CommandException(failure.Message ?? "the nodes could not be listed");
        return Behind(sites.Items, nodes.Items, authority.Name, authority.TrustDigest, DateTime.UtcNow < authority.Began + s_witnesses);
    }

    /// <summary>
    /// Names of the sites, and as SITE/NODE of the nodes of sites of several, which each have a certificate of their own. A witness tells nobody: it is
    /// waited for while it may not have asked yet.
    /// </summary>
    internal static List<string> Behind(IEnumerable<KubeObject> sites, IEnumerable<KubeObject> nodes, string signs, string trust, bool witnesses)
    {
        ILookup<string?, KubeObject> of = nodes.ToLookup(n => n.Metadata.Label(WellKnown.SiteLabel));
        var behind = new List<string>();
        foreach (KubeObject value in sites)
        {
            Site site = value.View(ApiJson.Default.Site);
            if (site.Spec.Revoked == true || site.Status?.Phase is null or "Pending")
                continue;
            if (witnesses && site.Status.Conditions?.Find(c => c.Type == WellKnown.LedCondition)?.Message?.Contains(" the witness at ", StringComparison.Ordinal) == true)
                behind.Add($"{value.Name}/witness");
            // That a certificate was given does not say that it arrived, or could be written: the site's nodes tell what they trust.
            List<string> old = [.. of[value.Name].Where(n => n.View(ApiJson.Default.Node).Status?.Edge?.Trust is { } known && known != trust).Select(static n => n.Name)];
            if (site.Status.Certificate?.Issuer != signs || (old.Count > 0 && of[value.Name].Count() == 1))
                behind.Add(value.Name);
            else
                behind.AddRange(old.Select(n => $"{value.Name}/{n}"));
        }
        return behind;
    }
}
