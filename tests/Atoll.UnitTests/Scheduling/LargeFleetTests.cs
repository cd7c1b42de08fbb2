using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.UnitTests.Scheduling;

/// <summary>What a large fleet does another way than a small one: scores by pages, groups of pods as columns.</summary>
public sealed class LargeFleetTests
{
    private const int Nodes = 1_300;

    [Fact]
    public void Scores_of_a_page_are_those_of_its_rows_one_by_one()
    {
        for (int seed = 0; seed < 40; seed++)
        {
            var random = new Random(seed);
            Snapshot fleet = Fleet(random, odd: seed % 4 == 3);
            using var working = new Working(fleet, seed);
            long[] requests = new long[working.Resources.Count];
            requests[ResourceNames.Pods] = 1;
            requests[ResourceNames.Cpu] = random.Next(3) * 300;
            requests[ResourceNames.Memory] = random.Next(3) * (900L << 20);
            var scores = new ResourceScores(SchedulingProfile.Default, working, requests, Math.Max(100, requests[ResourceNames.Cpu]), Math.Max(200L << 20, requests[ResourceNames.Memory]));
            // Whole pages, pages of which some rows are no candidates, and stretches too short for a page.
            int[] rows = [.. Enumerable.Range(0, fleet.Rows).Where(r => r < 512 || (r < 1024 ? r % 3 != 0 : r % 40 == 0))];
            int[] all = new int[rows.Length], one = new int[1];
            Assert.True(scores.FillPages(rows, all));
            for (int k = 0; k < rows.Length; k++)
            {
                Assert.True(scores.FillPages(rows.AsSpan(k, 1), one));
                Assert.True(one[0] == all[k], $"seed {seed}, row {rows[k]}: {all[k]} in its page, {one[0]} alone");
                if (one[0] >= 0)
                    Assert.Equal(scores.Of(rows[k]), one[0]);
            }
            Assert.Equal(requests[ResourceNames.Cpu] + requests[ResourceNames.Memory] > 0, all.Contains(-1));
            Assert.Contains(all, s => s > 0);
        }
    }

    [Fact]
    public void Scores_kept_from_plan_to_plan_follow_every_change_of_the_fleet_and_of_the_plan()
    {
        var random = new Random(21);
        Snapshot fleet = Fleet(random, odd: false);
        KubeObject placed = Documents.Pod("placed", cpu: "700m", app: "there");
        var group = fleet.GroupOf(placed, placed.View(ApiJson.Default.Pod).Spec);
        int[] all = new int[fleet.Rows], one = new int[1], rows = [.. Enumerable.Range(0, fleet.Rows)];
        for (int step = 0; step < 150; step++)
        {
            for (int change = random.Next(3); change > 0; change--)
            {
                string node = $"n{random.Next(Nodes)}";
                if (random.Next(4) == 0)
                    fleet.UpsertNode(Documents.Node(node, cpu: random.Next(1, 9).ToString(System.Globalization.CultureInfo.InvariantCulture), memory: $"{random.Next(1, 9_000)}Mi", labels: [("zone", ZoneOf(node))]));
                else
                    fleet.UpsertPod(Documents.Pod($"new{step}-{change}", cpu: "900m", node: node, app: "there"));
            }
            // A copy, as the loop plans from, or the very fleet that is written again afterwards.
            using var working = new Working(random.Next(3) == 0 ? fleet : fleet.Fork(), step);
            for (int look = 0; look < 3; look++)
            {
                // More kinds than are kept.
                long[] requests = [300 * random.Next(6), 900L << 20, 1];
                var scores = new ResourceScores(SchedulingProfile.Default, working, requests, Math.Max(100, requests[ResourceNames.Cpu]), requests[ResourceNames.Memory]);
                Assert.True(scores.FillPages(rows, all));
                foreach (int row in (int[])[.. Enumerable.Range(0, 40).Select(_ => random.Next(rows.Length)), .. working.Log.Select(c => c.Row)])
                {
                    Assert.True(scores.FillPages(rows.AsSpan(row, 1), one));
                    Assert.True(one[0] == all[row], $"step {step}, row {row}: {all[row]} in its page, {one[0]} alone");
                }
                working.Count(random.Next(rows.Length), group, [700, 100L << 20, 1], 700, 100L << 20, HostPorts.None, 1);
            }
        }
    }

