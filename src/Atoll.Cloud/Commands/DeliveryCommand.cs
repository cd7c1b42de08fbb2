using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Client;

namespace Atoll.Cloud.Commands;

/// <summary><c>atoll delivery …</c>: so many instances over sites that fulfil conditions, asked for, looked at and taken back.</summary>
internal static class DeliveryCommand
{
    private static readonly string[] s_headers = ["NAMESPACE", "NAME", "STATUS", "COUNT", "PLANNED", "READY", "SITES", "MISSING"];

    private static readonly Option<string> s_namespace = new("--namespace", "-n") { Description = "the Delivery's namespace", DefaultValueFactory = _ => "default" };

    public static Command Create() => new("delivery", "Deliver a number of instances over sites, planned as a whole.\n\nExamples:\n  atoll delivery create shop --count 200 --flavour 4c8g --region east --latency lyon=20 --min-sites 3 --max-share 20\n  atoll delivery list\n  atoll delivery show shop")
    {
        CreateCommand(), ListCommand(), ShowCommand(), DeleteCommand(),
    };

    private static Argument<string> NameArgument() => Cli.Name("the Delivery's name");

    private static Command CreateCommand()
    {
        Argument<string> name = NameArgument();
        var count = new Option<int>("--count", "-c") { Description = "instances in all", Required = true };
        var flavour = new Option<string?>("--flavour", "-f") { Description = "the name of a Flavour, or a size such as 4c8g" };
        var image = new Option<string?>("--image") { Description = "what each instance runs; without --image and --template it is a question, and nothing is made" };
        var template = new Option<string?>("--template") { Description = "pod template as JSON: metadata and spec", HelpName = "FILE" };
        var region = new Option<string?>("--region", "-r") { Description = "region of the sites (default: any)" };
        var carrier = new Option<string?>("--carrier") { Description = "carrier of the sites (default: any)" };
        var kinds = new Option<string[]>("--kind", "--tier") { Description = "kind of site that will do: field, near or cloud; may be given several times (default: any)" };
        var latency = new Option<string?>("--latency") { Description = "longest round trip to a place that Sites name, PLACE=MILLISECONDS" };
        var sites = new Option<int?>("--min-sites") { Description = "sites at least" };
        var share = new Option<int?>("--max-share") { Description = "percent of the instances that one site holds at most" };
        var wait = new Option<int>("--wait") { Description = "seconds to wait for the plan; 0 does not wait", DefaultValueFactory = _ => 60 };
        var command = new Command("create", """
            Ask for instances and print the plan, or what is missing and the nearest alternatives. Exit code 1 when it cannot be planned in full.

            Examples:
              atoll delivery create shop --count 200 --flavour 4c8g --region east --latency lyon=20 --min-sites 3 --max-share 20
              atoll delivery create shop --count 200 --flavour 4c8g --image registry.example/shop:1
            """) { name, s_namespace, count, flavour, image, template, region, carrier, kinds, latency, sites, share, wait };
        command.SetAction(async (parsed, cancellation) =>
        {
            var spec = new JsonObject { ["count"] = parsed.GetRequiredValue(count) };
            foreach ((string field, string? value) in (ReadOnlySpan<(string, string?)>)[("flavour", parsed.GetValue(flavour)), ("region", parsed.GetValue(region)), ("carrier", parsed.GetValue(carrier))])
                if (value is not null)
                    spec[field] = value;
            if (parsed.GetValue(kinds) is { Length: > 0 } those)
                spec["kinds"] = new JsonArray([.. those.Select(k => (JsonNode)k)]);
            if (parsed.GetValue(latency) is { } near)
                spec["latency"] = Latency(near);
            if (parsed.GetValue(sites) is { } least)
                spec["minSites"] = least;
            if (parsed.GetValue(share) is { } most)
                spec["maxSharePercent"] = most;
            if (Template(parsed.GetValue(template), parsed.GetValue(image), parsed.GetRequiredValue(name)) is { } pods)
                spec["template"] = pods;
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            KubeObject made = SiteCommands.Check(await client.CreateAsync(Kinds.Delivery, parsed.GetRequiredValue(s_namespace), new JsonObject
            {
                ["apiVersion"] = Kinds.Delivery.ApiVersion,
                ["kind"] = Kinds.Delivery.Kind,
                ["metadata"] = new JsonObject { ["name"] = parsed.GetRequiredValue(name) },
                ["spec"] = spec,
            }, cancellation));
            if (parsed.GetValue(wait) > 0)
                made = await AnsweredAsync(client, made, TimeSpan.FromSeconds(parsed.GetValue(wait)), cancellation);
            Show(made, parsed.GetRequiredValue(Cli.Output));
            return made.View(ApiJson.Default.Delivery).Status is { Missing: > 0 } ? ExitCodes.Failure : ExitCodes.Success;
        });
        return command;
    }

