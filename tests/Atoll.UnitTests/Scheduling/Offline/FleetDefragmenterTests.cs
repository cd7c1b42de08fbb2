using System.Globalization;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Offline;
using Atoll.Scheduling.Online;
using CsCheck;

namespace Atoll.UnitTests.Scheduling.Offline;

/// <summary>Moves of running pods: every order is proven by plain code, and small fleets are compared with every order there is.</summary>
public sealed class FleetDefragmenterTests
{
    private static readonly Flavour s_4c8g = Flavour.Parse("4c8g");

    [Fact]
    public void Fragments_of_a_region_are_joined_by_the_fewest_moves()
    {
        KubeObject[] nodes = [Node("a", 4, 32, "east"), Node("b", 6, 32, "east"), Node("c", 6, 32, "west")];
        KubeObject[] pods = [Pod("p", "a", 1), Pod("q", "a", 1)];
        FleetMovePlan plan = Plan(nodes, pods, new FleetGoal([(s_4c8g, 1)], 10) { Seconds = 3600 });
        Assert.Equal([("p", "a", "b"), ("q", "a", "b")], plan.Moves.Select(m => (m.Pod.Name, m.From, m.To)).OrderBy(m => m.Name, StringComparer.Ordinal));
        FleetEffect effect = Assert.Single(plan.Effects);
        Assert.Equal(("4c8g", 2L, 3L, 3L), (effect.Flavour, effect.Before, effect.After, effect.Bound));
        Assert.Equal((6 / 14.0, 2 / 14.0), (effect.RateBefore, effect.RateAfter));
        Assert.Empty(Plan(nodes, pods, new FleetGoal([(s_4c8g, 1)], 1) { Seconds = 3600 }).Moves); // One move alone wins nothing.
        Assert.Empty(Plan(nodes, pods, new FleetGoal([(s_4c8g, 1)], 10) { WithinSite = true, Seconds = 3600 }).Moves);
    }

    [Fact]
    public void What_is_promised_is_what_the_scheduler_would_place_then()
    {
        const string site = """{"metadata":{"labels":{"edge.atoll.dev/site":"s"}}}""";
        KubeObject[] nodes = [Node("a", 4, 32, "east", site), Node("b", 6, 32, "east", site)], pods = [Pod("p", "a", 1)];
        foreach ((string headroom, long before, long after, int moves) in ((string, long, long, int)[])[("1", 1, 2, 1), ("2", 1, 1, 0)])
        {
            Snapshot fleet = Fleet(nodes, pods);
            fleet.UpsertSite(KubeObject.FromNode(System.Text.Json.Nodes.JsonNode.Parse($$$"""{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Site","metadata":{"name":"s","uid":"s"},"spec":{"headroom":{"cpu":"{{{headroom}}}"} } }""")!.AsObject()));
            FleetMovePlan plan = FleetDefragmenter.Plan(fleet, new FleetGoal([(s_4c8g, 1)], 10) { Seconds = 3600 }, TimeProvider.System);
            Assert.Equal((before, after, moves), (plan.Effects[0].Before, plan.Effects[0].After, plan.Moves.Length));
        }
    }

