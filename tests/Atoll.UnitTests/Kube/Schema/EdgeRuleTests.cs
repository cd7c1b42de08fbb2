using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Schema;

namespace Atoll.UnitTests.Kube.Schema;

public sealed class EdgeRuleTests
{
    [Theory]
    [InlineData("sites", """{"unitCost":-1}""", "spec.unitCost")]
    [InlineData("sites", """{"roundTrips":[{"to":"a","milliseconds":5},{"to":"a","milliseconds":6}]}""", "spec.roundTrips[1].to")]
    [InlineData("sites", """{"roundTrips":[{"to":"a","milliseconds":0}]}""", "spec.roundTrips[0].milliseconds")]
    [InlineData("sites", """{"roundTrips":[{"milliseconds":3}]}""", "spec.roundTrips[0].to")]
    [InlineData("sites", """{"headroom":{"cpu":"-1"}}""", "spec.headroom[cpu]")]
    [InlineData("sites", """{"headroom":{"site.edge.atoll.dev/uplink":"1"}}""", "spec.headroom[site.edge.atoll.dev/uplink]")]
    [InlineData("sites", """{"resources":{"uplink":"1"}}""", "spec.resources[uplink]")]
    [InlineData("sites", """{"kind":"moon"}""", "spec.kind")]
    [InlineData("flavours", """{"resources":{}}""", "spec.resources")]
    [InlineData("flavours", """{"resources":{"cpu":"1"},"numa":3}""", "spec.numa")]
    [InlineData("flavours", """{"resources":{"cpu":"1"},"cpuLevel":"x86-64-v9"}""", "spec.cpuLevel")]
    [InlineData("flavours", """{"resources":{"cpu":"1","edge.atoll.dev/compute":"1"}}""", "spec.resources[edge.atoll.dev/compute]")]
    [InlineData("cpumodels", """{"match":"*X","factor":1}""", "spec.match")]
    [InlineData("cpumodels", """{"match":"X","factor":0}""", "spec.factor")]
    [InlineData("deliveries", """{"count":3}""", "spec.flavour")]
    [InlineData("deliveries", """{"count":-1,"flavour":"1c1g"}""", "spec.count")]
    [InlineData("deliveries", """{"count":200000,"flavour":"1c1g"}""", "spec.count")]
    [InlineData("deliveries", """{"count":1,"flavour":"1c1g","maxSharePercent":101}""", "spec.maxSharePercent")]
    [InlineData("deliveries", """{"count":1,"flavour":"1c1g","minSites":0}""", "spec.minSites")]
    [InlineData("deliveries", """{"count":1,"flavour":"1c1g","kinds":["moon"]}""", "spec.kinds[0]")]
    [InlineData("deliveries", """{"count":1,"flavour":"1c1g","latency":{"to":"x","milliseconds":-2}}""", "spec.latency.milliseconds")]
    [InlineData("deliveries", """{"count":1,"template":{"spec":{"nodeName":"n","containers":[{"name":"c","image":"i"}]}}}""", "spec.template.spec.nodeName")]
    [InlineData("deliveries", """{"count":1,"template":{"spec":{"containers":[{"name":"c","image":"i"}],"affinity":{"podAntiAffinity":{}}}}}""", "spec.template.spec.affinity.podAntiAffinity")]
    public void What_is_wrong_is_named(string plural, string spec, string field)
    {
        ResourceType type = Kinds.Find(Kinds.EdgeGroup, "v1alpha1", plural)!;
        var document = new JsonObject { ["apiVersion"] = type.ApiVersion, ["kind"] = type.Kind, ["metadata"] = new JsonObject { ["name"] = "x" }, ["spec"] = JsonNode.Parse(spec) };
        ObjectSchemas.ApplyDefaults(type, document);
        Assert.Contains(field, ObjectSchemas.Validate(type, document, null, null).Select(c => c.Field));
    }

    [Fact]
    public void What_a_delivery_is_made_of_cannot_change()
    {
        JsonObject Make(string flavour, int count) => JsonNode.Parse($$$"""{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Delivery","metadata":{"name":"d"},"spec":{"count":{{{count}}},"flavour":"{{{flavour}}}"}}""")!.AsObject();
        Assert.Empty(ObjectSchemas.Validate(Kinds.Delivery, Make("1c1g", 2), Make("1c1g", 1), null));
        Assert.Equal("spec.flavour", Assert.Single(ObjectSchemas.Validate(Kinds.Delivery, Make("2c1g", 1), Make("1c1g", 1), null)).Field);
    }
}
