using System.CommandLine;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Cloud.Local;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll up|down|status|cut|heal</c>: a centre and three sites on this machine, behind the make targets.</summary>
internal static class LocalCommands
{
    /// <summary>Where <c>atoll up</c> keeps everything.</summary>
    public const string DefaultHome = "/var/lib/atoll-local";

    private static readonly Option<string?> s_home = new("--home") { Description = $"folder of the local installation (default: {DefaultHome}, with -N for instance N)", Validators = { Cli.NotEmpty } };

    private static readonly Option<int> s_instance = Numbered(new("--instance") { Description = $"number of the installation, 0 to {LocalNetwork.LastInstance}: several can live on one machine", DefaultValueFactory = _ => 0 });

    private static readonly Option<string> s_agent = new("--agent") { Description = "path of the atoll-agent program (default: beside this program)", DefaultValueFactory = _ => Path.Combine(AppContext.BaseDirectory, "atoll-agent") };

    private static Option<int> Numbered(Option<int> option)
    {
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 0 or > LocalNetwork.LastInstance)
                result.AddError($"--instance must be a number from 0 to {LocalNetwork.LastInstance}.");
        });
        return option;
    }

    private static LocalInstallation Installation(ParseResult parsed)
    {
        int instance = parsed.GetRequiredValue(s_instance);
        return new LocalInstallation(Path.GetFullPath(parsed.GetValue(s_home) ?? (instance == 0 ? DefaultHome : $"{DefaultHome}-{instance}")), Path.GetFullPath(parsed.GetRequiredValue(s_agent)), instance, parsed.GetRequiredValue(Cli.Output));
    }

    private static Argument<string> SiteArgument()
    {
        var site = new Argument<string>("site") { Description = "alpha, bravo or charlie" };
        site.CompletionSources.Add(_ => LocalSite.Of(0).Select(s => new System.CommandLine.Completions.CompletionItem(s.Name)));
        return site;
    }

    public static Command Up()
    {
        var samples = new Option<string>("--sample") { Description = "manifest to apply at the end", DefaultValueFactory = _ => Path.Combine(AppContext.BaseDirectory, "samples", "hello", "hello.yaml") };
        var command = new Command("up", """
            Start a centre and three sites on this machine, each site in its own network namespace behind NAT, and deploy the
            sample. Needs root. A second run changes nothing. A centre or agent that ends by itself is started again.

            Example:
              sudo atoll up
            """) { s_home, s_agent, s_instance, samples };
        command.SetAction(async (parsed, cancellation) =>
        {
            NeedRoot("up");
            return await Installation(parsed).UpAsync(parsed.GetRequiredValue(samples), cancellation);
        });
        return command;
    }

    public static Command Down()
    {
        var command = new Command("down", "Stop what 'atoll up' started and leave nothing behind: no process, mount, namespace, cgroup, link, firewall rule or file.\n\nExample:\n  sudo atoll down") { s_home, s_agent, s_instance };
        command.SetAction(async (parsed, cancellation) =>
        {
            NeedRoot("down");
            Printer.Done(parsed.GetRequiredValue(Cli.Output), await Installation(parsed).DownAsync(cancellation), new JsonObject { ["outcome"] = "down" });
            return ExitCodes.Success;
        });
        return command;
    }

    // What 'atoll up' leaves running beside the rest; nobody types it.
    public static Command Keep()
    {
        var command = new Command("keep", "Start again what ends of a local installation, until asked to stop.") { s_home, s_agent, s_instance };
        command.Hidden = true;
        command.SetAction(async (parsed, cancellation) =>
        {
            NeedRoot("keep");
            await Installation(parsed).KeepAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return ExitCodes.Success;
        });
        return command;
    }

    public static Command Status()
    {
        var command = new Command("status", "Show what 'atoll up' runs: processes, lines, sites and pods.\n\nExample:\n  sudo atoll status -o json") { s_home, s_agent, s_instance };
        command.SetAction(async (parsed, cancellation) =>
        {
            NeedRoot("status");
            return await Installation(parsed).StatusAsync(cancellation);
        });
        return command;
    }

    public static Command Cut()
    {
        Argument<string> name = SiteArgument();
        var command = new Command("cut", "Cut a local site's line: packets vanish in both directions.\n\nExample:\n  sudo atoll cut alpha") { name, s_instance };
        command.SetAction(async (parsed, cancellation) =>
        {
            (LocalNetwork network, LocalSite site) = Line(parsed, name, "cut");
            await network.CutAsync(site, cancellation);
            Printer.Done(parsed.GetRequiredValue(Cli.Output), $"line of {site.Name} cut", new JsonObject { ["site"] = site.Name, ["line"] = "cut" });
            return ExitCodes.Success;
        });
        return command;
    }

    public static Command Heal()
    {
        Argument<string> name = SiteArgument();
        var command = new Command("heal", "Heal a local site's line.\n\nExample:\n  sudo atoll heal alpha") { name, s_instance };
        command.SetAction(async (parsed, cancellation) =>
        {
            (LocalNetwork network, LocalSite site) = Line(parsed, name, "heal");
            await network.HealAsync(site, cancellation);
            Printer.Done(parsed.GetRequiredValue(Cli.Output), $"line of {site.Name} healed", new JsonObject { ["site"] = site.Name, ["line"] = "whole" });
            return ExitCodes.Success;
        });
        return command;
    }

    private static (LocalNetwork Network, LocalSite Site) Line(ParseResult parsed, Argument<string> argument, string verb)
    {
        NeedRoot(verb);
        var network = new LocalNetwork(parsed.GetRequiredValue(s_instance));
        string name = parsed.GetRequiredValue(argument);
        LocalSite? site = network.Sites.FirstOrDefault(s => s.Name == name);
        if (site is null)
            throw new CommandException($"site '{name}' is not one of this machine's sites: {string.Join(", ", network.Sites.Select(s => s.Name))}.", ExitCodes.NotFound);
        return network.Exists ? (network, site) : throw new CommandException("nothing is up on this machine. Start it with: make up", ExitCodes.NotFound);
    }

    private static void NeedRoot(string verb)
    {
        if (!Environment.IsPrivilegedProcess)
            throw new CommandException($"'atoll {verb}' makes network namespaces and needs root: sudo atoll {verb}");
    }
}
