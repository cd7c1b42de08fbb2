using System.Globalization;
using System.Numerics;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Deliveries;

namespace Atoll.UnitTests.Scheduling.Deliveries;

public sealed class DeliveryPlannerTests
{
    [Fact]
    public void The_request_of_the_specification_is_answered_in_one_plan()
    {
        var request = new DeliveryRequest { Count = 200, Region = "east", Latency = 20, MinSites = 3, MaxSharePercent = 20 };
        List<DeliveryCandidate> sites = [.. Enumerable.Range(0, 8).Select(i => Site($"s{i}", capacity: 60, roundTrip: 12 + i, cost: i % 3))];
        DeliveryPlan plan = Checked(request, sites);
        Assert.True(plan.Fits);
        Assert.Equal(["s0=40", "s1=40", "s3=40", "s4=40", "s6=40"], plan.Sites.Select(s => $"{s.Site}={s.Count}"));
    }

    [Fact]
    public void What_is_missing_comes_with_each_single_change_that_would_do_and_its_number()
    {
        var request = new DeliveryRequest { Count = 100, Region = "east", Carrier = "blue", Latency = 10, MinSites = 2, MaxSharePercent = 40 };
        DeliveryCandidate[] sites =
        [
            Site("a", 80, carrier: "blue", roundTrip: 5), Site("b", 45, carrier: "blue", roundTrip: 8), Site("c", 50, carrier: "blue", roundTrip: 13.5),
            Site("d", 40, carrier: "red", roundTrip: 9), Site("e", 100, carrier: "blue", region: "west", roundTrip: 99),
        ];
        DeliveryPlan plan = Checked(request, sites);
        Assert.Equal(["latency=13.5", "maxSharePercent=55", "carrier=any"], plan.Alternatives.Select(a => $"{a.Relax}={a.Value}").Take(3));
        Assert.DoesNotContain(plan.Alternatives, a => a.Relax is "region" or "minSites" or "count");
        // A share of 40 % of anything is at most 80 % over two sites: no smaller count would do, and all 100 are missing.
        Assert.Equal(100, plan.Missing);
        Assert.Equal("13.5 ms instead of 10 ms would do", plan.Alternatives[0].Message);
        plan = Checked(request with { MaxSharePercent = 50, Count = 120 }, sites);
        Assert.Equal((30, "count=90"), (plan.Missing, plan.Alternatives.Where(a => a.Relax == "count").Select(a => $"{a.Relax}={a.Value}").Single()));
    }

    [Fact]
    public void Where_no_single_change_would_do_the_fewest_that_do_together_are_named()
    {
        DeliveryCandidate[] sites = [Site("a", 3), Site("b", 20, region: "west", roundTrip: 30), Site("c", 20, region: "north", roundTrip: 40), Site("d", 20, carrier: "red", roundTrip: null)];
        DeliveryRelaxation only = Assert.Single(Checked(new DeliveryRequest { Count = 20, Region = "east", Latency = 10, MinSites = 1 }, sites).Alternatives, a => a.Relax != "count");
        Assert.Equal(("latency,region", "30,west", "30 ms instead of 10 ms together with region west instead of east would do"), (only.Relax, only.Value, only.Message));
        only = Assert.Single(Checked(new DeliveryRequest { Count = 20, Region = "east", Latency = 10, MinSites = 4, MaxSharePercent = 50 }, sites).Alternatives, a => a.Relax != "count");
        Assert.Equal(("latency,region,minSites", "40,any,3"), (only.Relax, only.Value));
        Assert.Empty(Checked(new DeliveryRequest { Count = 900, Region = "south", MaxSharePercent = 50 }, sites).Alternatives);
    }

    [Fact]
    public void What_stands_stays_unless_conditions_forbid_it()
    {
        DeliveryCandidate[] sites = [Site("cheap", 10, cost: 1), Site("dear", 10, cost: 9, current: 6)];
        Assert.Equal(["cheap=2", "dear=6"], Checked(new DeliveryRequest { Count = 8 }, sites).Sites.Select(s => $"{s.Site}={s.Count}"));
        Assert.Equal(["cheap=4", "dear=4"], Checked(new DeliveryRequest { Count = 8, MaxSharePercent = 50 }, sites).Sites.Select(s => $"{s.Site}={s.Count}"));
        Assert.Equal(["dear=3"], Checked(new DeliveryRequest { Count = 3 }, sites).Sites.Select(s => $"{s.Site}={s.Count}"));
        Assert.Empty(Checked(new DeliveryRequest { Count = 0, MinSites = 5 }, sites).Sites);
    }

