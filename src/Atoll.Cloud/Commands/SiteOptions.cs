using System.CommandLine;
using System.Globalization;
using System.Text;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Quantities;

namespace Atoll.Cloud.Commands;

/// <summary>What a Delivery and the scheduler need to know of a site: options of <c>atoll site create</c>, lines of <c>atoll site show</c>.</summary>
internal sealed class SiteOptions
{
    private readonly Option<string[]> _roundTrips = new("--round-trip") { Description = "round-trip estimate to a city or region of clients, PLACE=MILLISECONDS; may be given several times" };
    private readonly Option<double?> _cost = Cli.Within(new("--cost") { Description = "cost of one core for one hour; a Delivery takes the cheapest sites first" }, 0, 1e12);
    private readonly Option<string?> _headroom = new("--headroom") { Description = "kept free for replacements of pods whose node died, such as cpu=4,memory=8Gi" };
    private readonly Option<string?> _uplink = new("--uplink") { Description = "uplink bandwidth in bit/s that pods of the site share (site.edge.atoll.dev/uplink), such as 10G" };
    private readonly Option<int?> _addresses = new("--public-addresses") { Description = "public addresses that pods of the site share (site.edge.atoll.dev/public-addresses)" };

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_roundTrips, _cost, _headroom, _uplink, _addresses])
            command.Options.Add(option);
    }

    public void Read(ParseResult parsed, SiteSpec spec)
    {
        foreach (string trip in parsed.GetValue(_roundTrips) ?? [])
        {
            int equals = trip.LastIndexOf('=');
            if (equals <= 0 || !double.TryParse(trip.AsSpan(equals + 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double milliseconds) || milliseconds <= 0)
                throw new CommandException($"--round-trip {trip} is not understood: write PLACE=MILLISECONDS, such as paris=4.5", ExitCodes.Usage);
            (spec.RoundTrips ??= []).Add(new RoundTrip { To = trip[..equals], Milliseconds = milliseconds });
        }
        spec.UnitCost = parsed.GetValue(_cost);
        foreach (string part in (parsed.GetValue(_headroom) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries))
            (spec.Headroom ??= [])[Name(part)] = Value("--headroom", part);
        if (parsed.GetValue(_uplink) is { } uplink)
            (spec.Resources ??= [])[WellKnown.Uplink] = Value("--uplink", "=" + uplink);
        if (parsed.GetValue(_addresses) is { } addresses)
        {
            if (addresses < 0)
                throw new CommandException($"--public-addresses: {addresses} is less than none.", ExitCodes.Usage);
            (spec.Resources ??= [])[WellKnown.PublicAddresses] = addresses.ToString(CultureInfo.InvariantCulture);
        }
    }

    /// <summary>Distances, cost, history of the line and what of the site is saleable.</summary>
    public static void Describe(Site site, DateTimeOffset now, StringBuilder text)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        SiteSpec spec = site.Spec;
        if (spec.RoundTrips is { Count: > 0 } trips)
            text.Append(culture, $"Round trips: {string.Join(", ", trips.Select(t => string.Create(culture, $"{t.To} {t.Milliseconds} ms")))}\n");
        if (spec.UnitCost is { } cost)
            text.Append(culture, $"Cost of a core for an hour: {cost}\n");
        if (site.Status?.Line is { } line)
            text.Append(culture, $"Line: {line.Drops} {(line.Drops == 1 ? "drop" : "drops")}; up {Up(line, now, TimeSpan.FromDays(1)):P1} of the last day, {Up(line, now, TimeSpan.FromDays(7)):P1} of the last week\n");
        if (site.Status?.Resources is { Count: > 0 } resources)
            text.Append('\n').Append(Printer.Table(["RESOURCE", "CAPACITY", "SYSTEM", "SERVICES", "HEADROOM", "SOLD", "FREE"],
                resources.Select(r => (IReadOnlyList<string>)[r.Name, r.Capacity, r.System, r.Services, r.Headroom, r.Sold, r.Free])))
                .Append("SYSTEM, SERVICES and HEADROOM are not saleable.\n\n");
        else if (text.Length > 0 && text[^1] == '\n' && text[^2] != '\n')
            text.Append('\n');
    }

    /// <summary>Share of a time before <paramref name="now"/> in which the line was up, as far back as its history goes, 0 to 1.</summary>
    internal static double Up(SiteLine line, DateTimeOffset now, TimeSpan span)
    {
        if (line.Changes is not { Count: > 0 } changes)
            return 0;
        DateTimeOffset start = changes[0].Time > now - span ? changes[0].Time : now - span;
        double up = 0;
        for (int i = 0; i < changes.Count; i++)
        {
            DateTimeOffset from = changes[i].Time > start ? changes[i].Time : start, to = i + 1 < changes.Count ? changes[i + 1].Time : now;
            if (changes[i].Up && to > from)
                up += (to - from).TotalSeconds;
        }
        return now > start ? up / (now - start).TotalSeconds : changes[^1].Up ? 1 : 0;
    }

    private static string Name(string part) => part.IndexOf('=', StringComparison.Ordinal) is > 0 and var at ? part[..at]
        : throw new CommandException($"--headroom {part} is not understood: write cpu=4,memory=8Gi", ExitCodes.Usage);

    private static string Value(string option, string part) =>
        part[(part.IndexOf('=', StringComparison.Ordinal) + 1)..] is var text && Quantity.TryParse(text, out Quantity amount) && amount >= Quantity.Zero ? text
            : throw new CommandException($"{option} {part.TrimStart('=')} is no amount: write 4, 500m, 8Gi or 10G", ExitCodes.Usage);
}