    [Fact]
    public void Counts_of_a_group_are_those_of_a_table_whether_it_has_few_rows_or_many()
    {
        var random = new Random(5);
        var domains = new LabelColumn();
        for (int row = 0; row < Nodes; row++)
            domains.Set(row, random.Next(4) == 0 ? null : $"d{random.Next(9)}");
        bool[] counted = [.. Enumerable.Range(0, 2048).Select(_ => random.Next(3) > 0)];
        var plain = new Dictionary<int, int>();
        var counts = new RowCounts();
        for (int step = 0; step < 4_000; step++)
        {
            int row = random.Next(step < 1_000 ? 100 : Nodes), amount = step < 3_000 || plain.GetValueOrDefault(row) == 0 ? 1 : -1;
            if (step % 500 == 0)
            {
                // A copy that changes leaves the first as it was.
                (RowCounts before, RowCounts copy) = (counts, counts.Copy());
                long was = before.Sum(domains, 1, null, new int[domains.Count]);
                copy.Add(row, 3);
                copy.Add(row, -3);
                copy.Add(row, 1);
                Assert.Equal(was, before.Sum(domains, 1, null, new int[domains.Count]));
                copy.Add(row, -1);
                counts = copy;
            }
            counts.Add(row, amount);
            plain[row] = plain.GetValueOrDefault(row) + amount;
            if (step % 250 != 0)
                continue;
            foreach (bool[]? mask in (bool[]?[])[null, counted])
            {
                int[] sums = new int[domains.Count], expected = new int[domains.Count];
                foreach ((int at, int count) in plain)
                    if (domains[at] != 0 && mask?[at] != false)
                        expected[domains[at]] += 2 * count;
                Assert.Equal(expected.Sum(), counts.Sum(domains, 2, mask, sums));
                Assert.Equal(expected, sums);
            }
        }
        foreach ((int row, int count) in plain)
            counts.Add(row, -count);
        Assert.True(counts.IsEmpty);
    }

    [Fact]
    public void Pods_that_keep_apart_or_together_are_placed_so_in_a_fleet_of_many_pages()
    {
        Snapshot fleet = Fleet(new Random(9), odd: false);
        const string Apart = """{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"app":"lone"}},"topologyKey":"zone"}]}}}""";
        const string Near = """{"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"app":"lone"}},"topologyKey":"zone"}]}}}""";
        const string Even = """{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"even"}}}]}""";
        List<KubeObject> pods = [.. Enumerable.Range(0, 13).Select(i => Documents.Pod($"lone{i}", Apart, cpu: "1m", app: "lone")),
            .. Enumerable.Range(0, 20).Select(i => Documents.Pod($"near{i}", Near, cpu: "1m", app: "near")), .. Enumerable.Range(0, 26).Select(i => Documents.Pod($"even{i}", Even, cpu: "1m", app: "even"))];
        // One at a time, as single decisions are made, and all at once.
        List<string?> zones = [];
        foreach (KubeObject pod in pods)
        {
            string? node = Scheduler.Plan(fleet.Fork(), [pod], 1).Placements[0].Node;
            zones.Add(node is null ? null : ZoneOf(node));
            if (node is not null)
                fleet.UpsertPod(pod, node);
        }
        Check(zones);
        Check([.. Scheduler.Plan(Fleet(new Random(9), odd: false), pods, 1).Placements.Select(p => p.Node is null ? null : ZoneOf(p.Node))]);

        static void Check(List<string?> zones)
        {
            Assert.Equal(10, zones.Take(13).OfType<string>().Distinct().Count());
            Assert.Equal(3, zones.Take(13).Count(z => z is null));
            Assert.DoesNotContain(null, zones.Skip(13));
            int[] even = [.. zones.Skip(33).GroupBy(z => z).Select(g => g.Count())];
            Assert.Equal((10, 2, 3), (even.Length, even.Min(), even.Max()));
        }
    }

    private static string ZoneOf(string node) => $"z{int.Parse(node[1..], System.Globalization.CultureInfo.InvariantCulture) % 10}";

    // Every node has a pod; with odd amounts pages cannot be scored as such.
    private static Snapshot Fleet(Random random, bool odd)
    {
        var fleet = new Snapshot();
        for (int i = 0; i < Nodes; i++)
            fleet.UpsertNode(Documents.Node($"n{i}", cpu: random.Next(1, 9).ToString(System.Globalization.CultureInfo.InvariantCulture), memory: odd && random.Next(200) == 0 ? random.Next(2) == 0 ? "0" : "200Ti" : $"{random.Next(1, 9_000)}Mi", labels: [("zone", ZoneOf($"n{i}"))]));
        for (int i = 0; i < Nodes; i++)
            fleet.UpsertPod(Documents.Pod($"there{i}", cpu: $"{random.Next(0, 2_000)}m", node: $"n{i}", app: "there"));
        return fleet;
    }
}
