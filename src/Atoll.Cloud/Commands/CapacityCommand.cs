using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Quantities;
using Atoll.Api.Resources;
using Atoll.Kube.Client;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Online;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll capacity</c>: how many of a flavour can still be sold, where, and what of the free capacity is fragments.</summary>
internal static class CapacityCommand
{
    private static readonly string[] s_headers = ["FLAVOUR", "REGION", "SITE", "NODES", "SELLABLE", "FRAGMENTATION", "FREE", "SHORT OF"];
    private static readonly int[] s_migrations = [1, 10, 50];

    public static Command Create()
    {
        var flavours = new Option<string[]>("--flavour", "-f")
        {
            Description = "what is sold: 4c8g (cores and GiB), or a list such as cpu=4,memory=8Gi,example.com/gpu=1; may be given several times",
            DefaultValueFactory = _ => ["1c2g", "4c8g", "16c32g"],
        };
        var region = new Option<string?>("--region", "-r") { Description = "only this region" };
        var site = new Option<string?>("--site", "-s") { Description = "only this site" };
        Option<string> by = Cli.Among(new Option<string>("--by") { Description = "a line for each site, for each region, or in all", DefaultValueFactory = _ => "site" }, "site", "region", "all");
        var command = new Command("capacity", """
            Show how many instances of a flavour can still be sold, exactly for the fleet as it is now; how much of the free capacity
            is lost in pieces (FRAGMENTATION: what one piece would hold and the nodes do not, and for each resource the share that
            cannot be sold); what is short for one more; and what migrations within a region would add. Nodes that take no new work
            (cordoned, silent, tainted) are counted apart.

            Examples:
              atoll capacity --flavour 4c8g --region east
              atoll capacity -f cpu=8,memory=32Gi,nvidia.com/gpu=1 --by region -o json | jq '.flavours[].sellable'
            """) { flavours, region, site, by };
        command.SetAction(async (parsed, cancellation) =>
        {
            List<Flavour> asked = Read(parsed.GetRequiredValue(flavours));
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            string? inRegion = parsed.GetValue(region), inSite = parsed.GetValue(site);
            JsonObject result = await AnswerAsync(client, asked, inRegion, inSite, parsed.GetRequiredValue(by), cancellation);
            string form = parsed.GetRequiredValue(Cli.Output);
            Printer.Print(form, result, s_headers, result["flavours"]!.AsArray().SelectMany(f => Rows(f!.AsObject())));
            if (form == "table")
                foreach (JsonNode? flavour in result["flavours"]!.AsArray())
                    Console.WriteLine($"{flavour!["flavour"]}: {flavour["sellable"]} sellable; {string.Join(", ", flavour["migrations"]!.AsObject().Select(m => $"{m.Key} {(m.Key == "1" ? "migration" : "migrations")} would add at least {m.Value}"))}");
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

    private static List<Flavour> Read(string[] texts)
    {
        try
        {
            return [.. texts.Select(Flavour.Parse)];
        }
        catch (FormatException e)
        {
            throw new CommandException(e.Message, ExitCodes.Usage);
        }
    }

    private static JsonObject Document(CapacityAnswer answer)
    {
        JsonObject free = [], unsaleable = [], shortOn = [];
        for (int r = 0; r < answer.Resources.Count; r++)
        {
            string name = answer.Resources[r];
            free[name] = name switch
            {
                "cpu" => Quantity.FromMilli(answer.Free[r]).ToString(),
                "memory" => Quantity.FromValue(answer.Free[r]).ToBinaryString(),
                _ => answer.Free[r].ToString(CultureInfo.InvariantCulture),
            };
            unsaleable[name] = Math.Round(answer.Unsaleable(r), 4);
            shortOn[name] = answer.ShortOn[r];
        }
        return new JsonObject
        {
            ["region"] = answer.Region, ["site"] = answer.Site, ["nodes"] = answer.OpenNodes, ["closedNodes"] = answer.ClosedNodes, ["sellable"] = answer.Sellable,
            ["pooled"] = answer.Pooled, ["fragmentation"] = Math.Round(answer.Fragmentation, 4), ["free"] = free, ["unsaleable"] = unsaleable, ["shortOn"] = shortOn,
        };
    }

    private static IEnumerable<string[]> Rows(JsonObject flavour) => flavour["parts"]!.AsArray().Select(p => Row((string)flavour["flavour"]!, p!.AsObject()));

    private static string[] Row(string flavour, JsonObject part)
    {
        int closed = (int)part["closedNodes"]!;
        string[] lacking = [.. part["shortOn"]!.AsObject().Where(s => (int)s.Value! > 0).Select(s => $"{s.Key} ({s.Value})")];
        return
        [
            flavour, Or(part["region"]), Or(part["site"]), closed > 0 ? $"{part["nodes"]} (+{closed} closed)" : $"{part["nodes"]}", $"{part["sellable"]} of {part["pooled"]}",
            string.Create(CultureInfo.InvariantCulture, $"{(double)part["fragmentation"]!:P1}"), string.Join(", ", part["free"]!.AsObject().Where(f => f.Key != "pods").Select(f => $"{f.Key} {f.Value}")),
            lacking.Length == 0 ? "-" : string.Join(", ", lacking),
        ];
    }

    private static string Or(JsonNode? text) => (string?)text is { Length: > 0 } some ? some : "*";
}
