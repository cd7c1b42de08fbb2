using System.Text;
using System.Text.Json.Nodes;
using Atoll.Kube.Resources;

namespace Atoll.UnitTests.Kube;

public sealed class BoundPodTests
{
    private const string Pod = """{"apiVersion":"v1","kind":"Pod","metadata":{"resourceVersion":"12","name":"p","namespace":"default","uid":"u","generation":1},"spec":{"containers":[{"name":"c"}],"priority":0},"status":{"phase":"Pending","qosClass":"BestEffort"}}""";

    private static byte[]? Bind(string pod) => BoundPod.Of(Encoding.UTF8.GetBytes(pod), "n\"1", "2026-01-02T03:04:05Z");

    [Fact]
    public void TheBindingIsPutInAndNothingElseChanges()
    {
        var expected = JsonNode.Parse(Pod)!.AsObject();
        expected["metadata"]!.AsObject().Remove("resourceVersion");
        expected["metadata"]!["generation"] = 2;
        expected["spec"]!["nodeName"] = "n\"1";
        expected["status"]!["conditions"] = JsonNode.Parse("""[{"type":"PodScheduled","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-01-02T03:04:05Z"}]""");
        Assert.True(JsonNode.DeepEquals(expected, JsonNode.Parse(Bind(Pod)!)));
    }

    [Theory]
    [InlineData("\"priority\":0", "\"priority\":0,\"nodeName\":\"other\"")]
    [InlineData("\"priority\":0", "\"schedulingGates\":[{\"name\":\"g\"}]")]
    [InlineData("\"generation\":1", "\"generation\":1,\"deletionTimestamp\":\"2026-01-02T03:04:05Z\"")]
    [InlineData("\"qosClass\":\"BestEffort\"", "\"conditions\":[]")]
    [InlineData("\"resourceVersion\":\"12\",", "")]
    [InlineData(",\"generation\":1", "")]
    [InlineData("\"phase\":\"Pending\",\"qosClass\":\"BestEffort\"", "")]
    public void APodThatLooksDifferentGoesTheLongWay(string what, string with) => Assert.Null(Bind(Pod.Replace(what, with, StringComparison.Ordinal)));
}
