using Atoll.Api.Objects;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Elastic quotas in a plan: never beyond max, guaranteed up to min, lent in between.</summary>
public sealed class QuotaTests
{
    private const string Two = """{"cpu":"2"}""", Four = """{"cpu":"4"}""", Six = """{"cpu":"6"}""";

    private static readonly KubeObject[] s_node = [Node("n", cpu: "4")];

    [Fact]
    public void Nothing_is_placed_beyond_max_and_the_pod_is_told()
    {
        IReadOnlyList<Placement> plan = Places([Node("n", cpu: "9")], [Pod("x", node: "n", cpu: "3", ns: "a")], [Pod("p", cpu: "1", ns: "a"), Pod("q", cpu: "1", ns: "a"), Pod("r", cpu: "1", ns: "free")], null, Quota("a", "q", Two, Four));
        Assert.Equal(("n", null, "n"), (plan[0].Node, plan[1].Node, plan[2].Node));
        Assert.StartsWith("0/1 nodes are available: 1 elastic quota a/q is used up (cpu: 4 used + 1 asked > 4 at most).", plan[1].Message, StringComparison.Ordinal);
        Assert.Equal(ClusterEvents.Quotas | ClusterEvents.PodGone, plan[1].HelpedBy);
    }

    [Fact]
    public void A_pod_is_not_kept_out_by_what_it_was_promised_on_a_node_that_is_gone()
    {
        KubeObject promised = Pod("p", cpu: "4", ns: "a", more: """{"status":{"nominatedNodeName":"gone"}}""");
        Assert.Equal("n", Places(s_node, [promised], [promised], null, Quota("a", "q", Two, Four))[0].Node);
    }

    [Fact]
    public void What_is_lent_is_reclaimed_whatever_the_priorities_and_no_more_than_that()
    {
        KubeObject[] running = [.. Enumerable.Range(0, 4).Select(i => Pod($"b{i}", node: "n", cpu: "1", ns: "b", priority: 10 - i))];
        KubeObject[] quotas = [Quota("a", "q", Two, Four), Quota("b", "q", Two, Four)];
        IReadOnlyList<Placement> plan = Places(s_node, running, [Pod("a1", cpu: "1", ns: "a"), Pod("a2", cpu: "1", ns: "a"), Pod("a3", cpu: "1", ns: "a")], null, quotas);
        // The least important of what b has above its guarantee.
        Assert.Equal(["b3", "b2"], plan.SelectMany(p => p.Victims).Select(v => v.Name));
        Assert.Equal(("n", "n", null), (plan[0].Nominated, plan[1].Nominated, plan[2].Nominated));
        // A borrower takes nothing from another, although its priority is higher.
        Assert.Null(Places(s_node, running[..2], [Pod("x", node: "n", cpu: "2", ns: "a"), Pod("high", cpu: "1", ns: "a", priority: 99)], null, quotas)[0].Nominated);
    }

    [Fact]
    public void Within_its_guarantee_nobody_is_displaced_by_another_quota()
    {
        KubeObject[] running = [Pod("b0", node: "n", cpu: "2", ns: "b"), Pod("a0", node: "n", cpu: "2", ns: "a")];
        Placement refused = Places(s_node, running, [Pod("a1", cpu: "1", ns: "a", priority: 0)], null, Quota("a", "q", Six, Six), Quota("b", "q", Two, Four))[0];
        Assert.Equal("0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.", refused.Message);
        // Its own lesser pods may go, as in any namespace.
        Assert.Equal(["a0"], Places(s_node, running, [Pod("a1", cpu: "2", ns: "a", priority: 99)], null, Quota("a", "q", Two, Six), Quota("b", "q", Two, Four))[0].Victims.Select(v => v.Name));
    }

    [Fact]
    public void A_lesser_pod_of_the_same_quota_makes_room_in_the_quota()
    {
        Placement plan = Places([Node("n", cpu: "9"), Node("m", cpu: "9")], [Pod("low", node: "n", cpu: "4", ns: "a"), Pod("other", node: "m", cpu: "1", ns: "b")], [Pod("p", cpu: "2", ns: "a", priority: 5)], null, Quota("a", "q", Two, Four))[0];
        Assert.Equal(("n", "low"), (plan.Nominated, plan.Victims.Single().Name));
    }