    [Fact]
    public void Nothing_is_as_good_as_what_every_way_to_share_out_would_find()
    {
        for (int seed = 0; seed < 3000; seed++)
        {
            var random = new Random(seed);
            DeliveryCandidate[] sites = [.. Enumerable.Range(0, random.Next(1, 5)).Select(i => Draw(random, i))];
            DeliveryRequest request = Draw(random);
            DeliveryPlan plan = Checked(request, sites);
            (int Kept, double Cost)? best = Best(request, sites);
            Assert.True(best is not null == plan.Fits, $"seed {seed}");
            if (plan.Fits)
            {
                Assert.Equal(best!.Value, Worth(sites, [.. sites.Select(s => plan.Sites.FirstOrDefault(p => p.Site == s.Name).Count)]));
                continue;
            }
            Assert.True(Enumerable.Range(request.Count - plan.Missing + 1, plan.Missing).All(n => Best(request with { Count = n }, sites) is null), $"seed {seed}: more can be placed");
            CheckAlternatives(request, sites, plan, seed);
        }
    }

    private static void CheckAlternatives(DeliveryRequest request, DeliveryCandidate[] sites, DeliveryPlan plan, int seed)
    {
        DeliveryRequest? With(string field, double value) => field switch
        {
            "latency" => request with { Latency = value },
            "maxSharePercent" => request with { MaxSharePercent = (int)value },
            "minSites" => request with { MinSites = (int)value },
            "count" => request with { Count = (int)value },
            _ => null,
        };
        string? Value(string field) => plan.Alternatives.FirstOrDefault(a => a.Relax == field)?.Value;
        foreach ((string field, IEnumerable<double> nearer) in ((string, IEnumerable<double>)[])
        [
            ("latency", request.Latency is null ? [] : sites.Where(s => s.RoundTrip > request.Latency).Select(s => s.RoundTrip!.Value).Order()),
            ("maxSharePercent", Enumerable.Range(request.MaxSharePercent + 1, 100 - request.MaxSharePercent).Select(p => (double)p)),
            ("minSites", Enumerable.Range(1, request.MinSites - 1).Reverse().Select(p => (double)p)),
            ("count", Enumerable.Range(1, Math.Max(0, request.Count - 1)).Reverse().Select(p => (double)p)),
        ])
        {
            double first = nearer.FirstOrDefault(v => Best(With(field, v)!, sites) is not null, -1);
            Assert.True((first < 0 ? null : first.ToString(CultureInfo.InvariantCulture)) == Value(field), $"seed {seed}: {field}");
        }
        foreach ((string field, string? asked, Func<string?, DeliveryRequest> with, Func<DeliveryCandidate, string?> of) in ((string, string?, Func<string?, DeliveryRequest>, Func<DeliveryCandidate, string?>)[])
            [("carrier", request.Carrier, v => request with { Carrier = v }, s => s.Carrier), ("region", request.Region, v => request with { Region = v }, s => s.Region)])
        {
            string? first = asked is null ? null : sites.Select(of).Distinct().Order(StringComparer.Ordinal).Select(v => v!).FirstOrDefault(v => v != asked && Best(with(v), sites) is not null)
                ?? (Best(with(null), sites) is not null ? "any" : null);
            Assert.True(first == Value(field), $"seed {seed}: {field}");
        }
        CheckTogether(request, sites, plan, seed);
    }

