using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Access;
using Atoll.Kube.Apply;
using Atoll.Kube.Resources;
using Atoll.Kube.Schema;

namespace Atoll.UnitTests.Kube;

/// <summary>Drawn configurations, applied by drawn managers: what holds of server-side apply whatever they say.</summary>
public sealed class DrawnApplyTests : KubeTestBase
{
    private static readonly FieldPlace s_place = FieldPlace.Root(Shapes.Instance.Find("apps", "v1", "Deployment")!);
    private int _objects;

    [Fact]
    public Task Applied_twice_is_applied_once_and_what_a_later_one_leaves_out_goes() => CsCheck.Gen.Int.EachAsync(60, async seed =>
    {
        var random = new Random(seed);
        JsonObject first = Configuration(random), then = Configuration(random);
        string name = $"d{_objects++}", fresh = $"d{_objects++}";
        JsonObject made = await ApplyAsync(name, "m", first);
        Assert.Equal(made.ToJsonString(), (await ApplyAsync(name, "m", first)).ToJsonString());
        // One manager alone: the object is as if nothing had been before.
        JsonObject changed = await ApplyAsync(name, "m", then), straight = await ApplyAsync(fresh, "m", then);
        Assert.True(JsonNode.DeepEquals(straight["spec"], changed["spec"]), $"{straight["spec"]!.ToJsonString()}\n{changed["spec"]!.ToJsonString()}");
        Assert.Equal(straight["metadata"]!["labels"]?.ToJsonString(), Sorted(changed["metadata"]!["labels"], straight["metadata"]!["labels"]));
        Assert.True(ManagedFields.Of(straight).All().SameAs(ManagedFields.Of(changed).All()));
    });

    [Fact]
    public Task Several_managers_have_what_they_said_and_nobody_takes_what_is_anothers() => CsCheck.Gen.Int.EachAsync(60, async seed =>
    {
        var random = new Random(seed);
        string name = $"d{_objects++}";
        JsonObject live = await ApplyAsync(name, "a", Configuration(random));
        for (int step = 0; step < 8; step++)
        {
            string manager = random.Next(3) switch { 0 => "a", 1 => "b", _ => "c" };
            JsonObject wanted = Configuration(random, whole: manager == "a");
            if (random.Next(5) == 0)
            {
                WriteResult edited = await Server.Verbs.PatchAsync(Kinds.Deployment, "default", name, Atoll.Api.Resources.PatchType.Merge, new JsonObject { ["metadata"] = new JsonObject { ["labels"] = new JsonObject { [$"l{random.Next(3)}"] = $"e{random.Next(2)}" } } }, null, Call("editor"));
                live = edited.Object!.Object.ToNode();
            }
            bool force = random.Next(2) == 0;
            WriteResult result = await Server.Verbs.ApplyAsync(Kinds.Deployment, "default", name, (JsonObject)wanted.DeepClone(), null, force, null, Call(manager));
            if (result.Error is { } error)
            {
                Assert.True(error.Reason is "Conflict" or "Invalid", error.Message);
                // Force takes away the conflict.
                Assert.False(force && error.Reason == "Conflict", error.Message);
                continue;
            }
            JsonObject next = result.Object!.Object.ToNode();
            ManagedFields after = ManagedFields.Of(next), before = ManagedFields.Of(live);
            // What was asked for is there, and is the manager's.
            JsonObject canonical = ManagedFields.Ownable(wanted);
            Canonical.Apply(Shapes.Instance.Find("apps", "v1", "Deployment")!, canonical);
            Structured.Tidy(s_place, canonical);
            if (canonical["metadata"] is JsonObject { Count: 0 })
                canonical.Remove("metadata");
            Assert.True(JsonNode.DeepEquals(Bare(next), ManagedFields.Ownable((JsonObject)Structured.Merge(s_place, Bare(next), canonical)!)) , $"{next.ToJsonString()}\n{wanted.ToJsonString()}");
            FieldSet own = after.FieldsOf(new(manager, true, "apps/v1", "")) ?? new();
            Assert.True(own.SameAs(Structured.FieldsOf(s_place, canonical)), $"{own.ToJson().ToJsonString()}\n{wanted.ToJsonString()}");
            FieldSet there = FieldDifference.Of(s_place, [], Bare(next)).Added;
            var change = FieldDifference.Of(s_place, Bare(live), Bare(next));
            foreach (ManagedEntry entry in after.Entries)
                Assert.True(entry.Fields.Except(there).IsEmpty, $"{entry.Manager} has what is not there: {string.Join(' ', entry.Fields.Except(there).Paths())}");
            if (!force)
                foreach (ManagedEntry entry in before.Entries.Where(e => e.Manager.Name != manager))
                    Assert.True(entry.Fields.Intersect(change.Written).IsEmpty, "somebody else's field was written");
            Assert.Equal(next.ToJsonString(), (await ApplyAsync(name, manager, wanted)).ToJsonString());
            live = next;
        }
    });

