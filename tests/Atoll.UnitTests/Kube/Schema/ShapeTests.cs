using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Kube.Schema;

namespace Atoll.UnitTests.Kube.Schema;

public sealed class ShapeTests
{
    [Fact]
    public void Names_unknown_fields_by_path()
    {
        JsonObject deployment = JsonNode.Parse("""
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","labls":{}},
             "spec":{"template":{"spec":{"contaners":[],"containers":[{"name":"a","imagee":"b"}],"volumes":[{"name":"v","configMap":{"nam":"x"}}]}}}}
            """)!.AsObject();
        Assert.Equal(
            ["metadata.labls", "spec.template.spec.contaners", "spec.template.spec.containers[0].imagee", "spec.template.spec.volumes[0].configMap.nam"],
            ObjectSchemas.UnknownFields(Kinds.Deployment, deployment));
    }

    [Fact]
    public void Maps_and_free_objects_have_no_unknown_fields()
    {
        JsonObject pod = JsonNode.Parse("""{"metadata":{"labels":{"x":"y"},"managedFields":[{"fieldsV1":{"f:a":{}}}]},"spec":{"nodeSelector":{"q":"r"}}}""")!.AsObject();
        Assert.Empty(ObjectSchemas.UnknownFields(Kinds.Pod, pod));
    }

