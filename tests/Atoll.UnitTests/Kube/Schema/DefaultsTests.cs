using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Schema;

namespace Atoll.UnitTests.Kube.Schema;

public sealed class DefaultsTests
{
    private static JsonObject Apply(ResourceType type, string document)
    {
        JsonObject json = JsonNode.Parse(document)!.AsObject();
        ObjectSchemas.ApplyDefaults(type, json);
        JsonNode once = json.DeepClone();
        ObjectSchemas.ApplyDefaults(type, json);
        Assert.True(JsonNode.DeepEquals(once, json), "Defaults are idempotent.");
        return json;
    }

    private static void Same(string expected, JsonNode? actual) => Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), JsonNode.Parse(actual!.ToJsonString())), actual.ToJsonString());

    [Fact]
    public void A_pod_gets_what_Kubernetes_gives() => Same(
        """
        {"containers":[{"name":"a","image":"nginx","imagePullPolicy":"Always","terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","resources":{}}],
         "enableServiceLinks":true,"restartPolicy":"Always","dnsPolicy":"ClusterFirst","terminationGracePeriodSeconds":30,"schedulerName":"default-scheduler","securityContext":{}}
        """,
        Apply(Kinds.Pod, """{"spec":{"containers":[{"name":"a","image":"nginx"}]}}""")["spec"]);

    [Theory]
    [InlineData("nginx", "Always")]
    [InlineData("nginx:latest", "Always")]
    [InlineData("localhost:5000/nginx", "Always")]
    [InlineData("localhost:5000/nginx:1", "IfNotPresent")]
    [InlineData("nginx:1.2", "IfNotPresent")]
    [InlineData("nginx@sha256:0000", "IfNotPresent")]
    public void The_pull_policy_follows_the_tag(string image, string policy) =>
        Assert.Equal(policy, (string?)Apply(Kinds.Pod, $$$"""{"spec":{"containers":[{"name":"a","image":"{{{image}}}"}]}}""")["spec"]!["containers"]![0]!["imagePullPolicy"]);

    [Fact]
    public void Probes_ports_volumes_and_requests()
    {
        JsonNode spec = Apply(Kinds.Pod, """
            {"spec":{"hostNetwork":true,"serviceAccountName":"s","containers":[{"name":"a","image":"b:1","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m"}},
              "env":[{"name":"N","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],
              "livenessProbe":{"httpGet":{"port":80},"periodSeconds":0},"readinessProbe":{"grpc":{"port":1}},"lifecycle":{"preStop":{"httpGet":{"port":80}}}}],
              "volumes":[{"name":"e"},{"name":"c","configMap":{"name":"x"}},{"name":"s","secret":{"secretName":"x","defaultMode":256}},{"name":"h","hostPath":{"path":"/x"}},{"name":"p","projected":{"sources":[{"serviceAccountToken":{"path":"t"}}]}}]}}
            """)["spec"]!;
        JsonNode container = spec["containers"]![0]!;
        Same("""[{"containerPort":80,"protocol":"TCP","hostPort":80}]""", container["ports"]);
        Same("""{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m","memory":"1Gi"}}""", container["resources"]);
        Same("""{"httpGet":{"port":80,"path":"/","scheme":"HTTP"},"periodSeconds":10,"timeoutSeconds":1,"successThreshold":1,"failureThreshold":3}""", container["livenessProbe"]);
        Assert.Equal("", (string?)container["readinessProbe"]!["grpc"]!["service"]);
        Assert.Equal("HTTP", (string?)container["lifecycle"]!["preStop"]!["httpGet"]!["scheme"]);
        Assert.Equal("v1", (string?)container["env"]![0]!["valueFrom"]!["fieldRef"]!["apiVersion"]);
        Same("""[{"name":"e","emptyDir":{}},{"name":"c","configMap":{"name":"x","defaultMode":420}},{"name":"s","secret":{"secretName":"x","defaultMode":256}},{"name":"h","hostPath":{"path":"/x","type":""}},{"name":"p","projected":{"defaultMode":420,"sources":[{"serviceAccountToken":{"path":"t","expirationSeconds":3600}}]}}]""", spec["volumes"]);
        Assert.Equal("s", (string?)spec["serviceAccount"]);
    }

    [Theory]
    [InlineData("{}", "BestEffort")]
    [InlineData("""{"requests":{"cpu":"1"}}""", "Burstable")]
    [InlineData("""{"limits":{"cpu":"1","memory":"1Gi"}}""", "Guaranteed")]
    [InlineData("""{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1","memory":"1Mi"}}""", "Burstable")]
    [InlineData("""{"limits":{"cpu":"1"}}""", "Burstable")]
    public void Quality_of_service(string resources, string expected) =>
        Assert.Equal(expected, (string?)Apply(Kinds.Pod, $$$"""{"spec":{"containers":[{"name":"a","image":"b","resources":{{{resources}}}}]}}""")["status"]!["qosClass"]);

    [Fact]
    public void Templates_keep_their_limits_alone()
    {
        JsonNode spec = Apply(Kinds.Deployment, """{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"b","resources":{"limits":{"cpu":"1"}}}]}}}}""")["spec"]!;
        Same("""{"limits":{"cpu":"1"}}""", spec["template"]!["spec"]!["containers"]![0]!["resources"]);
        Assert.Null(spec["template"]!["spec"]!["enableServiceLinks"]);
        Assert.Equal("Always", (string?)spec["template"]!["spec"]!["restartPolicy"]);
        Same("""{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}""", spec["strategy"]);
        Assert.Equal([1, 10, 600], new[] { (int)spec["replicas"]!, (int)spec["revisionHistoryLimit"]!, (int)spec["progressDeadlineSeconds"]! });
    }

    [Fact]
    public void Recreate_has_no_rolling_update() => Same("""{"type":"Recreate"}""", Apply(Kinds.Deployment, """{"spec":{"strategy":{"type":"Recreate"}}}""")["spec"]!["strategy"]);

    [Fact]
    public void A_job_selects_its_own_pods()
    {
        JsonObject job = Apply(Kinds.Job, """{"metadata":{"name":"j","uid":"u-1"},"spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":"Never","containers":[]}}}}""");
        Same("""{"matchLabels":{"batch.kubernetes.io/controller-uid":"u-1"}}""", job["spec"]!["selector"]);
        Same("""{"a":"b","batch.kubernetes.io/controller-uid":"u-1","batch.kubernetes.io/job-name":"j","controller-uid":"u-1","job-name":"j"}""", job["spec"]!["template"]!["metadata"]!["labels"]);
        JsonNode spec = job["spec"]!;
        Assert.Equal([1, 1, 6], new[] { (int)spec["completions"]!, (int)spec["parallelism"]!, (int)spec["backoffLimit"]! });
        Assert.Equal("NonIndexed", (string?)spec["completionMode"]);
        Assert.False((bool)spec["suspend"]!);
    }

    [Fact]
    public void A_manual_selector_stays() =>
        Same("""{"matchLabels":{"a":"b"}}""", Apply(Kinds.Job, """{"metadata":{"name":"j","uid":"u"},"spec":{"manualSelector":true,"selector":{"matchLabels":{"a":"b"}},"template":{}}}""")["spec"]!["selector"]);

    [Fact]
    public void A_work_queue_has_no_completions() => Assert.Null(Apply(Kinds.Job, """{"spec":{"parallelism":3,"template":{}}}""")["spec"]!["completions"]);

    [Fact]
    public void Services_namespaces_secrets_and_classes()
    {
        Same("""{"ports":[{"port":80,"protocol":"TCP","targetPort":80}],"type":"ClusterIP","sessionAffinity":"None","internalTrafficPolicy":"Cluster"}""", Apply(Kinds.Service, """{"spec":{"ports":[{"port":80}]}}""")["spec"]);
        JsonObject ns = Apply(Kinds.Namespace, """{"metadata":{"name":"n"}}""");
        Assert.Equal("n", (string?)ns["metadata"]!["labels"]!["kubernetes.io/metadata.name"]);
        Same("""["kubernetes"]""", ns["spec"]!["finalizers"]);
        Assert.Null(Apply(Kinds.Namespace, """{"metadata":{"name":"n","deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{}}""")["spec"]!["finalizers"]);
        JsonObject secret = Apply(Kinds.Secret, """{"data":{"a":"eA=="},"stringData":{"a":"y","b":"z"}}""");
        Same("""{"data":{"a":"eQ==","b":"eg=="},"type":"Opaque"}""", secret);
        Assert.Equal("PreemptLowerPriority", (string?)Apply(Kinds.PriorityClass, """{"value":1}""")["preemptionPolicy"]);
        Same("""{"replicas":1,"podManagementPolicy":"OrderedReady","revisionHistoryLimit":10,"persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Retain","whenScaled":"Retain"},"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":0}}}""", Apply(Kinds.StatefulSet, "{}")["spec"]);
        Same("""{"type":"RollingUpdate","rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}""", Apply(Kinds.DaemonSet, "{}")["spec"]!["updateStrategy"]);
        Assert.Equal(1, (int)Apply(Kinds.ReplicaSet, "{}")["spec"]!["replicas"]!);
    }
}