    // Only where no single one does, as few as do, and what it says fits.
    private static void CheckTogether(DeliveryRequest request, DeliveryCandidate[] sites, DeliveryPlan plan, int seed)
    {
        string[] fields = ["latency", "maxSharePercent", "carrier", "region", "kinds", "minSites"];
        DeliveryRequest With(DeliveryRequest to, string field, string? value) => field switch
        {
            "latency" => to with { Latency = to.Latency is null ? null : value is null ? double.MaxValue : double.Parse(value, CultureInfo.InvariantCulture) },
            "maxSharePercent" => to with { MaxSharePercent = value is null ? 100 : int.Parse(value, CultureInfo.InvariantCulture) },
            "carrier" => to with { Carrier = value is "any" ? null : value },
            "region" => to with { Region = value is "any" ? null : value },
            "kinds" => to with { Kinds = null },
            _ => to with { MinSites = value is null ? 1 : int.Parse(value, CultureInfo.InvariantCulture) },
        };
        int fewest = Enumerable.Range(1, (1 << fields.Length) - 1).Where(mask => Best(fields.Where((_, i) => (mask >> i & 1) != 0).Aggregate(request, (r, f) => With(r, f, null)), sites) is not null)
            .Select(mask => BitOperations.PopCount((uint)mask)).DefaultIfEmpty(0).Min();
        DeliveryRelaxation[] several = [.. plan.Alternatives.Where(a => a.Relax.Contains(',', StringComparison.Ordinal))];
        Assert.True(several.Length == (fewest > 1 ? 1 : 0), $"seed {seed}: {fewest} conditions would have to be given up, and {several.Length} alternatives say so");
        foreach (DeliveryRelaxation alternative in several)
        {
            string[] given = alternative.Relax.Split(','), values = alternative.Value.Split(',');
            Assert.True(given.Length == fewest && Best(given.Zip(values).Aggregate(request, (r, g) => With(r, g.First, g.Second)), sites) is not null, $"seed {seed}: {alternative}");
        }
    }

    // Every way to share the instances out over the sites.
    private static (int, double)? Best(DeliveryRequest request, DeliveryCandidate[] sites)
    {
        (int Kept, double Cost)? best = null;
        var counts = new int[sites.Length];
        Try(0, request.Count);
        return best;

        void Try(int site, int left)
        {
            if (site == sites.Length)
            {
                if (left != 0 || (request.Count > 0 && counts.Count(c => c > 0) < request.MinSites))
                    return;
                (int Kept, double Cost) worth = Worth(sites, counts);
                if (best is not { } b || worth.Kept > b.Kept || (worth.Kept == b.Kept && worth.Cost < b.Cost))
                    best = worth;
                return;
            }
            DeliveryCandidate s = sites[site];
            bool may = (request.Region is null || request.Region == s.Region) && (request.Carrier is null || request.Carrier == s.Carrier)
                && (request.Kinds is null || request.Kinds.Contains(s.Kind!)) && (request.Latency is null || (s.RoundTrip is { } t && t <= request.Latency));
            for (int n = 0; n <= (may ? Math.Min(left, s.Capacity) : 0); n++)
            {
                if (n * 100 > request.MaxSharePercent * request.Count)
                    break;
                counts[site] = n;
                Try(site + 1, left - n);
            }
            counts[site] = 0;
        }
    }

    private static (int, double) Worth(DeliveryCandidate[] sites, int[] counts)
    {
        int kept = 0;
        double cost = 0;
        for (int i = 0; i < sites.Length; i++)
        {
            kept += Math.Min(counts[i], sites[i].Current);
            cost += counts[i] * sites[i].UnitCost;
        }
        return (kept, cost);
    }

    private static DeliveryPlan Checked(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites)
    {
        DeliveryPlan plan = DeliveryPlanner.Make(request, sites);
        Assert.Empty(DeliveryChecker.Check(request, sites, plan));
        return plan;
    }

    private static DeliveryCandidate Site(string name, int capacity, string region = "east", string carrier = "blue", double? roundTrip = 5, double cost = 0, int current = 0) =>
        new(name, region, carrier, "near", roundTrip, cost, 0, capacity, current);

    private static DeliveryCandidate Draw(Random random, int i)
    {
        int capacity = random.Next(0, 7);
        return new DeliveryCandidate($"s{i}", random.Next(3) == 0 ? "west" : "east", random.Next(2) == 0 ? "red" : "blue", random.Next(2) == 0 ? "near" : "field",
            random.Next(5) == 0 ? null : random.Next(1, 30), random.Next(4), random.Next(2), capacity, random.Next(3) == 0 ? random.Next(0, capacity + 1) : 0);
    }

    private static DeliveryRequest Draw(Random random) => new()
    {
        Count = random.Next(0, 12), Region = random.Next(3) == 0 ? "east" : null, Carrier = random.Next(3) == 0 ? "blue" : null, Kinds = random.Next(4) == 0 ? ["near"] : null,
        Latency = random.Next(3) == 0 ? random.Next(1, 25) : null, MinSites = random.Next(1, 4), MaxSharePercent = random.Next(2) == 0 ? 100 : random.Next(10, 100),
    };
}