    [Theory]
    [InlineData("""{"metadata":{"annotations":{"edge.atoll.dev/do-not-move":"true"}}}""")]
    [InlineData("""{"metadata":{"ownerReferences":null}}""")]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"o","uid":"o","controller":true}]}}""")]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"o","uid":"o","controller":true}]},"spec":{"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"x"}}]}}""")]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"o","uid":"o","controller":true}],"annotations":{"edge.atoll.dev/reservation":"r"}}}""")]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"o","uid":"o","controller":true}],"annotations":{"edge.atoll.dev/do-not-move":"true"}}}""")]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"o","uid":"o","controller":true}],"annotations":{"edge.atoll.dev/may-restart":"false"}}}""")]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"example.com/v1","kind":"Other","name":"o","uid":"o","controller":true}]}}""")]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"o","uid":"o","controller":true}]}}""")]
    [InlineData("""{"metadata":{"annotations":{"kubernetes.io/config.mirror":"x"}}}""")]
    [InlineData("""{"metadata":{"labels":{"edge.atoll.dev/owner":"site"}}}""")]
    [InlineData("""{"metadata":{"labels":{"stay":"here"}}}""")]
    [InlineData("""{"metadata":{"deletionTimestamp":"2026-01-02T03:04:05Z"}}""")]
    [InlineData("""{"spec":{"nodeSelector":{"kubernetes.io/hostname":"a"}}}""")]
    [InlineData("""{"spec":{"volumes":[{"name":"v","hostPath":{"path":"/x"}}]}}""")]
    [InlineData("""{"spec":{"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"x"}}]}}""")]
    [InlineData("""{"spec":{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"a":"b"}}}]}}}}""")]
    public void Some_pods_stay_where_they_are(string more)
    {
        KubeObject[] nodes = [Node("a", 4, 32, "east"), Node("b", 6, 32, "east")];
        Assert.Single(Plan(nodes, [Pod("p", "a", 1)], new FleetGoal([(s_4c8g, 1)], 10) { Seconds = 3600 }).Moves);
        var goal = new FleetGoal([(s_4c8g, 1)], 10) { Seconds = 3600, DoNotMove = new LabelSelector { MatchLabels = new() { ["stay"] = "here" } } };
        Assert.Empty(Plan(nodes, [Pod("p", "a", 1, more)], goal).Moves);
    }

    [Theory]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"o","uid":"o","controller":true}]}}""")]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"o","uid":"o","controller":true}],"annotations":{"edge.atoll.dev/may-restart":"true"}}}""")]
    public void Some_pods_may_be_made_anew_elsewhere_once_they_have_gone(string more)
    {
        KubeObject[] nodes = [Node("a", 4, 32, "east"), Node("b", 6, 32, "east")];
        Assert.Single(Plan(nodes, [Pod("p", "a", 1, more)], new FleetGoal([(s_4c8g, 1)], 10) { Seconds = 3600 }).Moves);
        // A Reservation keeps sums: room by normalised cores is none.
        Assert.Empty(Plan(nodes, [Pod("p", "a", 1, more), Pod("q", "a", 0, """{"spec":{"containers":[{"name":"c","resources":{"requests":{"edge.atoll.dev/compute":"1"}}}]},""" + more[1..])], new FleetGoal([(s_4c8g, 1)], 10) { Seconds = 3600 }).Moves);
    }

    [Theory]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"o","uid":"o","controller":true}]}}""")]
    [InlineData("""{"metadata":{"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"o","uid":"o","controller":true}],"annotations":{"edge.atoll.dev/may-restart":"true"}}}""")]
    public void Of_pods_that_serve_alike_one_moves_that_needs_no_restart(string restarts)
    {
        var goal = new FleetGoal([(s_4c8g, 1)], 10) { Seconds = 3600 };
        // On one node, of one class: a and z must not decide.
        foreach ((string steady, string restarted) in ((string, string)[])[("a", "z"), ("z", "a")])
            Assert.Equal([steady], Plan([Node("n", 5, 32, "east"), Node("m", 1, 32, "east")], [Pod(steady, "n", 1), Pod(restarted, "n", 1, restarts)], goal).Moves.Select(m => m.Pod.Name));
        // Of another class.
        foreach ((string steady, string restarted, int cores) in ((string, string, int)[])[("a", "z", 1), ("z", "a", 1), ("a", "z", 2), ("z", "a", 2)])
            Assert.Equal([steady], Plan([Node("n", 6, 32, "east"), Node("m", 2, 32, "east")], [Pod(steady, "n", cores), Pod(restarted, "n", 3 - cores, restarts)], goal).Moves.Select(m => m.Pod.Name));
        // On another node, when one alone may move.
        foreach ((string first, string second) in ((string, string)[])[("a", restarts), (restarts, "a")])
            Assert.Equal(["steady"], Plan([Node("n", 4, 32, "east"), Node("o", 4, 32, "east"), Node("m", 1, 32, "east")],
                [first == "a" ? Pod("steady", "n", 1) : Pod("other", "n", 1, first), second == "a" ? Pod("steady", "o", 1) : Pod("other", "o", 1, second)], goal).Moves.Select(m => m.Pod.Name));
    }

    [Fact]
    public void Normalised_cores_are_moved_for_and_with()
    {
        // Cores of b count twice: the pod of two units takes two cores of a and one of b.
        KubeObject[] nodes = [Node("a", 4, 32, "east"), Node("b", 6, 32, "east", """{"status":{"edge":{"cpuModel":"Fast 1"}}}""")];
        KubeObject[] pods = [Pod("p", "a", 0, """{"spec":{"containers":[{"name":"c","resources":{"requests":{"edge.atoll.dev/compute":"2"}}}]}}""")];
        Snapshot fleet = Fleet(nodes, pods);
        fleet.UpsertCpuModel(KubeObject.FromNode(System.Text.Json.Nodes.JsonNode.Parse("""{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"CPUModel","metadata":{"name":"f"},"spec":{"match":"Fast*","factor":2}}""")!.AsObject()));
        FleetMovePlan plan = FleetDefragmenter.Plan(fleet, new FleetGoal([(Flavour.Parse("edge.atoll.dev/compute=4,memory=1Gi"), 1)], 10) { Seconds = 3600 }, TimeProvider.System);
        // Three fit b, and none beside the pod on a; b still holds two and a half when the pod has come.
        Assert.Equal((3L, 3L), (plan.Effects[0].Before, plan.Effects[0].After));
        fleet.UpsertNode(Node("c", 1, 32, "east"));
        fleet.UpsertNode(Node("d", 2, 32, "east"));
        plan = FleetDefragmenter.Plan(fleet, new FleetGoal([(Flavour.Parse("edge.atoll.dev/compute=4,memory=1Gi"), 1)], 10) { Seconds = 3600 }, TimeProvider.System);
        Assert.Equal(("p", "a", "d"), (plan.Moves.Single().Pod.Name, plan.Moves[0].From, plan.Moves[0].To));
        Assert.Equal((3L, 4L), (plan.Effects[0].Before, plan.Effects[0].After));
    }

    [Fact]
    public void A_plan_tells_who_stays_and_why()
    {
        const string job = """{"metadata":{"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"o","uid":"o","controller":true}]}}""";
        KubeObject[] nodes = [Node("a", 8, 32, "east")], pods = [Pod("p", "a", 1, job), Pod("q", "a", 1, job), Pod("r", "a", 1, """{"metadata":{"ownerReferences":null}}"""), Pod("s", "a", 1)];
        Assert.Equal([("it is a Job's, whose work would be lost; the annotation edge.atoll.dev/may-restart: \"true\" allows it", 2), ("nothing makes it anew", 1)], Plan(nodes, pods, new FleetGoal([(s_4c8g, 1)], 10) { Seconds = 3600 }).Staying);
    }

    [Fact]
    public void Nodes_that_take_nothing_new_are_left_alone_and_images_are_weighed()
    {
        KubeObject[] nodes = [Node("a", 4, 32, "east"), Node("b", 6, 32, "east", """{"spec":{"unschedulable":true}}"""), Node("c", 6, 32, "east", """{"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]}}""")];
        Assert.Empty(Plan(nodes, [Pod("p", "a", 1)], new FleetGoal([(s_4c8g, 1)], 10) { Seconds = 3600 }).Moves);
        nodes = [Node("a", 4, 32, "east", """{"status":{"images":[{"names":["i:1"],"sizeBytes":1000}]}}"""), Node("b", 6, 32, "east")];
        FleetMove move = Assert.Single(Plan(nodes, [Pod("p", "a", 1, """{"spec":{"containers":[{"name":"c","image":"i:1","resources":{"requests":{"cpu":"1"}}}]}}""")], new FleetGoal([(s_4c8g, 1)], 10) { Seconds = 3600 }).Moves);
        Assert.Equal((1000L, "b-site"), (move.Bytes, move.ToSite));
    }

    [Fact]
    public void Every_order_is_legal_whatever_the_fleet() => Gen.Int.Each(150, seed =>
    {
        var random = new Random(seed);
        (KubeObject[] nodes, KubeObject[] pods) = Draw(random, random.Next(2, 30), random.Next(60), maxCores: 16);
        var goal = new FleetGoal([(Flavour.Parse($"{random.Next(1, 6)}c{random.Next(1, 9)}g"), random.Next(4)), (Flavour.Parse($"{random.Next(1, 12)}c4g"), 1)], random.Next(1, 20)) { WithinSite = random.Next(2) == 0, Seconds = 3600, Effort = 30, Seed = (ulong)random.Next() };
        FleetMovePlan plan = Plan(nodes, pods, goal);
        Assert.InRange(plan.Moves.Length, 0, goal.MostMoves);
        long before = 0, after = 0;
        for (int f = 0; f < 2; f++)
        {
            // What is promised is what a look at the fleet after the moves says.
            FleetEffect effect = plan.Effects[f];
            Assert.InRange(effect.After, 0, effect.Bound);
            Assert.Equal(Saleable(nodes, pods, goal.Flavours[f].Flavour), effect.Before);
            Assert.Equal(Saleable(nodes, [.. pods.Select(p => plan.Moves.FirstOrDefault(m => m.Pod.Uid == p.Uid) is { } m ? Moved(p, m.To) : p)], goal.Flavours[f].Flavour), effect.After);
            before += goal.Flavours[f].Weight * effect.Before;
            after += goal.Flavours[f].Weight * effect.After;
        }
        Assert.True(plan.Moves.Length == 0 ? after == before : after > before);
        FleetMovePlan again = Plan(nodes, [.. pods.Reverse()], goal);
        Assert.Equal(plan.Moves.Select(m => (m.Pod.Uid, m.To)), again.Moves.Select(m => (m.Pod.Uid, m.To)));
    });

    [Fact]
    public void Small_fleets_get_nearly_what_any_order_could_reach()
    {
        long reached = 0, best = 0;
        for (int seed = 0; seed < 120; seed++)
        {
            var random = new Random(seed);
            (KubeObject[] nodes, KubeObject[] pods) = Draw(random, random.Next(2, 5), random.Next(3, 8), maxCores: 9);
            Flavour flavour = Flavour.Parse($"{random.Next(2, 6)}c{random.Next(1, 5)}g");
            int moves = random.Next(1, 4);
            FleetEffect effect = Plan(nodes, pods, new FleetGoal([(flavour, 1)], moves) { Seconds = 3600 }).Effects[0];
            long most = Exhaustive(nodes, [.. pods], flavour, moves);
            Assert.InRange(effect.After, 0, most);
            reached += effect.After - effect.Before;
            best += most - effect.Before;
        }
        Assert.True(best > 20 && reached >= best * 0.9, $"{reached} of {best}");
    }

    // The best of every sequence of at most so many moves, each with room at its time.
    private static long Exhaustive(KubeObject[] nodes, KubeObject[] pods, Flavour flavour, int moves)
    {
        long best = Saleable(nodes, pods, flavour);
        if (moves == 0)
            return best;
        var fleet = new PlainFleet(nodes, pods, []);
        for (int p = 0; p < pods.Length; p++)
            foreach (KubeObject node in nodes)
            {
                KubeObject was = pods[p], free = Moved(was, null);
                if (was.Name.StartsWith("moved", StringComparison.Ordinal) || fleet.Reasons(free, node.Name).Count > 0 || Region(node) != Region(nodes.First(n => n.Name == NodeOf(was))))
                    continue;
                pods[p] = Moved(was, node.Name);
                best = Math.Max(best, Exhaustive(nodes, pods, flavour, moves - 1));
                pods[p] = was;
            }
        return best;
    }

    private static long Saleable(KubeObject[] nodes, KubeObject[] pods, Flavour flavour) => new FleetCapacity(Fleet(nodes, pods), flavour).Total().Sellable;

    private static FleetMovePlan Plan(KubeObject[] nodes, KubeObject[] pods, FleetGoal goal)
    {
        FleetMovePlan plan = FleetDefragmenter.Plan(Fleet(nodes, pods), goal, TimeProvider.System);
        Assert.Empty(FleetMoveChecker.Check(nodes, pods, [], plan));
        return plan;
    }

    private static Snapshot Fleet(KubeObject[] nodes, KubeObject[] pods)
    {
        var fleet = new Snapshot();
        foreach (KubeObject node in nodes)
            fleet.UpsertNode(node);
        foreach (KubeObject pod in pods)
            fleet.UpsertPod(pod);
        return fleet;
    }

    private static (KubeObject[] Nodes, KubeObject[] Pods) Draw(Random random, int nodes, int pods, int maxCores)
    {
        KubeObject[] all = [.. Enumerable.Range(0, nodes).Select(i => Node($"n{i}", random.Next(2, maxCores), random.Next(4, 40), random.Next(4) == 0 ? "west" : "east", random.Next(12) == 0 ? """{"spec":{"unschedulable":true}}""" : "{}"))];
        var cores = all.ToDictionary(n => n.Name, n => int.Parse((string)n.ToNode()["status"]!["allocatable"]!["cpu"]!, CultureInfo.InvariantCulture));
        var list = new List<KubeObject>();
        for (int i = 0; i < pods; i++)
        {
            string node = all[random.Next(nodes)].Name;
            int size = random.Next(1, 4);
            if (cores[node] < size)
                continue;
            cores[node] -= size;
            // Every seventh is a StatefulSet's, another a Job's, of which every second lets itself be moved.
            string stays = random.Next(10) == 0 ? """{"metadata":{"annotations":{"edge.atoll.dev/do-not-move":"yes"}}}""" : "{}";
            list.Add(Pod($"p{i}", node, size, (i % 14) switch
            {
                3 or 10 when stays == "{}" => """{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"o","uid":"o","controller":true}]}}""",
                5 when stays == "{}" => """{"metadata":{"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"o","uid":"o","controller":true}],"annotations":{"edge.atoll.dev/may-restart":"true"}}}""",
                12 when stays == "{}" => """{"metadata":{"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"o","uid":"o","controller":true}]}}""",
                _ => stays,
            }));
        }
        return (all, [.. list]);
    }

    private static string NodeOf(KubeObject pod) => (string)pod.ToNode()["spec"]!["nodeName"]!;

    private static string Region(KubeObject node) => node.Metadata.Labels!["topology.kubernetes.io/region"];

    private static KubeObject Moved(KubeObject pod, string? node)
    {
        System.Text.Json.Nodes.JsonObject document = pod.ToNode();
        document["spec"]!.AsObject().Remove("nodeName");
        if (node is not null)
            document["spec"]!["nodeName"] = node;
        return KubeObject.FromNode(document);
    }

    private static KubeObject Node(string name, int cores, int gib, string region, string more = "{}") =>
        Documents.Node(name, cores.ToString(CultureInfo.InvariantCulture), $"{gib}Gi", more, ("topology.kubernetes.io/region", region), ("topology.kubernetes.io/zone", name + "-site"));

    private static KubeObject Pod(string name, string node, int cores, string more = "{}")
    {
        System.Text.Json.Nodes.JsonObject owned = Documents.Pod(name, node: node, cpu: cores.ToString(CultureInfo.InvariantCulture)).ToNode();
        owned["metadata"]!["ownerReferences"] = new System.Text.Json.Nodes.JsonArray(new System.Text.Json.Nodes.JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = "ReplicaSet", ["name"] = "o", ["uid"] = "o", ["controller"] = true });
        return KubeObject.FromNode(Documents.Merge(owned, System.Text.Json.Nodes.JsonNode.Parse(more)!.AsObject()));
    }
}
