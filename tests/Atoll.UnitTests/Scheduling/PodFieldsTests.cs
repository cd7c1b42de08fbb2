using System.Text;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.UnitTests.Scheduling;

public sealed class PodFieldsTests
{
    private static KubeObject Pod(string node, string phase, string labels = """{"app":"a"}""", string image = "i", string ns = "default") => new(Encoding.UTF8.GetBytes(
        $$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"{{{ns}}}","uid":"u","creationTimestamp":"2026-01-02T03:04:05Z","labels":{{{labels}}}},"spec":{"containers":[{"name":"c","image":"{{{image}}}"}]{{{node}}},"priority":3},"status":{"phase":"{{{phase}}}"}}"""));

    [Fact]
    public void FindsWhatTheTypedViewSays()
    {
        KubeObject pod = Pod(""","nodeName":"n1" """, "Running");
        PodFields fields = PodFields.Read(pod.Utf8.Span);
        Assert.Equal("n1", fields.NodeOf(pod));
        Assert.Equal("""{"app":"a"}""", Encoding.UTF8.GetString(pod.Utf8.Span[fields.Labels]));
        Assert.Equal(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), fields.Since);
        Assert.Equal("u", Encoding.UTF8.GetString(pod.Utf8.Span[fields.Uid]));
        Assert.False(fields.IsOver || fields.IsDeleting || fields.MayAskForMore);
        Assert.Equal(fields, PodFields.Of(pod));
        Assert.Equal(fields, PodFields.Of(pod));
        Assert.True(PodFields.Of(Pod("", "Pending", labels: """{"edge.atoll.dev/reservation":"r"}""")).MayAskForMore);
        Assert.True(PodFields.Of(Pod(""","runtimeClassName":"metal" """, "Pending")).MayAskForMore);
        Assert.True(PodFields.Read(Pod("", "Failed").Utf8.Span) is { IsOver: true, IsBound: false });
    }

    [Fact]
    public void ASpecThatWasParsedBeforeIsFoundWithItsNodeAndOnlyThat()
    {
        var recent = new RecentSpecs();
        string[] nodes = ["", ""","nodeName":"n1" """, ""","nodeName":"a-longer-one" """, ""","nodeName":"esc\\u0061ped" """, ""","nodeName":"" """, ""","nodeName":null""", ""","nodeName":"n1","tolerations":[{"key":"n1"}]"""];
        var random = new Random(7);
        for (int i = 0; i < 2000; i++)
        {
            KubeObject pod = Pod(nodes[random.Next(nodes.Length)], random.Next(2) == 0 ? "Running" : "Failed", image: $"i{random.Next(24)}");
            // A status before the spec, with a start, and none at all.
            string text = Encoding.UTF8.GetString(pod.Utf8.Span);
            int status = text.IndexOf(",\"status\"", StringComparison.Ordinal);
            string document = random.Next(3) switch
            {
                0 => text,
                1 => string.Concat(text.AsSpan(0, status), "}"),
                _ => string.Concat("""{"status":{"startTime":"2026-02-03T04:05:06Z"},""", text.AsSpan(1, status - 1), "}"),
            };
            byte[] bytes = Encoding.UTF8.GetBytes(document);
            Assert.Equal(PodFields.Read(bytes), PodFields.Read((ReadOnlyMemory<byte>)bytes, recent));
        }
        // What differs in one byte after the node is parsed.
        byte[] other = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(Pod(nodes[1], "Running", image: "i0").Utf8.Span).Replace("\"priority\":3", "\"priority\":4", StringComparison.Ordinal));
        Assert.Equal(PodFields.Read(other), PodFields.Read((ReadOnlyMemory<byte>)other, recent));
    }

    [Fact]
    public void PodsOfOneTemplateShareOnWhicheverNodeTheyAre()
    {
        int made = 0;
        var templates = new PodTemplates<object>(10, _ => (object)++made);
        object Of(KubeObject pod) => templates.Of(pod, PodFields.Read(pod.Utf8.Span));
        object first = Of(Pod(""","nodeName":"n1" """, "Running"));
        Assert.Same(first, Of(Pod(""","nodeName":"another-node" """, "Pending")));
        Assert.NotSame(first, Of(Pod(""","nodeName":"n1" """, "Running", labels: """{"app":"b"}""")));
        Assert.NotSame(first, Of(Pod(""","nodeName":"n1" """, "Running", image: "j")));
        Assert.NotSame(first, Of(Pod(""","nodeName":"n1" """, "Running", ns: "other")));
        Assert.Equal(4, made);
    }

    [Fact]
    public void AFleetTakenWholeIsTheSameAsPodByPod()
    {
        List<KubeObject> nodes = [.. Enumerable.Range(0, 3).Select(i => Documents.Node($"n{i}"))];
        List<KubeObject> pods = [.. Enumerable.Range(0, 60).Select(i => Documents.Pod($"p{i}", node: i % 7 == 0 ? null : $"n{i * i % 5 % 3}", cpu: $"{i % 2 * 10 + 10}m", app: $"a{i / 2 % 2}",
            more: i % 11 == 0 ? """{"status":{"phase":"Succeeded"}}""" : i % 13 == 0 ? """{"metadata":{"deletionTimestamp":"2026-01-02T03:04:05Z"}}""" : "{}"))];
        pods.Add(Documents.Pod("p8", node: "n1")); // The same identity again: the later counts.
        Snapshot one = Documents.Fleet(nodes, pods, []), whole = Documents.Fleet(nodes, [], []);
        var fields = new PodFields[pods.Count];
        int[] alike = new int[pods.Count];
        for (int from = 0; from < pods.Count; from += 25)
            PodTemplates.Read(pods, from, Math.Min(pods.Count, from + 25), fields, alike);
        whole.UpsertPods(pods, fields, alike);
        Assert.InRange(alike.Distinct().Count(), 4, 40);
        Assert.Equal(one.PodCount, whole.PodCount);
        KubeObject[] pending = [.. Enumerable.Range(0, 40).Select(i => Documents.Pod($"new{i}", cpu: "250m", app: $"a{i % 2}",
            spec: """{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"kubernetes.io/hostname","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{"matchLabels":{"app":"a1"}}}]}"""))];
        Assert.Equal(Scheduler.Plan(one, pending, new PlanOptions()).Placements.Select(p => (p.Node, p.Message)), Scheduler.Plan(whole, pending, new PlanOptions()).Placements.Select(p => (p.Node, p.Message)));
    }

    [Fact]
    public void PodsOfOneTemplateThatWaitHaveOneSpecAndTheirOwnStatus()
    {
        static KubeObject Stored(KubeObject pod) => KubeObject.Stored(pod.Utf8, pod.Key, pod.Uid);
        KubeObject first = Stored(Pod("", "Pending")), second = Stored(Pod("", "Running", labels: """{"app":"b"}""")), other = Stored(Pod("", "Pending", image: "j"));
        PodSpec spec = first.View(ApiJson.Default.Pod).Spec;
        Assert.Same(spec, second.View(ApiJson.Default.Pod).Spec);
        Assert.NotSame(spec, other.View(ApiJson.Default.Pod).Spec);
        Assert.Equal("j", other.View(ApiJson.Default.Pod).Spec.Containers[0].Image);
        foreach (KubeObject pod in (KubeObject[])[first, second, other, Stored(Pod(""","nodeName":"n1" """, "Failed"))])
            Assert.Equal(JsonSerializer.Serialize(JsonSerializer.Deserialize(pod.Utf8.Span, ApiJson.Default.Pod), ApiJson.Default.Pod), JsonSerializer.Serialize(pod.View(ApiJson.Default.Pod), ApiJson.Default.Pod));
        // What is no spec is refused as ever.
        var broken = KubeObject.Stored("""{"metadata":{"name":"p"},"spec":[]}"""u8.ToArray(), "default/p", "u");
        Assert.Throws<JsonException>(() => broken.View(ApiJson.Default.Pod));
    }

    [Fact]
    public void AStoredObjectForgetsItsFormsAndParsesThemAgain()
    {
        KubeObject source = Pod("", "Pending");
        KubeObject stored = KubeObject.Stored(source.Utf8, "default/p", "u");
        ObjectMeta before = stored.Metadata;
        // More reads than are kept, even when other tests share the memory.
        for (int i = 0; i < RecentForms.DefaultCapacity * 64; i++)
            _ = KubeObject.Stored(source.Utf8, "default/p", "u").Metadata;
        Assert.NotSame(before, stored.Metadata);
        Assert.Equal("p", stored.Name);
        Assert.Equal("a", stored.Metadata.Label("app"));
    }
}
