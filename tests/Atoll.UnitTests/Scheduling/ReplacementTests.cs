using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Replacing;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>What comes to life again of a dead node, where, and under which name.</summary>
public sealed class ReplacementTests
{
    private static readonly KubeObject[] s_nodes = [Node("a"), Node("b"), Node("c", cpu: "50m")];
    private static readonly HashSet<string> s_dead = ["a"], s_none = [];

    [Fact]
    public void Pods_of_ReplicaSets_and_Jobs_are_replaced_and_what_belongs_to_the_node_stays()
    {
        KubeObject[] pods =
        [
            Owned("web-1", "ReplicaSet"), Owned("job-1", "Job"), Owned("agent-1", "DaemonSet"), Owned("db-0", "StatefulSet"), Pod("static", node: "a"),
            Owned("done", "Job", status: "Succeeded"), Owned("other", "ReplicaSet", node: "b"), Owned("ending", "ReplicaSet", more: """{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}"""),
        ];
        IReadOnlyList<Replacement> plan = Replacements.Plan(s_nodes, pods, s_dead, s_none);
        Assert.Equal(["job-1", "web-1"], plan.Select(r => r.Lost.Name));
        foreach (Replacement replacement in plan)
        {
            JsonObject pod = replacement.Pod!, meta = pod["metadata"]!.AsObject();
            Assert.Equal("b", (string?)pod["spec"]!["nodeName"]);
            Assert.Equal(replacement.Lost.Uid, (string?)meta["annotations"]![WellKnown.ReplacesAnnotation]);
            Assert.Equal("site", (string?)meta["labels"]![WellKnown.CreatedByLabel]);
            Assert.Equal("x", (string?)meta["labels"]!["app"]);
            Assert.Equal("o-" + replacement.Lost.Name, (string?)meta["ownerReferences"]![0]!["uid"]);
            Assert.StartsWith("owner-", (string?)meta["name"], StringComparison.Ordinal);
            Assert.NotEqual(replacement.Lost.Uid, (string?)meta["uid"]);
            Assert.Null(pod["status"]);
        }
        // The same every time: a plan that was broken off is simply made again.
        Assert.Equal(plan.Select(r => r.Pod!.ToJsonString()), Replacements.Plan(s_nodes.Reverse(), [.. pods.Reverse()], s_dead, s_none).Select(r => r.Pod!.ToJsonString()));
        Assert.Equal(2, plan.Select(r => (string?)r.Pod!["metadata"]!["name"]).Distinct().Count());
    }

    [Fact]
    public void What_was_replaced_is_not_replaced_again()
    {
        KubeObject lost = Owned("web-1", "ReplicaSet");
        KubeObject made = KubeObject.FromNode(Assert.Single(Replacements.Plan(s_nodes, [lost], s_dead, s_none)).Pod!);
        Replacement again = Assert.Single(Replacements.Plan(s_nodes, [lost, made], s_dead, s_none));
        Assert.True(again.Known);
        Assert.Equal(made.Name, (string?)again.Pod!["metadata"]!["name"]);
        Assert.Empty(Replacements.Plan(s_nodes, [Owned("web-1", "ReplicaSet", status: "Failed"), made], s_dead, s_none));
        // The node of the replacement dies as well: the replacement is replaced.
        Replacement third = Assert.Single(Replacements.Plan([Node("a"), Node("b"), Node("d")], [made], new HashSet<string> { "a", "b" }, s_none));
        Assert.Equal(made.Uid, third.Lost.Uid);
        Assert.NotEqual(made.Name, (string?)third.Pod!["metadata"]!["name"]);
    }

    [Fact]
    public void Where_there_is_no_room_the_schedulers_words_say_so()
    {
        Replacement refused = Assert.Single(Replacements.Plan([Node("a"), Node("c", cpu: "50m")], [Owned("web-1", "ReplicaSet")], s_dead, s_none));
        Assert.Null(refused.Pod);
        Assert.Contains("Insufficient cpu", refused.Message, StringComparison.Ordinal);
        Replacement bound = Assert.Single(Replacements.Plan(s_nodes, [Owned("web-1", "ReplicaSet", spec: """{"nodeSelector":{"kubernetes.io/hostname":"a"}}""")], s_dead, s_none));
        Assert.Null(bound.Pod);
    }

    [Fact]
    public void A_pod_with_an_identity_keeps_its_name_gets_another_UID_and_waits_and_only_when_its_node_is_fenced()
    {
        KubeObject lost = Owned("db-0", "StatefulSet"), ending = Owned("db-1", "StatefulSet", more: """{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}""");
        Assert.Empty(Replacements.Plan(s_nodes, [lost, ending], s_dead, s_none));
        Replacement replacement = Assert.Single(Replacements.Plan(s_nodes, [lost, ending], s_dead, s_dead));
        KubeObject made = KubeObject.FromNode(replacement.Pod!);
        Assert.Equal(("db-0", "b"), (made.Name, (string?)replacement.Pod!["spec"]!["nodeName"]));
        Assert.NotEqual(lost.Uid, made.Uid);
        Assert.Equal("a", made.Metadata.Annotation(WellKnown.FencingAnnotation));
        Assert.Null(made.Metadata.Annotation(WellKnown.ReplacedBeforeAnnotation));
        // The node of the replacement dies as well: the parent is told of both.
        KubeObject third = KubeObject.FromNode(Assert.Single(Replacements.Plan([Node("a"), Node("b"), Node("d")], [made], new HashSet<string> { "a", "b" }, new HashSet<string> { "b" })).Pod!);
        Assert.Equal("a,b", third.Metadata.Annotation(WellKnown.FencingAnnotation));
        Assert.Equal((made.Uid, lost.Uid), (third.Metadata.Annotation(WellKnown.ReplacesAnnotation), third.Metadata.Annotation(WellKnown.ReplacedBeforeAnnotation)));
    }

    [Fact]
    public void What_has_its_data_on_the_dead_node_waits_for_it_and_says_so()
    {
        const string Spec = """{"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data-db-0"}}]}""";
        KubeObject claim = KubeObject.FromNode(JsonNode.Parse("""{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data-db-0","namespace":"default","uid":"c"},"spec":{"volumeName":"v","accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}},"status":{"phase":"Bound"}}""")!.AsObject());
        KubeObject Volume(string node) => KubeObject.FromNode(JsonNode.Parse($$$"""
            {"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"v","uid":"v"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"claimRef":{"namespace":"default","name":"data-db-0","uid":"c"},
             "nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["{{{node}}}"]}]}]} } } }
            """)!.AsObject());
        Replacement waits = Assert.Single(Replacements.Plan(s_nodes, [Owned("db-0", "StatefulSet", spec: Spec)], s_dead, s_dead, [claim, Volume("a")]));
        Assert.Null(waits.Pod);
        Assert.Contains("volume node affinity conflict", waits.Message, StringComparison.Ordinal);
        Assert.NotNull(Assert.Single(Replacements.Plan(s_nodes, [Owned("db-0", "StatefulSet", spec: Spec)], s_dead, s_dead, [claim, Volume("b")])).Pod);
    }

    private static KubeObject Owned(string name, string kind, string node = "a", string status = "Running", string more = "{}", string spec = "{}")
    {
        JsonObject pod = Pod(name, spec, node, app: "x", more: more).ToNode();
        pod["metadata"]!["generateName"] = "owner-";
        pod["metadata"]!["ownerReferences"] = new JsonArray(new JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = kind, ["name"] = "owner", ["uid"] = "o-" + name, ["controller"] = true });
        pod["status"]!["phase"] = status;
        return KubeObject.FromNode(pod);
    }
}
