using System.Diagnostics;
using System.Globalization;
using System.Text;
using Atoll.Api.Objects;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Offline;
using Atoll.Scheduling.Online;

namespace Atoll.Bench.Fragmentation;

/// <summary>Moves of pods over a live fleet's snapshot: time to plan, and what is won of what the bound leaves.</summary>
internal static class LiveFleet
{
    public static string Run()
    {
        var text = new StringBuilder("""

            ## 3. Pods of a live fleet: moves that make more of a flavour saleable

            Nodes of 16 to 64 cores in 40 regions, pods of 0.5 to 8 cores placed at random; the time is all of `FleetDefragmenter.Plan`, for a
            DefragmentationPlan with 3.5 s of search. The bound is what each region's free capacity would hold in one piece.

            | nodes | pods | flavour | moves allowed | saleable before → after | bound | moves used | seconds |
            |---|---|---|---|---|---|---|---|

            """);
        foreach (int nodes in (int[])[1_000, 5_000, 20_000])
        {
            Snapshot fleet = Draw(nodes, out int pods);
            foreach ((string size, int moves) in ((string, int)[])[("8c16g", 10), ("8c16g", 100), ("16c32g", 1000)])
            {
                var watch = Stopwatch.StartNew();
                FleetMovePlan plan = FleetDefragmenter.Plan(fleet.Fork(), new FleetGoal([(Flavour.Parse(size), 1)], moves) { Seconds = 3.5 }, TimeProvider.System);
                FleetEffect effect = plan.Effects[0];
                string line = string.Create(CultureInfo.InvariantCulture, $"| {nodes} | {pods} | {size} | {moves} | {effect.Before} → {effect.After} | {effect.Bound} | {plan.Moves.Length} | {watch.Elapsed.TotalSeconds:F1} |\n");
                text.Append(line);
            }
        }
        return text.ToString();
    }

    private static Snapshot Draw(int nodes, out int pods)
    {
        var random = new SeededRandom(5);
        var fleet = new Snapshot();
        int[] sizes = [16, 32, 32, 64];
        string[] asks = ["500m", "1", "1", "2", "2", "4", "8"];
        double[] cores = [0.5, 1, 1, 2, 2, 4, 8];
        pods = 0;
        for (int n = 0; n < nodes; n++)
        {
            int size = sizes[random.Next(sizes.Length)];
            fleet.UpsertNode(Object($$$$"""{"apiVersion":"v1","kind":"Node","metadata":{"name":"n{{{{n}}}}","uid":"n{{{{n}}}}","labels":{"topology.kubernetes.io/region":"r{{{{n % 40}}}}","topology.kubernetes.io/zone":"s{{{{n / 4}}}}"}},"spec":{},"status":{"allocatable":{"cpu":"{{{{size}}}}","memory":"{{{{size * 4}}}}Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True"}]}}"""));
            for (double left = size * (0.1 + 0.25 * random.NextDouble()), free = size; free > left;)
            {
                int kind = random.Next(asks.Length);
                if (cores[kind] > free)
                    break;
                free -= cores[kind];
                fleet.UpsertPod(Object($$$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p{{{{pods}}}}","namespace":"default","uid":"p{{{{pods}}}}","labels":{"app":"a{{{{pods % 500}}}}"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"a","uid":"a","controller":true}]},"spec":{"nodeName":"n{{{{n}}}}","containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"{{{{asks[kind]}}}}","memory":"{{{{(int)(cores[kind] * 2048)}}}}Mi"}}}]}}"""));
                pods++;
            }
        }
        return fleet;
    }

    private static KubeObject Object(string json) => new(Encoding.UTF8.GetBytes(json));
}