    [Fact]
    public void What_is_used_below_counts_above_and_is_reclaimed_between_branches()
    {
        KubeObject[] tree = [Quota("org", "all", Four, Six), Quota("a", "q", Two, Six, "org/all"), Quota("b", "q", Two, Six, "org/all"), Quota("other", "q", Two, Six)];
        KubeObject[] nodes = [Node("n", cpu: "7")];
        IReadOnlyList<Placement> plan = Places(nodes, [Pod("a0", node: "n", cpu: "4", ns: "a"), Pod("b0", node: "n", cpu: "2", ns: "b")], [Pod("a1", cpu: "1", ns: "a")], null, tree);
        Assert.Contains("elastic quota org/all is used up (cpu: 6 used + 1 asked > 6 at most)", plan[0].Message, StringComparison.Ordinal);
        // b gets its own from a, which is above its guarantee; to the outside both are one.
        IReadOnlyList<Placement> inner = Places([Node("n", cpu: "4")], [Pod("a0", node: "n", cpu: "2", ns: "a"), Pod("a1", node: "n", cpu: "2", ns: "a")], [Pod("b1", cpu: "2", ns: "b")], null, tree);
        Assert.Single(inner[0].Victims);
        IReadOnlyList<Placement> outer = Places([Node("n", cpu: "4")], [Pod("a0", node: "n", cpu: "4", ns: "a")], [Pod("o", cpu: "2", ns: "other", priority: 9)], null, tree);
        Assert.Null(outer[0].Nominated);
    }

    [Fact]
    public void Pods_right_in_a_quota_have_no_guarantee_against_those_below_it()
    {
        KubeObject[] tree = [Quota("a", "all", Four, Six), Quota("a", "part", Two, Four, "all")];
        KubeObject Of(string quota, string name, string cpu, string? node = null) => Pod(name, node: node, cpu: cpu, ns: "a", more: $$$$"""{"metadata":{"labels":{"scheduling.x-k8s.io/elastic-quota":"{{{{quota}}}}"}}}""");
        // The part gets its own back from what lies beside it, whether or not the whole is above its min.
        Assert.Equal("x", Places(s_node, [Of("all", "x", "4", "n")], [Of("part", "p", "2")], null, tree)[0].Victims.Single().Name);
        Assert.Null(Places(s_node, [Of("all", "x", "4", "n")], [Of("part", "p", "3")], null, tree)[0].Nominated);
        Assert.Null(Places(s_node, [Of("part", "y", "4", "n")], [Of("all", "p", "1")], null, tree)[0].Nominated);
    }

    [Fact]
    public void Several_quotas_of_a_namespace_are_chosen_by_label()
    {
        KubeObject[] two = [Quota("a", "big", "{}", Four, "top"), Quota("a", "small", "{}", """{"cpu":"1"}""", "top"), Quota("a", "top", "{}", Four)];
        KubeObject Labelled(string name, string quota, string cpu) => Pod(name, cpu: cpu, ns: "a", more: $$$$"""{"metadata":{"labels":{"scheduling.x-k8s.io/elastic-quota":"{{{{quota}}}}"}}}""");
        IReadOnlyList<Placement> plan = Places([Node("n", cpu: "9")], [], [Labelled("p", "small", "2"), Labelled("q", "big", "3"), Pod("r", cpu: "2", ns: "a"), Labelled("s", "none", "1")], null, two);
        Assert.Contains("elastic quota a/small is used up", plan[0].Message, StringComparison.Ordinal);
        Assert.Equal("n", plan[1].Node);
        Assert.Contains("elastic quota a/big is used up (cpu: 3 used + 2 asked > 4 at most)", plan[2].Message, StringComparison.Ordinal);
        Assert.Equal("0/1 nodes are available: 1 elastic quota a/none does not exist.", plan[3].Message!.Split(" preemption:")[0]);
    }

    [Fact]
    public void A_quota_that_does_not_exist_keeps_the_pod_waiting_whoever_makes_room()
    {
        KubeObject pod = Pod("p", cpu: "1", priority: 9, more: """{"metadata":{"labels":{"scheduling.x-k8s.io/elastic-quota":"none"}}}""");
        Assert.Equal("0/1 nodes are available: 1 elastic quota default/none does not exist. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
            Places(s_node, [Pod("lesser", cpu: "1", more: """{"status":{"nominatedNodeName":"n"}}""")], [pod])[0].Message);
    }

    [Fact]
    public void A_circle_is_no_parent()
    {
        var tree = new QuotaTree([("a/x", "a/y"), ("a/y", "a/x"), ("a/z", "a/x"), ("b/q", "b/none")]);
        Assert.True(tree.IsInCircle("a/x") && tree.IsInCircle("a/y") && !tree.IsInCircle("a/z"));
        Assert.Equal((null, "a/x", null), (tree.Above("a/x"), tree.Above("a/z"), tree.Above("b/q")));
    }
}