    [Theory]
    [InlineData("""{"spec":{"replicas":"abc"}}""", "spec.replicas", "Invalid value: \"abc\": must be an integer")]
    [InlineData("""{"spec":{"replicas":1.5}}""", "spec.replicas", "Invalid value: 1.5: must be an integer")]
    [InlineData("""{"spec":{"replicas":3000000000}}""", "spec.replicas", "Invalid value: 3000000000: must fit in 32 bits")]
    [InlineData("""{"spec":{"paused":"yes"}}""", "spec.paused", "Invalid value: \"yes\": must be a boolean")]
    [InlineData("""{"spec":{"template":{"spec":{"containers":{}}}}}""", "spec.template.spec.containers", "Invalid value: {}: must be a list")]
    [InlineData("""{"spec":{"template":{"spec":{"containers":["x"]}}}}""", "spec.template.spec.containers[0]", "Invalid value: \"x\": must be an object")]
    [InlineData("""{"metadata":{"labels":{"a":1}}}""", "metadata.labels[a]", "Invalid value: 1: must be a string")]
    [InlineData("""{"metadata":{"creationTimestamp":"yesterday"}}""", "metadata.creationTimestamp", "Invalid value: \"yesterday\": must be a time in RFC 3339, such as 2026-01-02T03:04:05Z")]
    [InlineData("""{"spec":"x"}""", "spec", "Invalid value: \"x\": must be an object")]
    [InlineData("""{"spec":{"strategy":{"type":"Blue"}}}""", "spec.strategy.type", "Unsupported value: \"Blue\": supported values: \"Recreate\", \"RollingUpdate\"")]
    [InlineData("""{"spec":{"template":{"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":"x"}}}]}}}}""", "spec.template.spec.containers[0].resources.limits[cpu]", "Invalid value: \"x\": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    public void Reports_wrong_types_with_their_path(string document, string field, string message) =>
        Assert.Contains(ObjectSchemas.Validate(Kinds.Deployment, JsonNode.Parse(document)!.AsObject(), null, null), c => c.Field == field && c.Message == message);

    [Fact]
    public void The_schema_knows_every_field_of_flavours_models_and_deliveries()
    {
        Check(Kinds.Flavour, new FlavourDefinition { Spec = new FlavourSpec { Resources = new() { ["cpu"] = "1" }, Arch = "a", CpuLevel = "armv8.2", Numa = 1, GpuModels = ["m"], RuntimeClassName = "c" } }, ApiJson.Default.FlavourDefinition);
        Check(Kinds.CpuModel, new CpuModel { Spec = new CpuModelSpec { Match = "m", Factor = 2 } }, ApiJson.Default.CpuModel);
        Check(Kinds.Delivery, new Delivery
        {
            Spec = new DeliverySpec { Count = 1, Flavour = "f", Region = "r", Carrier = "c", Kinds = ["near"], Latency = new DeliveryLatency { To = "t", Milliseconds = 1 }, MinSites = 1, MaxSharePercent = 5, Template = JsonDocument.Parse("{}").RootElement },
            Status = new DeliveryStatus { ObservedGeneration = 1, Phase = "Planned", Planned = 1, Sites = [new DeliverySite { Site = "s" }], Alternatives = [new DeliveryAlternative { Relax = "count" }], Conditions = [] },
        }, ApiJson.Default.Delivery);

        static void Check<T>(ResourceType type, T view, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> info)
        {
            var document = (JsonObject)JsonSerializer.SerializeToNode(view, info)!;
            Assert.Empty(ObjectSchemas.UnknownFields(type, document));
            foreach (string part in (string[])["spec", "status"])
                if (typeof(T).GetProperty(part == "spec" ? "Spec" : "Status") is { } holder)
                    foreach (PropertyInfo property in holder.PropertyType.GetProperties())
                        Assert.True(document[part]!.AsObject().ContainsKey(JsonNamingPolicy.CamelCase.ConvertName(property.Name)), $"set {property.Name} in this test");
        }
    }

    [Fact]
    public void The_schema_knows_every_field_of_a_site()
    {
        var site = new Site
        {
            Spec = new SiteSpec
            {
                Region = "r", Kind = "near", Carrier = "c", Latitude = 1, Longitude = 2, Revoked = true, Orphans = [new OrphanDecision { Uid = "u", Action = "Stop" }],
                RoundTrips = [new RoundTrip { To = "c", Milliseconds = 5 }], UnitCost = 0.5, Headroom = new() { ["cpu"] = "4" }, Resources = new() { [WellKnown.Uplink] = "10G" },
                Colocation = new Colocation { CpuReclaimThresholdPercent = 80, MemoryReclaimThresholdPercent = 80, EvictAfterSeconds = 300, ColdStartSeconds = 600 },
            },
            Status = new SiteStatus
            {
                Line = new SiteLine { Drops = 1, Changes = [new LineChange { Time = DateTimeOffset.UnixEpoch, Up = true }] }, Resources = [new SiteResource { Name = "cpu" }],
                Phase = "Connected", AgentVersion = "1", Nodes = 1, LastTransitionTime = DateTimeOffset.UnixEpoch,
                Conditions = [new Condition { Type = "Connected", Status = "True", Reason = "r", Message = "m", LastTransitionTime = DateTimeOffset.UnixEpoch }],
                Parent = new SiteParent { Address = "https://a", Reason = "Failover", Message = "m" },
                Certificate = new IssuedCertificate { Issuer = "atoll-ca", Expires = DateTimeOffset.UnixEpoch },
                Capacity = [new SiteCapacity { Flavour = "f", Saleable = 1, Fragmentation = 0.5 }],
                Orphans = [new SiteOrphan { Name = "default/a", Resource = "pods", Uid = "u" }],
            },
        };
        var document = (JsonObject)JsonSerializer.SerializeToNode(site, ApiJson.Default.Site)!;
        Assert.Empty(ObjectSchemas.UnknownFields(Kinds.Site, document));
        foreach (PropertyInfo property in typeof(SiteSpec).GetProperties())
            Assert.True(document["spec"]!.AsObject().ContainsKey(JsonNamingPolicy.CamelCase.ConvertName(property.Name)), $"set {property.Name} in this test");
        foreach (PropertyInfo property in typeof(SiteStatus).GetProperties())
            Assert.True(document["status"]!.AsObject().ContainsKey(JsonNamingPolicy.CamelCase.ConvertName(property.Name)), $"set {property.Name} in this test");
    }

    /// <summary>Each field of a view must be in the schema, or kubectl would refuse it.</summary>
    [Theory]
    [InlineData("Capacity", typeof(Capacity))]
    [InlineData("DefragmentationPlan", typeof(DefragmentationPlan))]
    public void The_schema_knows_every_field_of_a_view(string kind, Type type) => Compare(Shapes.Instance.Find("edge.atoll.dev", "v1alpha1", kind)!, type);

    [Fact]
    public void The_schema_knows_what_a_node_tells_of_its_parts() =>
        Compare(Shapes.Instance.Find("", "v1", "Node")!.Find("status")!.Type!.Find("edge")!.Type!, typeof(NodeEdge));

    private static void Compare(TypeShape shape, Type type)
    {
        Assert.Equal(type.GetProperties().Select(p => JsonNamingPolicy.CamelCase.ConvertName(p.Name)).Order(StringComparer.Ordinal), shape.Fields.Select(f => f.Name));
        foreach (PropertyInfo property in type.GetProperties())
        {
            Type inner = property.PropertyType.IsGenericType && property.PropertyType.GetGenericTypeDefinition() == typeof(List<>) ? property.PropertyType.GetGenericArguments()[0] : property.PropertyType;
            FieldShape field = shape.Find(JsonNamingPolicy.CamelCase.ConvertName(property.Name))!;
            Assert.Equal(inner != property.PropertyType, field.Form == ShapeForm.List);
            if (inner.Namespace == typeof(Site).Namespace && inner != typeof(Condition) && field.Type is not null && field.TypeName!.StartsWith("dev.atoll", StringComparison.Ordinal))
                Compare(field.Type, inner);
        }
    }
}