    [Fact]
    public void Sets_of_fields_are_written_and_read_alike() => CsCheck.Gen.Int.Each(300, seed =>
    {
        var random = new Random(seed);
        FieldSet a = Structured.FieldsOf(s_place, Configuration(random)), b = Structured.FieldsOf(s_place, Configuration(random));
        Assert.True(FieldSet.FromJson(JsonNode.Parse(a.ToJson().ToJsonString()))!.SameAs(a));
        Assert.True(a.Except(b).Union(a.Intersect(b)).SameAs(a));
        Assert.True(a.Union(b).Except(b).SameAs(a.Except(b)));
        Assert.True(a.Intersect(b).SameAs(b.Intersect(a)));
        Assert.True(a.Except(a).IsEmpty);
        Assert.Equal(a.Union(b).Paths().Order(StringComparer.Ordinal), a.Paths().Union(b.Paths()).Order(StringComparer.Ordinal));
    });

    private static JsonObject Bare(JsonObject document) => ManagedFields.Ownable(document);

    private static CallContext Call(string manager) => new(Identity.Administrator("admin"), TestContext.Current.CancellationToken) { Manager = manager };

    private async Task<JsonObject> ApplyAsync(string name, string manager, JsonObject configuration)
    {
        WriteResult result = await Server.Verbs.ApplyAsync(Kinds.Deployment, "default", name, (JsonObject)configuration.DeepClone(), null, force: false, null, Call(manager));
        Assert.True(result.Error is null, $"{result.Error?.Message} {configuration.ToJsonString()}");
        return result.Object!.Object.ToNode();
    }

    // Keys of maps may come in another order.
    private static string? Sorted(JsonNode? map, JsonNode? like) => JsonNode.DeepEquals(map, like) ? like?.ToJsonString() : map?.ToJsonString();

    // Parts of a Deployment; a whole one is valid by itself.
    private static JsonObject Configuration(Random random, bool whole = true)
    {
        JsonObject document = [], spec = [], template = [], pod = [];
        if (Map(random, "l") is { } labels)
            document["metadata"] = new JsonObject { ["labels"] = labels };
        if (random.Next(2) == 0)
            spec["replicas"] = random.Next(3);
        if (random.Next(3) == 0)
            spec["strategy"] = new JsonObject { ["type"] = "RollingUpdate", ["rollingUpdate"] = new JsonObject { ["maxSurge"] = random.Next(1, 3) } };
        if (random.Next(3) == 0)
            pod["nodeSelector"] = Map(random, "n");
        if (random.Next(3) == 0)
            pod["securityContext"] = random.Next(2) == 0 ? [] : new JsonObject { ["runAsUser"] = random.Next(1, 4) };
        JsonArray containers = [];
        foreach (string name in new[] { "x", "y", "z" }.OrderBy(_ => random.Next()).Take(random.Next(whole ? 1 : 0, 4)))
        {
            var container = new JsonObject { ["name"] = name, ["image"] = $"i:{random.Next(2)}" };
            if (random.Next(2) == 0)
                container["args"] = new JsonArray([.. Enumerable.Range(0, random.Next(3)).Select(_ => (JsonNode)$"{random.Next(3)}")]);
            if (random.Next(2) == 0)
                container["env"] = new JsonArray([.. new[] { "A", "B", "C" }.Where(_ => random.Next(2) == 0).Select(n => (JsonNode)new JsonObject { ["name"] = n, ["value"] = $"{random.Next(2)}" })]);
            if (random.Next(2) == 0)
                container["ports"] = new JsonArray([.. new[] { "TCP", "UDP" }.Where(_ => random.Next(2) == 0).Select(p => (JsonNode)(p == "TCP" && random.Next(2) == 0 ? new JsonObject { ["containerPort"] = 80 } : new JsonObject { ["containerPort"] = 80, ["protocol"] = p }))]);
            if (random.Next(3) == 0)
                container["resources"] = new JsonObject { ["requests"] = new JsonObject { ["cpu"] = $"{random.Next(1, 3)}" } };
            containers.Add((JsonNode)container);
        }
        if (containers.Count > 0)
            pod["containers"] = containers;
        if (pod.Count > 0)
            template["spec"] = pod;
        if (whole)
        {
            spec["selector"] = new JsonObject { ["matchLabels"] = new JsonObject { ["app"] = "d" } };
            template["metadata"] = new JsonObject { ["labels"] = new JsonObject { ["app"] = "d" } };
        }
        if (template.Count > 0)
            spec["template"] = template;
        if (spec.Count > 0)
            document["spec"] = spec;
        return document;
    }

    private static JsonObject? Map(Random random, string prefix)
    {
        JsonObject map = [];
        for (int i = 0; i < 3; i++)
            if (random.Next(2) == 0)
                map[$"{prefix}{i}"] = $"{random.Next(2)}";
        return map.Count > 0 || random.Next(2) == 0 ? map : null;
    }
}
