using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Deliveries;
using Atoll.Scheduling.Online;

namespace Atoll.UnitTests.Scheduling.Deliveries;

public sealed class SiteRoomTests
{
    [Fact]
    public void A_site_holds_as_many_as_the_scheduler_places_there_one_by_one()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            var fleet = new Snapshot();
            for (int n = 0; n < 6; n++)
                fleet.UpsertNode(Documents.Node($"n{n}", cpu: random.Next(1, 9).ToString(System.Globalization.CultureInfo.InvariantCulture), memory: $"{random.Next(1, 17)}Gi",
                    more: random.Next(5) == 0 ? """{"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]}}""" : "{}", labels: [(WellKnown.SiteLabel, $"s{n % 3}"), ("disk", random.Next(2) == 0 ? "ssd" : "hdd")]));
            for (int p = 0; p < random.Next(8); p++)
                fleet.UpsertPod(Documents.Pod($"p{p}", node: $"n{random.Next(6)}", cpu: $"{random.Next(100, 1500)}m"));
            string spec = random.Next(4) switch { 0 => """{"nodeSelector":{"disk":"ssd"}}""", 1 => """{"tolerations":[{"operator":"Exists"}]}""", 2 => """{"containers":[{"name":"c","ports":[{"containerPort":80,"hostPort":80}]}]}""", _ => "{}" };
            string cpu = $"{random.Next(200, 2000)}m";
            const int Limit = 9;
            IReadOnlyDictionary<string, int> room = SiteRoom.Of(fleet, Documents.Pod("probe", spec, cpu: cpu), Limit);
            for (int s = 0; s < 3; s++)
            {
                Snapshot copy = fleet.Fork();
                int placed = 0;
                for (; placed < Limit; placed++)
                {
                    KubeObject pod = Documents.Pod($"x{placed}", spec, cpu: cpu, more: $$$$"""{"spec":{"nodeSelector":{"edge.atoll.dev/site":"s{{{{s}}}}"}}}""");
                    if (Scheduler.Plan(copy, [pod], seed: 1).Placements[0].Node is not { } node)
                        break;
                    copy.UpsertPod(pod, node);
                }
                Assert.True(placed == room.GetValueOrDefault($"s{s}"), $"seed {seed}, site {s}: {placed} placed, {room.GetValueOrDefault($"s{s}")} told");
            }
        }
    }
}
