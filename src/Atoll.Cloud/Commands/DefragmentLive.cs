using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Client;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll defragment create|approve|watch</c>: DefragmentationPlans of the live fleet.</summary>
internal static class DefragmentLive
{
    private static readonly string[] s_headers = ["STEP", "STATE", "POD", "FROM", "TO", "MESSAGE"];

    public static IEnumerable<Command> Create() => [New(), Approve(), Watch()];

    private static Command New()
    {
        Argument<string> name = Name();
        var flavours = new Option<string[]>("--flavour", "-f") { Description = "make this saleable: the name of a Flavour, or a size such as 4c8g, with =WEIGHT behind it if some count more; may be given several times (default: every Flavour object)" };
        var region = new Option<string?>("--region", "-r") { Description = "only nodes of this region" };
        var site = new Option<string?>("--site", "-s") { Description = "only nodes of this site" };
        Option<string> within = Cli.Among(new Option<string>("--within") { Description = "how far a pod may go", DefaultValueFactory = _ => "region" }, "region", "site");
        var moves = new Option<int>("--moves") { Description = "moves at most", DefaultValueFactory = _ => 10 };
        var bandwidth = new Option<string?>("--site-bandwidth") { Description = "bytes a second of images that moves may pull into one site, such as 10M" };
        var approve = new Option<bool>("--approve") { Description = "approve it at once" };
        var auto = new Option<int?>("--auto-approve") { Description = "approve it if it takes at most so many moves" };
        var command = new Command("create", """
            Create a plan for the live fleet: its moves are computed within seconds, and carried out once it is approved.

            Examples:
              atoll defragment create tonight --flavour 4c8g --moves 20
              atoll defragment create gpus -f big-gpu=5 -f 4c8g --region east --auto-approve 3
            """) { name, flavours, region, site, within, moves, bandwidth, approve, auto };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            var spec = new JsonObject { ["moveWithin"] = parsed.GetRequiredValue(within) == "site" ? "Site" : "Region", ["limits"] = new JsonObject { ["maxMoves"] = parsed.GetValue(moves) } };
            if (parsed.GetValue(flavours) is { Length: > 0 } asked)
                spec["flavours"] = new JsonArray([.. asked.Select(a => (JsonNode)Weighted(a))]);
            Set(spec, "region", parsed.GetValue(region));
            Set(spec, "site", parsed.GetValue(site));
            Set(spec["limits"]!.AsObject(), "siteBandwidth", parsed.GetValue(bandwidth));
            if (parsed.GetValue(approve))
                spec["approved"] = true;
            if (parsed.GetValue(auto) is { } most)
                spec["autoApproveMoves"] = most;
            KubeObject plan = SiteCommands.Check(await client.CreateAsync(Kinds.DefragmentationPlan, null, new JsonObject
            {
                ["apiVersion"] = Kinds.DefragmentationPlan.ApiVersion,
                ["kind"] = Kinds.DefragmentationPlan.Kind,
                ["metadata"] = new JsonObject { ["name"] = parsed.GetRequiredValue(name) },
                ["spec"] = spec,
            }, cancellation));
            return await FollowAsync(client, plan.Name, parsed.GetRequiredValue(Cli.Output), IsLookedAt, cancellation);
        });
        return command;
    }

    /// <summary>True when its moves are computed, or the centre has said why it cannot compute them yet.</summary>
    internal static bool IsLookedAt(DefragmentationPlan plan) => plan.Status is { ComputedFor: not null } or { Phase: "Pending" };

    private static Command Approve()
    {
        Argument<string> name = Name();
        var command = new Command("approve", "Approve a plan: its moves are carried out from now on.") { name };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            SiteCommands.Check(await client.PatchAsync(Kinds.DefragmentationPlan, null, parsed.GetRequiredValue(name), PatchType.Merge, new JsonObject { ["spec"] = new JsonObject { ["approved"] = true } }, cancellation));
            Console.WriteLine($"plan {parsed.GetRequiredValue(name)} is approved; see: atoll defragment watch {parsed.GetRequiredValue(name)}");
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Watch()
    {
        Argument<string> name = Name();
        var command = new Command("watch", "Follow a plan until it is completed, has failed or waits for approval, and print its moves and what they reached.") { name };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            return await FollowAsync(client, parsed.GetRequiredValue(name), parsed.GetRequiredValue(Cli.Output), s => s.Status?.Phase is "Completed" or "Failed" or "WaitingForApproval", cancellation);
        });
        return command;
    }

    /// <summary>Tells each change of the plan's message until something holds, then prints the plan; a failure when it has failed or cannot be computed yet.</summary>
    internal static async Task<int> FollowAsync(IResources api, string name, string form, Func<DefragmentationPlan, bool> enough, CancellationToken cancellation)
    {
        KubeObject plan = SiteCommands.Check(await api.GetAsync(Kinds.DefragmentationPlan, null, name, cancellation));
        string? told = null;
        if (!Seen(plan))
            await foreach (WatchEvent change in api.WatchAsync(Kinds.DefragmentationPlan, null, new WatchOptions { ResourceVersion = plan.ResourceVersion }, cancellation))
            {
                if (change.Object?.Name != name)
                    continue;
                plan = change.Object;
                if (change.Type == WatchEventType.Deleted)
                    throw new CommandException($"plan {name} was deleted", ExitCodes.NotFound);
                if (Seen(plan))
                    break;
            }
        Print(plan, form);
        return plan.View(ApiJson.Default.DefragmentationPlan).Status?.Phase is "Failed" or "Pending" ? ExitCodes.Failure : ExitCodes.Success;

        bool Seen(KubeObject now)
        {
            DefragmentationPlan view = now.View(ApiJson.Default.DefragmentationPlan);
            if (form == "table" && view.Status?.Message is { } message && message != told)
                Console.Error.WriteLine(told = message);
            return enough(view);
        }
    }

    private static void Print(KubeObject plan, string form)
    {
        DefragmentationPlanStatus status = plan.View(ApiJson.Default.DefragmentationPlan).Status ?? new DefragmentationPlanStatus();
        Printer.Print(form, plan.ToNode(), s_headers, (status.Moves ?? []).Select(m => (string[])[m.Step.ToString(CultureInfo.InvariantCulture), m.State, $"{m.Namespace}/{m.Pod}", m.From, m.To, m.Message ?? (m.Restarts == true ? "its pod goes before it is made anew" : "")]));
        if (form != "table")
            return;
        foreach (DefragmentationEffect effect in status.Effects ?? [])
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{effect.Flavour}: {effect.Before} saleable before, {effect.Promised} promised{(effect.Reached is { } reached ? $", {reached} reached" : "")}, {effect.Bound} at most; fragmentation {effect.FragmentationBefore:P1} before, {effect.FragmentationPromised:P1} promised{(effect.FragmentationReached is { } rate ? string.Create(CultureInfo.InvariantCulture, $", {rate:P1} reached") : "")}"));
        Console.WriteLine($"{status.Phase ?? "Pending"}: {status.Message}");
    }

    private static JsonObject Weighted(string text)
    {
        int equals = text.LastIndexOf('=');
        if (equals < 0)
            return new JsonObject { ["name"] = text };
        return int.TryParse(text[(equals + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int weight)
            ? new JsonObject { ["name"] = text[..equals], ["weight"] = weight }
            : throw new CommandException($"'{text}' is not NAME=WEIGHT with a whole number", ExitCodes.Usage);
    }

    private static void Set(JsonObject spec, string field, string? value)
    {
        if (!string.IsNullOrEmpty(value))
            spec[field] = value;
    }

    private static Argument<string> Name() => Cli.Name("the plan's name");
}
