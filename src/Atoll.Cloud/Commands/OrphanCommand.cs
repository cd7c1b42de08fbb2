using System.CommandLine;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Client;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll site orphans</c>: what a site keeps that the centre does not know, and what is to become of it.</summary>
internal static class OrphanCommand
{
    private const string All = "all";

    public static Command Create()
    {
        Argument<string> name = Cli.Name("the site's name");
        var adopt = new Option<string[]>("--adopt") { Description = "take this object (as listed, or its UID, or 'all') into the centre as it runs; may be given again" };
        var stop = new Option<string[]>("--stop") { Description = "remove this object (as listed, or its UID, or 'all') at the site; may be given again" };
        var command = new Command("orphans", """
            List what a site keeps that this centre does not know, as after the centre was put back to an older state, and decide
            about it. Nothing is stopped or taken in without a decision. A decision waits for a site that is not connected. What
            an adopted pod refers to is adopted with it. What cannot be adopted is shown with the reason, and tried again.

            Examples:
              atoll site orphans lyon-1
              atoll site orphans lyon-1 --adopt pods/default/web-7d4b
              atoll site orphans lyon-1 --adopt pods/default/web-7d4b --stop pods/default/old-1
              atoll site orphans lyon-1 --adopt all
            """) { name, adopt, stop };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            KubeObject site = SiteCommands.Check(await client.GetAsync(Kinds.Site, null, parsed.GetRequiredValue(name), cancellation));
            Dictionary<string, string> wanted = Decide(site, parsed.GetValue(adopt) ?? [], parsed.GetValue(stop) ?? []);
            if (wanted.Count > 0)
                site = SiteCommands.Check(await client.PatchAsync(Kinds.Site, null, site.Name, PatchType.Merge, Patch(site, wanted), cancellation));
            Print(site, parsed.GetRequiredValue(Cli.Output), wanted.Count);
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>UID → action for everything named.</summary>
    internal static Dictionary<string, string> Decide(KubeObject value, IReadOnlyList<string> adopt, IReadOnlyList<string> stop)
    {
        List<SiteOrphan> orphans = value.View(ApiJson.Default.Site).Status?.Orphans ?? [];
        var decisions = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach ((string text, string action) in adopt.Select(a => (a, "Adopt")).Concat(stop.Select(s => (s, "Stop"))))
        {
            List<SiteOrphan> meant = text == All ? orphans : orphans.FindAll(o => $"{o.Resource}/{o.Name}" == text || o.Uid == text);
            if (meant.Count == 0 && text != All)
                throw new CommandException($"site {value.Name} keeps no orphan '{text}'. List them with: atoll site orphans {value.Name}", ExitCodes.NotFound);
            foreach (SiteOrphan orphan in meant)
                if (!decisions.TryAdd(orphan.Uid, action) && decisions[orphan.Uid] != action)
                    throw new CommandException($"{orphan.Resource}/{orphan.Name} cannot be both adopted and stopped.", ExitCodes.Usage);
        }
        return decisions;
    }

    private static JsonObject Patch(KubeObject site, Dictionary<string, string> wanted)
    {
        var all = new JsonArray();
        foreach (OrphanDecision before in site.View(ApiJson.Default.Site).Spec.Orphans ?? [])
            if (!wanted.ContainsKey(before.Uid))
                all.Add((JsonNode)new JsonObject { ["uid"] = before.Uid, ["action"] = before.Action });
        foreach ((string uid, string action) in wanted)
            all.Add((JsonNode)new JsonObject { ["uid"] = uid, ["action"] = action });
        // Against the version that was read: what another operator decides at the same time is not lost.
        return new JsonObject { ["metadata"] = new JsonObject { ["resourceVersion"] = site.ResourceVersion }, ["spec"] = new JsonObject { ["orphans"] = all } };
    }

    private static void Print(KubeObject value, string form, int decided)
    {
        Site site = value.View(ApiJson.Default.Site);
        var decisions = (site.Spec.Orphans ?? []).DistinctBy(d => d.Uid).ToDictionary(d => d.Uid, d => d.Action, StringComparer.Ordinal);
        List<SiteOrphan> orphans = site.Status?.Orphans ?? [];
        if (form == "table" && orphans.Count == 0)
        {
            Console.WriteLine($"site {value.Name} keeps nothing that this centre does not know");
            return;
        }
        var list = new JsonArray();
        foreach (SiteOrphan orphan in orphans)
            list.Add((JsonNode)new JsonObject { ["resource"] = orphan.Resource, ["name"] = orphan.Name, ["uid"] = orphan.Uid, ["decision"] = decisions.GetValueOrDefault(orphan.Uid), ["message"] = orphan.Message });
        Printer.Print(form, new JsonObject { ["site"] = value.Name, ["orphans"] = list }, ["ORPHAN", "UID", "DECISION", "WHY NOT YET"],
            orphans.Select(o => (IReadOnlyList<string>)[$"{o.Resource}/{o.Name}", o.Uid, decisions.GetValueOrDefault(o.Uid) ?? "-", o.Message ?? "-"]));
        if (form == "table" && decided > 0)
            Console.WriteLine(site.Status?.Phase == "Connected" ? "\nThis is carried out now." : $"\nThis is carried out when site {value.Name} is connected.");
    }
}
