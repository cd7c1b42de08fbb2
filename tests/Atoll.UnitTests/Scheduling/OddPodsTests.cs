using Atoll.Api.Objects;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Pods and nodes that nobody should write, and that somebody will.</summary>
public sealed class OddPodsTests
{
    private const string Moved = """{"metadata":{"annotations":{"edge.atoll.dev/replaces":"x"}}}""";

    [Theory]
    [InlineData("""{"preemptionPolicy":"Never"}""", "{}", "not eligible due to preemptionPolicy=Never.")]
    [InlineData("{}", Moved, "not eligible: a pod that is moved displaces nobody.")]
    public void Who_may_displace_nobody_says_nothing_for_those_who_may(string spec, string more, string why)
    {
        KubeObject[] nodes = [Node("a", cpu: "1")], pods = [Pod("low", node: "a", cpu: "1")];
        IReadOnlyList<Placement> places = Places(nodes, pods, [Pod("meek", spec, cpu: "1", priority: 10, more: more), Pod("bold", cpu: "1", priority: 10), Pod("meek-too", spec, cpu: "1", priority: 10, more: more)]);
        Assert.EndsWith("preemption: " + why, places[0].Message, StringComparison.Ordinal);
        Assert.Equal(("a", "low"), (places[1].Nominated, Assert.Single(places[1].Victims).Name));
        Assert.EndsWith("preemption: " + why, places[2].Message, StringComparison.Ordinal);
    }
}