    private static Command ListCommand()
    {
        var command = new Command("list", "List the Deliveries of all namespaces.\n\nExamples:\n  atoll delivery list\n  atoll delivery list -o json") { Aliases = { "ls" } };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            IReadOnlyList<KubeObject> all = await ExplainCommand.ListAsync(client, Kinds.Delivery, cancellation);
            var list = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "List", ["items"] = new JsonArray([.. all.Select(d => (JsonNode)d.ToNode())]) };
            Printer.Print(parsed.GetRequiredValue(Cli.Output), list, s_headers, all.Select(Row));
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command ShowCommand()
    {
        Argument<string> name = NameArgument();
        var command = new Command("show", "Show one Delivery: its plan by site, what is missing and what would help.\n\nExample:\n  atoll delivery show shop -n prod") { name, s_namespace };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            Show(SiteCommands.Check(await client.GetAsync(Kinds.Delivery, parsed.GetRequiredValue(s_namespace), parsed.GetRequiredValue(name), cancellation)), parsed.GetRequiredValue(Cli.Output));
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command DeleteCommand()
    {
        Argument<string> name = NameArgument();
        var command = new Command("delete", "Delete a Delivery and all its instances.\n\nExample:\n  atoll delivery delete shop") { name, s_namespace };
        command.SetAction(async (parsed, cancellation) =>
        {
            (HttpResources resources, _) = Cli.Connect(parsed);
            using HttpResources client = resources;
            string key = $"{parsed.GetRequiredValue(s_namespace)}/{parsed.GetRequiredValue(name)}";
            if ((await client.DeleteAsync(Kinds.Delivery, parsed.GetRequiredValue(s_namespace), parsed.GetRequiredValue(name), DeleteOptions.Default, cancellation)).Error is { } error)
                throw SiteCommands.Failure(error);
            Printer.Done(parsed.GetRequiredValue(Cli.Output), $"delivery {key} deleted", new JsonObject { ["delivery"] = key, ["outcome"] = "deleted" });
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>The Delivery once the controller has answered it as it was made; as it is when the time is over.</summary>
    internal static async Task<KubeObject> AnsweredAsync(IResources api, KubeObject made, TimeSpan patience, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(patience);
        try
        {
            await foreach (WatchEvent change in api.WatchAsync(Kinds.Delivery, made.Namespace, new WatchOptions { ResourceVersion = made.ResourceVersion }, limit.Token))
            {
                if (change.Object is not { } now || now.Uid != made.Uid)
                    continue;
                if (change.Type == WatchEventType.Deleted)
                    throw new CommandException($"delivery {made.Key} was deleted", ExitCodes.NotFound);
                made = now;
                if (made.View(ApiJson.Default.Delivery).Status?.ObservedGeneration is not null)
                    break;
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            Console.Error.WriteLine($"not planned yet; see: atoll delivery show {made.Name} -n {made.Namespace}");
        }
        return made;
    }

    private static void Show(KubeObject value, string form)
    {
        DeliveryStatus status = value.View(ApiJson.Default.Delivery).Status ?? new DeliveryStatus();
        Printer.Print(form, value.ToNode(), s_headers, [Row(value)]);
        if (form != "table")
            return;
        if (status.Sites is { Count: > 0 } sites)
            Console.Write("\n" + Printer.Table(["SITE", "PLANNED", "READY"], sites.Select(s => (string[])[s.Site, Number(s.Count), Number(s.Ready)])));
        foreach (Condition condition in (status.Conditions ?? []).FindAll(c => c.Status != "True" && !string.IsNullOrEmpty(c.Message)))
            Console.WriteLine($"{condition.Type}: {condition.Message}");
    }

    internal static string[] Row(KubeObject value)
    {
        Delivery delivery = value.View(ApiJson.Default.Delivery);
        DeliveryStatus status = delivery.Status ?? new DeliveryStatus();
        return [value.Namespace, value.Name, status.Phase ?? "Pending", Number(delivery.Spec.Count), Number(status.Planned), Number(status.Ready), Number(status.Sites?.Count ?? 0), Number(status.Missing)];
    }

    private static JsonObject Latency(string text)
    {
        int equals = text.LastIndexOf('=');
        return equals > 0 && double.TryParse(text.AsSpan(equals + 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double milliseconds)
            ? new JsonObject { ["to"] = text[..equals], ["milliseconds"] = milliseconds }
            : throw new CommandException($"--latency {text} is not understood: write PLACE=MILLISECONDS, such as lyon=20", ExitCodes.Usage);
    }

    private static JsonNode? Template(string? path, string? image, string name)
    {
        if (path is not null && image is not null)
            throw new CommandException("give --image or --template, not both", ExitCodes.Usage);
        if (image is not null)
            return new JsonObject { ["spec"] = new JsonObject { ["containers"] = new JsonArray(new JsonObject { ["name"] = name, ["image"] = image }) } };
        if (path is null)
            return null;
        using FileStream file = SimulateCommand.Open(path, KubeConfig.MaxBytes);
        try
        {
            return JsonNode.Parse(file) as JsonObject ?? throw new CommandException($"{path} is no JSON object with a pod template's metadata and spec");
        }
        catch (JsonException e)
        {
            throw new CommandException($"{path} is not JSON: {e.Message}");
        }
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
