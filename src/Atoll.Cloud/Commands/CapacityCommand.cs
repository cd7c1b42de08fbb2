using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Api.Resources;
using Atoll.Kube.Client;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Offline;
using Atoll.Scheduling.Online;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll capacity</c>: how many of a flavour can still be sold, where, and what of the free capacity is fragments.</summary>
internal static class CapacityCommand
{
    private static readonly string[] s_headers = ["FLAVOUR", "REGION", "SITE", "NODES", "SELLABLE", "FRAGMENTATION", "FREE", "BLOCKED BY"];
    private static readonly int[] s_migrations = [1, 10, 50];

    public static Command Create()
    {
        var flavours = new Option<string[]>("--flavour", "-f")
        {
            Description = "what is sold: the name of a Flavour, 4c8g (cores and GiB), or a list such as cpu=4,memory=8Gi,example.com/gpu=1; may be given several times (default: every Flavour object, or 1c2g, 4c8g and 16c32g)",
        };
        var region = new Option<string?>("--region", "-r") { Description = "only this region" };
        var site = new Option<string?>("--site", "-s") { Description = "only this site" };
        var plan = new Option<int?>("--plan") { Description = "show the moves behind so many migrations (the first flavour), in order" };
        Option<string> by = Cli.Among(new Option<string>("--by") { Description = "a line for each site, for each region, or in all", DefaultValueFactory = _ => "site" }, "site", "region", "all");
        var command = new Command("capacity", """
            Show how many instances of a flavour can still be sold, exactly for the fleet as it is now; how much of the free capacity
            is lost in pieces (FRAGMENTATION: what one piece would hold and the nodes do not, and for each resource the share that
            cannot be sold); what is short for one more; and what migrations within a region would add (--plan N shows the moves). Nodes that take no new work
            (cordoned, silent, tainted) are counted apart.

            Examples:
              atoll capacity --flavour 4c8g --region east
              atoll capacity -f cpu=8,memory=32Gi,nvidia.com/gpu=1 --by region -o json | jq '.flavours[].sellable'
            """) { flavours, region, site, by, plan };
        command.SetAction(async (parsed, cancellation) =>
        {
            if (parsed.GetValue(plan) is < 1 or > 1000)
                throw new CommandException("--plan is 1 to 1000", ExitCodes.Usage);
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            List<Flavour> asked = await ReadAsync(client, parsed.GetValue(flavours) ?? [], cancellation);
            string? inRegion = parsed.GetValue(region), inSite = parsed.GetValue(site);
            JsonObject result = await AnswerAsync(client, asked, inRegion, inSite, parsed.GetRequiredValue(by), cancellation);
            if (parsed.GetValue(plan) is { } moves)
                result["plan"] = Moves(new FleetCapacity(await ExplainCommand.FleetAsync(client, cancellation), asked[0], inRegion, inSite).PlanOf(moves, 4, 400, TimeProvider.System));
            string form = parsed.GetRequiredValue(Cli.Output);
            Printer.Print(form, result, s_headers, result["flavours"]!.AsArray().SelectMany(f => Rows(f!.AsObject())));
            if (form == "table")
                foreach (JsonNode? flavour in result["flavours"]!.AsArray())
                    Console.WriteLine($"{flavour!["flavour"]}: {flavour["sellable"]} sellable; {string.Join(", ", flavour["migrations"]!.AsObject().Select(m => $"{m.Key} {(m.Key == "1" ? "migration" : "migrations")} would add at least {m.Value}"))}");
            if (form == "table" && result["plan"] is JsonArray steps)
                foreach (JsonNode? step in steps)
                    Console.WriteLine($"  {step!["pod"]}: {step["from"]} → {step["to"]}");
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>The answer as a document.</summary>
    internal static async Task<JsonObject> AnswerAsync(IResources api, IReadOnlyList<Flavour> flavours, string? region, string? site, string by, CancellationToken cancellation)
    {
        Snapshot fleet = await ExplainCommand.FleetAsync(api, cancellation);
        var answers = new JsonArray();
        foreach (Flavour flavour in flavours)
        {
            var capacity = new FleetCapacity(fleet, flavour, region, site);
            CapacityAnswer total = capacity.Total();
            if (total.OpenNodes + total.ClosedNodes == 0)
                throw new CommandException(site is not null ? $"site {site} has no node{(region is null ? "" : $" in region {region}")}" : region is not null ? $"region {region} has no node" : "there is no node yet", ExitCodes.NotFound);
            JsonObject answer = Document(total);
            answer["topNodes"] = new JsonArray([.. capacity.TopNodes(total, 5).Select(n => (JsonNode)new JsonObject { ["node"] = n.Name, ["site"] = n.Site, ["stranded"] = n.Stranded, ["shortOf"] = n.ShortOf, ["share"] = Math.Round(n.Share, 4) })]);
            answer["topPods"] = new JsonArray([.. capacity.TopPods(total, 5).Select(p => (JsonNode)new JsonObject { ["pod"] = $"{p.Namespace}/{p.Name}", ["node"] = p.Node, ["blocks"] = p.Blocks })]);
            answer.Insert(0, "flavour", flavour.Name);
            var gains = new JsonObject();
            foreach (int migrations in s_migrations)
                gains[migrations.ToString(CultureInfo.InvariantCulture)] = capacity.GainOf(migrations);
            answer["migrations"] = gains;
            IReadOnlyList<CapacityAnswer> parts = by switch { "site" => capacity.Sites(), "region" => capacity.Regions(), _ => [total] };
            answer["parts"] = new JsonArray([.. parts.Select(p => (JsonNode)Document(p))]);
            answers.Add((JsonNode)answer);
        }
        return new JsonObject { ["flavours"] = answers };
    }

    /// <summary>What the texts stand for; without any, every Flavour object, or three common sizes.</summary>
    internal static async Task<List<Flavour>> ReadAsync(IResources api, string[] texts, CancellationToken cancellation)
    {
        ApiList known = await api.ListAsync(Kinds.Flavour, null, ListOptions.Default, cancellation);
        if (texts.Length == 0)
            texts = known.Items.Count > 0 ? [.. known.Items.Select(f => f.Name).Order(StringComparer.Ordinal)] : ["1c2g", "4c8g", "16c32g"];
        try
        {
            return [.. texts.Select(t => known.Items.FirstOrDefault(f => f.Name == t) is { } named ? Flavour.Of(t, named.View(ApiJson.Default.FlavourDefinition).Spec) : Flavour.Parse(t))];
        }
        catch (FormatException e)
        {
            throw new CommandException(e.Message, ExitCodes.Usage);
        }
    }

    private static JsonArray Moves(FleetMovePlan plan) =>
        [.. plan.Moves.Select(m => (JsonNode)new JsonObject { ["pod"] = m.Pod.Key, ["from"] = m.From, ["to"] = m.To, ["toSite"] = m.ToSite, ["bytes"] = m.Bytes })];

    private static JsonObject Document(CapacityAnswer answer)
    {
        JsonObject free = [], services = [], unsaleable = [], shortOn = [], blocks = [];
        for (int r = 0; r < answer.Resources.Count; r++)
        {
            string name = answer.Resources[r];
            free[name] = Amount(name, answer.Free[r]);
            services[name] = Amount(name, answer.Services[r]);
            unsaleable[name] = Math.Round(answer.Unsaleable(r), 4);
            shortOn[name] = answer.ShortOn[r];
            blocks[name] = answer.Blocks[r];
        }
        return new JsonObject
        {
            ["region"] = answer.Region, ["site"] = answer.Site, ["nodes"] = answer.OpenNodes, ["closedNodes"] = answer.ClosedNodes, ["sellable"] = answer.Sellable,
            ["pooled"] = answer.Pooled, ["fragmentation"] = Math.Round(answer.Fragmentation, 4), ["free"] = free, ["services"] = services, ["unsaleable"] = unsaleable, ["shortOn"] = shortOn, ["blocks"] = blocks,
            ["closed"] = new JsonArray([.. answer.Closed.Select(c => (JsonNode)new JsonObject { ["reason"] = c.Reason, ["nodes"] = c.Nodes, ["sellable"] = c.Sellable })]),
        };
    }

    private static string Amount(string resource, long amount) => resource switch
    {
        "cpu" or WellKnown.Compute => Quantity.FromMilli(amount).ToString(),
        "memory" or WellKnown.GpuMemory => Quantity.FromValue(amount).ToBinaryString(),
        _ => amount.ToString(CultureInfo.InvariantCulture),
    };

    private static IEnumerable<string[]> Rows(JsonObject flavour) => flavour["parts"]!.AsArray().Select(p => Row((string)flavour["flavour"]!, p!.AsObject()));

    private static string[] Row(string flavour, JsonObject part)
    {
        int closed = (int)part["closedNodes"]!;
        string[] lacking = [.. part["blocks"]!.AsObject().Where(s => (long)s.Value! > 0).Select(s => $"{s.Key} (+{s.Value})"), .. part["closed"]!.AsArray().Where(c => (long)c!["sellable"]! > 0).Select(c => $"{c!["reason"]} (+{c["sellable"]})")];
        return
        [
            flavour, Or(part["region"]), Or(part["site"]), closed > 0 ? $"{part["nodes"]} (+{closed} closed)" : $"{part["nodes"]}", $"{part["sellable"]} of {part["pooled"]}",
            string.Create(CultureInfo.InvariantCulture, $"{(double)part["fragmentation"]!:P1}"), string.Join(", ", part["free"]!.AsObject().Where(f => f.Key != "pods").Select(f => $"{f.Key} {f.Value}")),
            lacking.Length == 0 ? "-" : string.Join(", ", lacking),
        ];
    }

    private static string Or(JsonNode? text) => (string?)text is { Length: > 0 } some ? some : "*";
}
