using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Schema;

namespace Atoll.UnitTests.Kube.Schema;

public sealed class RuleTests
{
    private const string Good = """{"name":"c","image":"i"}""";

    private static List<string> Check(ResourceType type, string document, string? old = null)
    {
        JsonObject json = JsonNode.Parse(document)!.AsObject();
        ObjectSchemas.ApplyDefaults(type, json);
        JsonObject? before = old is null ? null : JsonNode.Parse(old)!.AsObject();
        if (before is not null)
            ObjectSchemas.ApplyDefaults(type, before);
        return [.. ObjectSchemas.Validate(type, json, before, null).Select(c => $"{c.Reason}|{c.Field}|{c.Message}")];
    }

    private static string Pod(string spec) => "{\"metadata\":{\"name\":\"p\"},\"spec\":{" + spec + "}}";

    private static string One(string container) => Pod("\"containers\":[{\"name\":\"c\",\"image\":\"i\"," + container + "}]");

    private static string With(string spec) => Pod("\"containers\":[" + Good + "]," + spec);

    public static TheoryData<string, string> Pods() => new()
    {
        { "{}", "FieldValueRequired|spec.containers|Required value" },
        { Pod("\"containers\":[]"), "FieldValueRequired|spec.containers|Required value" },
        { Pod("\"containers\":[{\"image\":\"i\"}]"), "FieldValueRequired|spec.containers[0].name|Required value" },
        { Pod("\"containers\":[{\"name\":\"c\"}]"), "FieldValueRequired|spec.containers[0].image|Required value" },
        { Pod("\"containers\":[" + Good + "," + Good + "]"), "FieldValueDuplicate|spec.containers[1].name|Duplicate value: \"c\"" },
        { Pod("\"initContainers\":[" + Good + "],\"containers\":[" + Good + "]"), "FieldValueDuplicate|spec.containers[0].name|Duplicate value: \"c\"" },
        { Pod("\"containers\":[{\"name\":\"C_1\",\"image\":\"i\"}]"), "FieldValueInvalid|spec.containers[0].name|Invalid value: \"C_1\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')" },
        { One("\"ports\":[{\"containerPort\":0}]"), "FieldValueInvalid|spec.containers[0].ports[0].containerPort|Invalid value: 0: must be between 1 and 65535, inclusive" },
        { One("\"ports\":[{\"containerPort\":70000}]"), "FieldValueInvalid|spec.containers[0].ports[0].containerPort|Invalid value: 70000: must be between 1 and 65535, inclusive" },
        { One("\"ports\":[{\"name\":\"a\",\"containerPort\":1},{\"name\":\"a\",\"containerPort\":2}]"), "FieldValueDuplicate|spec.containers[0].ports[1].name|Duplicate value: \"a\"" },
        { One("\"ports\":[{\"containerPort\":1,\"protocol\":\"X\"}]"), "FieldValueNotSupported|spec.containers[0].ports[0].protocol|Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"" },
        { One("\"ports\":[{\"name\":\"a_b\",\"containerPort\":1}]"), "FieldValueInvalid|spec.containers[0].ports[0].name|Invalid value: \"a_b\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)" },
        { One("\"env\":[{\"name\":\"\"}]"), "FieldValueRequired|spec.containers[0].env[0].name|Required value" },
        { One("\"env\":[{\"name\":\"a=b\"}]"), "FieldValueInvalid|spec.containers[0].env[0].name|Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='" },
        { One("\"env\":[{\"name\":\"a\",\"value\":\"x\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.name\"}}}]"), "FieldValueInvalid|spec.containers[0].env[0].valueFrom|Invalid value: \"\": may not be specified when `value` is not empty" },
        { One("\"resources\":{\"requests\":{\"memory\":\"2Gi\"},\"limits\":{\"memory\":\"1Gi\"}}"), "FieldValueInvalid|spec.containers[0].resources.requests[memory]|Invalid value: \"2Gi\": must be less than or equal to memory limit of 1Gi" },
        { One("\"resources\":{\"requests\":{\"cpu\":\"-1\"}}"), "FieldValueInvalid|spec.containers[0].resources.requests[cpu]|Invalid value: \"-1\": must be greater than or equal to 0" },
        { One("\"resources\":{\"requests\":{\"gpu\":\"1\"}}"), "FieldValueInvalid|spec.containers[0].resources.requests[gpu]|Invalid value: \"gpu\": must be a standard resource for containers" },
        { One("\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"}]"), "FieldValueNotFound|spec.containers[0].volumeMounts[0].name|Not found: \"v\"" },
        { One("\"livenessProbe\":{}"), "FieldValueRequired|spec.containers[0].livenessProbe|Required value: must specify a handler type" },
        { One("\"livenessProbe\":{\"exec\":{\"command\":[\"a\"]},\"tcpSocket\":{\"port\":1}}"), "FieldValueForbidden|spec.containers[0].livenessProbe.tcpSocket|Forbidden: may not specify more than 1 handler type" },
        { One("\"livenessProbe\":{\"tcpSocket\":{\"port\":1},\"successThreshold\":2}"), "FieldValueInvalid|spec.containers[0].livenessProbe.successThreshold|Invalid value: 2: must be 1" },
        { One("\"livenessProbe\":{\"tcpSocket\":{\"port\":1},\"timeoutSeconds\":-1}"), "FieldValueInvalid|spec.containers[0].livenessProbe.timeoutSeconds|Invalid value: -1: must be greater than or equal to 0" },
        { One("\"imagePullPolicy\":\"Maybe\""), "FieldValueNotSupported|spec.containers[0].imagePullPolicy|Unsupported value: \"Maybe\": supported values: \"Always\", \"IfNotPresent\", \"Never\"" },
        { One("\"securityContext\":{\"runAsUser\":-1}"), "FieldValueInvalid|spec.containers[0].securityContext.runAsUser|Invalid value: -1: must be between 0 and 2147483647, inclusive" },
        { With("\"restartPolicy\":\"Sometimes\""), "FieldValueNotSupported|spec.restartPolicy|Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"" },
        { With("\"terminationGracePeriodSeconds\":-1"), "FieldValueInvalid|spec.terminationGracePeriodSeconds|Invalid value: -1: must be greater than or equal to 0" },
        { With("\"volumes\":[{\"name\":\"v\"},{\"name\":\"v\"}]"), "FieldValueDuplicate|spec.volumes[1].name|Duplicate value: \"v\"" },
        { With("\"volumes\":[{\"name\":\"v\",\"emptyDir\":{},\"hostPath\":{\"path\":\"/x\"}}]"), "FieldValueForbidden|spec.volumes[0].hostPath|Forbidden: may not specify more than 1 volume type" },
        { With("\"volumes\":[{\"name\":\"v\",\"nfs\":{\"server\":\"s\",\"path\":\"/x\"}}]"), "FieldValueForbidden|spec.volumes[0].nfs|Forbidden: Atoll mounts volumes of configMap, downwardAPI, emptyDir, hostPath, persistentVolumeClaim, projected, secret" },
        { With("\"tolerations\":[{\"operator\":\"Equal\"}]"), "FieldValueInvalid|spec.tolerations[0].operator|Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"" },
        { With("\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}]}}}"), "FieldValueRequired|spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values|Required value: must be specified when `operator` is 'In' or 'NotIn'" },
        { With("\"topologySpreadConstraints\":[{\"maxSkew\":0,\"topologyKey\":\"a\",\"whenUnsatisfiable\":\"DoNotSchedule\"}]"), "FieldValueInvalid|spec.topologySpreadConstraints[0].maxSkew|Invalid value: 0: must be greater than zero" },
    };

    [Theory]
    [MemberData(nameof(Pods))]
    public void Pods_are_refused_with_one_cause(string document, string expected) => Assert.Equal([expected], Check(Kinds.Pod, document));

    public static TheoryData<string, string> Placements() => new()
    {
        { Near("\"topologyKey\":\"z\",\"matchLabelKeys\":[\"k\"]"), "FieldValueForbidden|TERM.matchLabelKeys|Forbidden: must not be specified when labelSelector is not set" },
        { Near("\"topologyKey\":\"z\",\"labelSelector\":{\"matchLabels\":{\"k\":\"v\"}},\"matchLabelKeys\":[\"k\"]"), "FieldValueInvalid|TERM.matchLabelKeys[0]|Invalid value: \"k\": exists in both matchLabelKeys and labelSelector, or twice" },
        { Near("\"topologyKey\":\"z\",\"labelSelector\":{},\"matchLabelKeys\":[\"k\"],\"mismatchLabelKeys\":[\"k\"]"), "FieldValueInvalid|TERM.mismatchLabelKeys[0]|Invalid value: \"k\": exists in both matchLabelKeys and mismatchLabelKeys" },
        { Near("\"topologyKey\":\"z\",\"labelSelector\":{},\"namespaces\":[\"A\"]"), "FieldValueInvalid|TERM.namespaces[0]|" },
        { Near("\"topologyKey\":\"z\",\"namespaceSelector\":{\"matchExpressions\":[{\"key\":\"k\",\"operator\":\"In\"}]}"), "FieldValueRequired|TERM.namespaceSelector.matchExpressions[0].values|" },
        { Near("\"topologyKey\":\"z!\""), "FieldValueInvalid|TERM.topologyKey|" },
        { With("\"topologySpreadConstraints\":[{\"maxSkew\":1,\"topologyKey\":\"a\",\"whenUnsatisfiable\":\"DoNotSchedule\",\"matchLabelKeys\":[\"k\"]}]"), "FieldValueForbidden|spec.topologySpreadConstraints[0].matchLabelKeys|" },
        { With("\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"Exists\"}]}]}}}"), "FieldValueInvalid|spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].operator|" },
        { With("\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"a\",\"b\"]}]}]}}}"), "FieldValueRequired|spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].values|" },
        { With("\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"b c\"]}]}]}}}"), "FieldValueInvalid|spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values[0]|" },
        { With("\"tolerations\":[{\"key\":\"a\",\"operator\":\"Gt\",\"value\":\"3\"}]"), "FieldValueNotSupported|spec.tolerations[0].operator|" },
        { With("\"schedulingGates\":[{\"name\":\"a b\"}]"), "FieldValueInvalid|spec.schedulingGates[0].name|" },
        { With("\"schedulingGates\":[{\"name\":\"a\"}],\"nodeName\":\"n\""), "FieldValueForbidden|spec.nodeName|Forbidden: cannot be set until all schedulingGates have been cleared" },
        { With("\"resources\":{\"requests\":{\"cpu\":\"1\"}}"), "FieldValueForbidden|spec.resources|" },
        { With("\"resourceClaims\":[{\"name\":\"g\"}]"), "FieldValueForbidden|spec.resourceClaims|" },
        { One("\"ports\":[{\"containerPort\":1,\"hostPort\":1,\"hostIP\":\"300.1.1.1\"}]"), "FieldValueInvalid|spec.containers[0].ports[0].hostIP|" },
        { One("\"resources\":{\"requests\":{\"example.com/npu\":\"500m\"}}"), "FieldValueInvalid|spec.containers[0].resources.requests[example.com/npu]|Invalid value: \"500m\": must be an integer" },
        { One("\"resources\":{\"requests\":{\"edge.atoll.dev/gpu-milli\":\"1500\"}}"), "FieldValueInvalid|spec.containers[0].resources.requests[edge.atoll.dev/gpu-milli]|" },
        { One("\"resources\":{\"requests\":{\"cpu\":\"1\",\"edge.atoll.dev/compute\":\"500m\"}}"), "FieldValueForbidden|spec.containers[0].resources.requests[edge.atoll.dev/compute]|" },
        { One("\"resources\":{\"limits\":{\"hugepages-2Mi\":\"4Mi\"}}"), "FieldValueForbidden|spec.containers[0].resources|Forbidden: HugePages require cpu or memory" },
        { One("\"resources\":{\"limits\":{\"hugepages-2Mi\":\"3Mi\",\"cpu\":\"1\"}}"), "FieldValueInvalid|spec.containers[0].resources.limits[hugepages-2Mi]|Invalid value: \"3Mi\": is not positive integer multiple of 2Mi" },
        { One("\"resources\":{\"requests\":{\"hugepages-2Mi\":\"4Mi\",\"cpu\":\"1\"}}"), "FieldValueRequired|spec.containers[0].resources.limits|Required value: Limit must be set for non overcommitable resources" },
        { One("\"resources\":{\"requests\":{\"hugepages-2Mi\":\"4Mi\",\"cpu\":\"1\"},\"limits\":{\"hugepages-2Mi\":\"8Mi\"}}"), "FieldValueInvalid|spec.containers[0].resources.requests[hugepages-2Mi]|Invalid value: \"4Mi\": must be equal to hugepages-2Mi limit of 8Mi" },
        { One("\"resources\":{\"requests\":{\"example.com/npu\":\"1\"}}"), "FieldValueRequired|spec.containers[0].resources.limits|Required value: Limit must be set for non overcommitable resources" },
        { One("\"resources\":{\"requests\":{\"example.com/npu\":\"1\"},\"limits\":{\"example.com/npu\":\"2\"}}"), "FieldValueInvalid|spec.containers[0].resources.requests[example.com/npu]|Invalid value: \"1\": must be equal to example.com/npu limit of 2" },
    };

    private static string Near(string term) => With("\"affinity\":{\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{" + term + "}]}}");

    [Theory]
    [MemberData(nameof(Placements))]
    public void Words_of_placement_that_mean_nothing_are_refused(string document, string expected) =>
        Assert.StartsWith(expected.Replace("TERM", "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]", StringComparison.Ordinal), Assert.Single(Check(Kinds.Pod, document)), StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"requests":{"edge.atoll.dev/compute":"1500m"}}""")] // Cores by another name.
    [InlineData("""{"requests":{"edge.atoll.dev/gpu-milli":"300","site.edge.atoll.dev/uplink":"1M"}}""")] // Atoll's own.
    [InlineData("""{"requests":{"kubernetes.io/shared":"1"}}""")] // Kubernetes' own are no extended resources.
    [InlineData("""{"limits":{"edge.atoll.dev/gpu-milli":"300","edge.atoll.dev/gpu-memory":"8Gi","site.edge.atoll.dev/uplink":"1000000"}}""")] // A limit is the request too.
    public void What_may_be_asked_for_without_a_limit_or_by_its_limit_alone(string resources) => Assert.Empty(Check(Kinds.Pod, One("\"resources\":" + resources)));

    [Fact] // kubernetes.io: Pod Scheduling Readiness, "Mutable Pod scheduling directives"
    public void Gates_only_go_and_until_then_nodes_can_be_narrowed()
    {
        const string Term = "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\"}MORE]}";
        static string Gated(string gates, string selector, string terms) => With($"\"schedulingGates\":[{gates}],\"nodeSelector\":{{{selector}}},\"affinity\":{{\"nodeAffinity\":{{\"requiredDuringSchedulingIgnoredDuringExecution\":{{\"nodeSelectorTerms\":[{terms}]}}}}}}");
        string plain = Term.Replace("MORE", "", StringComparison.Ordinal), more = Term.Replace("MORE", ",{\"key\":\"b\",\"operator\":\"Exists\"}", StringComparison.Ordinal);
        string old = Gated("{\"name\":\"x\"},{\"name\":\"y\"}", "\"a\":\"1\"", plain), open = Gated("", "\"a\":\"1\"", plain);
        Assert.Empty(Check(Kinds.Pod, Gated("{\"name\":\"y\"}", "\"a\":\"1\",\"b\":\"2\"", more), old));
        Assert.Empty(Check(Kinds.Pod, open, old));
        Assert.Equal(["FieldValueForbidden|spec.schedulingGates|Forbidden: only deletion is allowed, but found new scheduling gate 'z'"], Check(Kinds.Pod, Gated("{\"name\":\"z\"}", "\"a\":\"1\"", plain), old));
        Assert.StartsWith("FieldValueInvalid|spec.nodeSelector|", Assert.Single(Check(Kinds.Pod, Gated("{\"name\":\"x\"}", "\"a\":\"2\"", plain), old)), StringComparison.Ordinal);
        Assert.StartsWith("FieldValueInvalid|spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms|", Assert.Single(Check(Kinds.Pod, old, old.Replace(plain, more, StringComparison.Ordinal))), StringComparison.Ordinal);
        Assert.StartsWith("FieldValueForbidden|spec|", Assert.Single(Check(Kinds.Pod, Gated("", "\"a\":\"1\",\"b\":\"2\"", plain), open)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"weights":{"Foo":1}}""", "FieldValueNotSupported|spec.weights[Foo]|")]
    [InlineData("""{"weights":{"NodeAffinity":101}}""", "FieldValueInvalid|spec.weights[NodeAffinity]|Invalid value: 101: not in valid range 0-100")]
    [InlineData("""{"hardPodAffinityWeight":-1}""", "FieldValueInvalid|spec.hardPodAffinityWeight|")]
    [InlineData("""{"scoringStrategy":{"resources":[{"name":"cpu","weight":0}]}}""", "FieldValueInvalid|spec.scoringStrategy.resources[0].weight|")]
    [InlineData("""{"scoringStrategy":{"resources":[{"name":"cpu"},{"name":"cpu"}]}}""", "FieldValueDuplicate|spec.scoringStrategy.resources[1].name|")]
    [InlineData("""{"scoringStrategy":{"type":"RequestedToCapacityRatio"}}""", "FieldValueRequired|spec.scoringStrategy.requestedToCapacityRatio.shape|")]
    [InlineData("""{"scoringStrategy":{"type":"RequestedToCapacityRatio","requestedToCapacityRatio":{"shape":[{"utilization":0,"score":11}]}}}""", "FieldValueInvalid|spec.scoringStrategy.requestedToCapacityRatio.shape[0].score|")]
    [InlineData("""{"scoringStrategy":{"type":"RequestedToCapacityRatio","requestedToCapacityRatio":{"shape":[{"utilization":50,"score":1},{"utilization":50,"score":2}]}}}""", "FieldValueInvalid|spec.scoringStrategy.requestedToCapacityRatio.shape[1].utilization|")]
    [InlineData("""{"defaultConstraints":[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"ScheduleAnyway"}]}""", "FieldValueInvalid|spec.defaultingType|")]
    [InlineData("""{"defaultingType":"List","defaultConstraints":[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{}}]}""", "FieldValueForbidden|spec.defaultConstraints[0].labelSelector|")]
    [InlineData("""{"defaultingType":"List","defaultConstraints":[{"maxSkew":0,"topologyKey":"z","whenUnsatisfiable":"ScheduleAnyway"}]}""", "FieldValueInvalid|spec.defaultConstraints[0].maxSkew|")]
    public void Profiles_are_refused_with_the_field(string spec, string expected) =>
        Assert.StartsWith(expected, Assert.Single(Check(Kinds.SchedulerProfile, "{\"metadata\":{\"name\":\"p\"},\"spec\":" + spec + "}")), StringComparison.Ordinal);

    [Fact]
    public void A_rich_pod_is_valid() => Assert.Empty(Check(Kinds.Pod, Pod(
        """
        "initContainers":[{"name":"i","image":"x","restartPolicy":"Always","startupProbe":{"exec":{"command":["true"]}}}],
        "containers":[{"name":"c","image":"x@sha256:00","ports":[{"name":"http","containerPort":80,"hostPort":8080}],"env":[{"name":"A.b","value":"1"},{"name":"N","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],
          "resources":{"requests":{"cpu":0.5,"memory":"64Mi","example.com/gpu":"1"},"limits":{"cpu":1,"memory":"64Mi","example.com/gpu":"1"}},"volumeMounts":[{"name":"v","mountPath":"/v","subPath":"a/b"}],
          "livenessProbe":{"httpGet":{"port":"http"}},"readinessProbe":{"tcpSocket":{"port":80},"successThreshold":2},"lifecycle":{"preStop":{"sleep":{"seconds":1}}}}],
        "volumes":[{"name":"v","configMap":{"name":"m","items":[{"key":"k","path":"p"}]}}],"tolerations":[{"operator":"Exists"}],
        "topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"topology.kubernetes.io/zone","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{"matchLabels":{"a":"b"}}}]
        """)));

    [Fact]
    public void A_pod_keeps_its_spec_but_for_a_few_fields()
    {
        const string rule = "FieldValueForbidden|spec|Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        string old = With("\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\"}]");
        Assert.Empty(Check(Kinds.Pod, old, old));
        Assert.Empty(Check(Kinds.Pod, old.Replace("\"image\":\"i\"", "\"image\":\"j:latest\"", StringComparison.Ordinal), old));
        Assert.Empty(Check(Kinds.Pod, With("\"activeDeadlineSeconds\":9,\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\"},{\"operator\":\"Exists\"}]"), old));
        Assert.Equal([rule], Check(Kinds.Pod, old.Replace("\"image\":\"i\"", "\"image\":\"i\",\"command\":[\"x\"]", StringComparison.Ordinal), old));
        Assert.Equal([rule], Check(Kinds.Pod, With("\"nodeName\":\"n\",\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\"}]"), old));
        Assert.Equal(["FieldValueForbidden|spec.tolerations|Forbidden: existing toleration can not be modified except its tolerationSeconds"], Check(Kinds.Pod, With("\"tolerations\":[]"), old));
    }

    private static string Workload(string spec, string labels = "{\"a\":\"b\"}", string pod = "") =>
        "{\"metadata\":{\"name\":\"w\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":" + labels + "},\"spec\":{\"containers\":[" + Good + "]" + pod + "}}" + spec + "}}";

    [Fact]
    public void Workloads()
    {
        Assert.Empty(Check(Kinds.Deployment, Workload("")));
        Assert.Equal(["FieldValueInvalid|spec.template.metadata.labels|Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`"], Check(Kinds.Deployment, Workload("", "{\"a\":\"c\"}")));
        Assert.Equal(["FieldValueInvalid|spec.replicas|Invalid value: -1: must be greater than or equal to 0"], Check(Kinds.ReplicaSet, Workload(",\"replicas\":-1")));
        Assert.Equal(["FieldValueInvalid|spec.strategy.rollingUpdate.maxUnavailable|Invalid value: 0: may not be 0 when `maxSurge` is 0"], Check(Kinds.Deployment, Workload(",\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"0%\",\"maxUnavailable\":0}}")));
        Assert.Equal(["FieldValueForbidden|spec.strategy.rollingUpdate|Forbidden: may not be specified when strategy `type` is 'Recreate'"], Check(Kinds.Deployment, Workload(",\"strategy\":{\"type\":\"Recreate\",\"rollingUpdate\":{}}")));
        Assert.Equal(["FieldValueNotSupported|spec.template.spec.restartPolicy|Unsupported value: \"Never\": supported values: \"Always\""], Check(Kinds.DaemonSet, Workload("", pod: ",\"restartPolicy\":\"Never\"")));
        Assert.Equal(["FieldValueInvalid|spec.selector|Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: field is immutable"], Check(Kinds.Deployment, Workload(""), Workload("").Replace("\"a\":\"b\"", "\"a\":\"z\"", StringComparison.Ordinal)));
        Assert.Equal(["FieldValueRequired|spec.selector|Required value", "FieldValueRequired|spec.template|Required value"], Check(Kinds.Deployment, "{}"));
    }

    [Fact]
    public void StatefulSets()
    {
        Assert.Empty(Check(Kinds.StatefulSet, Workload(",\"serviceName\":\"s\",\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"partition\":2,\"maxUnavailable\":\"25%\"}}")));
        Assert.Equal(["FieldValueInvalid|spec.updateStrategy.rollingUpdate|Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'"],
            Check(Kinds.StatefulSet, Workload(",\"updateStrategy\":{\"type\":\"OnDelete\",\"rollingUpdate\":{\"partition\":1}}")));
        Assert.Equal(["FieldValueInvalid|spec.updateStrategy.rollingUpdate.maxUnavailable|Invalid value: 0: cannot be 0"], Check(Kinds.StatefulSet, Workload(",\"updateStrategy\":{\"rollingUpdate\":{\"maxUnavailable\":0}}")));
        Assert.Equal(["FieldValueInvalid|spec.ordinals.start|Invalid value: -1: must be greater than or equal to 0"], Check(Kinds.StatefulSet, Workload(",\"ordinals\":{\"start\":-1}")));
        Assert.Equal(["FieldValueNotSupported|spec.podManagementPolicy|Unsupported value: \"Any\": supported values: \"OrderedReady\", \"Parallel\""], Check(Kinds.StatefulSet, Workload(",\"podManagementPolicy\":\"Any\"")));
        Assert.StartsWith("FieldValueForbidden|spec|Forbidden: updates to statefulset spec for fields other than", Assert.Single(Check(Kinds.StatefulSet, Workload(",\"serviceName\":\"a\""), Workload(",\"serviceName\":\"b\""))), StringComparison.Ordinal);
        Assert.Empty(Check(Kinds.StatefulSet, Workload(",\"replicas\":1"), Workload(",\"replicas\":2")));
        Assert.StartsWith("FieldValueInvalid|metadata.name|", Assert.Single(Check(Kinds.StatefulSet, Workload("").Replace("\"w\"", $"\"{new string('a', 53)}\"", StringComparison.Ordinal))), StringComparison.Ordinal);
    }

    [Fact]
    public void Failover_annotations()
    {
        string With(string annotations, string kind = "") => Workload("").Replace("\"name\":\"w\"", "\"name\":\"w\",\"annotations\":{" + annotations + "}" + kind, StringComparison.Ordinal);
        Assert.Empty(Check(Kinds.Deployment, With("\"edge.atoll.dev/failover\":\"region\",\"edge.atoll.dev/failover-after\":\"1h30m\"")));
        Assert.Empty(Check(Kinds.StatefulSet, With("\"edge.atoll.dev/failover\":\"none\"")));
        Assert.Equal(["FieldValueNotSupported|metadata.annotations[edge.atoll.dev/failover]|Unsupported value: \"yes\": supported values: \"none\", \"region\", \"any\""], Check(Kinds.Deployment, With("\"edge.atoll.dev/failover\":\"yes\"")));
        Assert.StartsWith("FieldValueForbidden|metadata.annotations[edge.atoll.dev/failover]|Forbidden: an identity", Assert.Single(Check(Kinds.StatefulSet, With("\"edge.atoll.dev/failover\":\"any\""))), StringComparison.Ordinal);
        foreach (string wrong in (string[])["10", "m", "29s", "169h", "1m1h", "-5m", "1.5h", "99999999h"])
            Assert.StartsWith("FieldValueInvalid|metadata.annotations[edge.atoll.dev/failover-after]|", Assert.Single(Check(Kinds.Deployment, With($"\"edge.atoll.dev/failover-after\":\"{wrong}\""))), StringComparison.Ordinal);
    }

    private static string Job(string more, string policy = "Never") =>
        "{\"metadata\":{\"name\":\"j\",\"uid\":\"u\"},\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":\"" + policy + "\",\"containers\":[" + Good + "]}}" + more + "}}";

    [Fact]
    public void Jobs()
    {
        Assert.Empty(Check(Kinds.Job, Job("")));
        Assert.Equal(["FieldValueForbidden|spec.backoffLimitPerIndex|Forbidden: is not carried out by Atoll: remove it"], Check(Kinds.Job, Job(",\"backoffLimitPerIndex\":1")));
        Assert.Empty(Check(Kinds.Job, Job(",\"podFailurePolicy\":{\"rules\":[{\"action\":\"FailJob\",\"onExitCodes\":{\"operator\":\"In\",\"values\":[1]}}]}")));
        Assert.Equal(
            ["FieldValueForbidden|spec.podFailurePolicy.rules[0].action|Forbidden: FailIndex is not carried out by Atoll: use FailJob, Ignore or Count", "FieldValueInvalid|spec.podFailurePolicy.rules[0]|Invalid value: {\"action\":\"FailIndex\"}: specify one of OnExitCodes and OnPodConditions"],
            Check(Kinds.Job, Job(",\"podFailurePolicy\":{\"rules\":[{\"action\":\"FailIndex\"}]}")));
        Assert.Equal(["FieldValueNotSupported|spec.template.spec.restartPolicy|Unsupported value: \"Always\": supported values: \"OnFailure\", \"Never\""], Check(Kinds.Job, Job("", "Always")));
        Assert.Equal(["FieldValueInvalid|spec.completions|Invalid value: 3: field is immutable"], Check(Kinds.Job, Job(",\"completions\":3"), Job("")));
        Assert.StartsWith("FieldValueInvalid|spec.template|", Assert.Single(Check(Kinds.Job, Job("").Replace("\"i\"", "\"z\"", StringComparison.Ordinal), Job(""))), StringComparison.Ordinal);
        Assert.Equal("FieldValueInvalid|spec.selector|Invalid value: {\"matchLabels\":{\"batch.kubernetes.io/controller-uid\":\"x\"}}: `selector` not auto-generated", Assert.Single(Check(Kinds.Job, Job(",\"selector\":{\"matchLabels\":{\"batch.kubernetes.io/controller-uid\":\"x\"}}"))));
    }

    [Fact]
    public void Configuration()
    {
        Assert.StartsWith("FieldValueInvalid|data[a b]|Invalid value: \"a b\": a valid config key must consist of", Assert.Single(Check(Kinds.ConfigMap, """{"data":{"a b":""}}""")), StringComparison.Ordinal);
        Assert.Equal(["FieldValueForbidden|data|Forbidden: field is immutable when `immutable` is set"], Check(Kinds.ConfigMap, """{"immutable":true,"data":{"a":"2"}}""", """{"immutable":true,"data":{"a":"1"}}"""));
        Assert.Equal(["FieldValueTooLong|data|Too long: may not be more than 1048576 bytes"], Check(Kinds.ConfigMap, "{\"data\":{\"a\":\"" + new string('x', 1024 * 1024 + 1) + "\"}}"));
        Assert.Equal(["FieldValueTypeInvalid|data[a]|Invalid value: <secret contents redacted>: must be base64"], Check(Kinds.Secret, """{"data":{"a":"%%"}}"""));
        Assert.Equal(["FieldValueRequired|data[tls.crt]|Required value", "FieldValueRequired|data[tls.key]|Required value"], Check(Kinds.Secret, """{"type":"kubernetes.io/tls","data":{}}"""));
        Assert.Equal(["FieldValueInvalid|type|Invalid value: \"b\": field is immutable"], Check(Kinds.Secret, """{"type":"b"}""", """{"type":"a"}"""));
    }

    [Fact]
    public void Other_kinds()
    {
        Assert.Equal(["FieldValueNotSupported|spec.kind|Unsupported value: \"far\": supported values: \"cloud\", \"field\", \"near\"", "FieldValueInvalid|spec.latitude|Invalid value: 91: must be between -90 and 90 degrees"], Check(Kinds.Site, """{"spec":{"kind":"far","latitude":91}}"""));
        Assert.Empty(Check(Kinds.Site, """{"spec":{"kind":"near","latitude":-90,"longitude":180,"region":"eu-1"}}"""));
        Assert.Equal(["FieldValueForbidden|value|Forbidden: maximum allowed value of a user defined priority is 1000000000"], Check(Kinds.PriorityClass, """{"metadata":{"name":"a"},"value":1000000001}"""));
        Assert.Equal(["FieldValueForbidden|value|Forbidden: may not be changed in an update."], Check(Kinds.PriorityClass, """{"value":2}""", """{"value":1}"""));
        Assert.Equal(["FieldValueInvalid|overhead.podFixed[cpu]|Invalid value: \"-1\": must be greater than or equal to 0"], Check(Kinds.RuntimeClass, """{"handler":"a","overhead":{"podFixed":{"cpu":"-1"}}}"""));
        Assert.Equal(["FieldValueRequired|spec.selector.matchExpressions[0].values|Required value: must be specified when `operator` is 'In' or 'NotIn'"], Check(Kinds.PodDisruptionBudget, """{"spec":{"minAvailable":1,"selector":{"matchExpressions":[{"key":"a","operator":"In"}]}}}"""));
        Assert.Equal(["FieldValueInvalid|handler|Invalid value: \"b\": field is immutable"], Check(Kinds.RuntimeClass, """{"handler":"b"}""", """{"handler":"a"}"""));
        Assert.Equal(["FieldValueInvalid|spec.leaseDurationSeconds|Invalid value: 0: must be greater than 0"], Check(Kinds.Lease, """{"spec":{"leaseDurationSeconds":0}}"""));
        Assert.Equal(["FieldValueNotSupported|spec.taints[0].effect|Unsupported value: \"No\": supported values: \"NoExecute\", \"NoSchedule\", \"PreferNoSchedule\""], Check(Kinds.Node, """{"spec":{"taints":[{"key":"a","effect":"No"}]}}"""));
        Assert.Equal(["FieldValueRequired|spec.ports|Required value"], Check(Kinds.Service, """{"metadata":{"name":"s"},"spec":{}}"""));
        Assert.Equal(["FieldValueRequired|spec.ports[0].name|Required value"], Check(Kinds.Service, """{"metadata":{"name":"s"},"spec":{"ports":[{"port":1},{"port":2,"name":"a"}]}}"""));
    }

    [Fact]
    public void Kinds_of_the_scheduling_centre()
    {
        Assert.Equal(["FieldValueRequired|spec.minMember|Required value: how many members start together"], Check(Kinds.PodGroup, """{"spec":{}}"""));
        Assert.Equal(["FieldValueInvalid|spec.minMember|Invalid value: 0: must be between 1 and 5000", "FieldValueInvalid|spec.scheduleTimeoutSeconds|Invalid value: 0: must be greater than 0"], Check(Kinds.PodGroup, """{"spec":{"minMember":0,"scheduleTimeoutSeconds":0}}"""));
        Assert.Empty(Check(Kinds.PodGroup, """{"spec":{"minMember":3,"minResources":{"cpu":"3"},"scheduleTimeoutSeconds":10}}"""));
        Assert.Equal(["FieldValueInvalid|spec.min[cpu]|Invalid value: \"5\": must be less than or equal to max of 4"], Check(Kinds.ElasticQuota, """{"spec":{"min":{"cpu":"5","memory":"1Gi"},"max":{"cpu":"4"}}}"""));
        Assert.Equal(["FieldValueInvalid|spec.parent|Invalid value: \"a/b/c\": must be NAME or NAMESPACE/NAME of an ElasticQuota"], Check(Kinds.ElasticQuota, """{"spec":{"min":{"cpu":1},"parent":"a/b/c"}}"""));
        Assert.Equal(["FieldValueRequired|spec.owners|Required value"], Check(Kinds.Reservation, """{"spec":{"resources":{"cpu":"1"}}}"""));
        Assert.Equal(["FieldValueRequired|spec.owners|Required value: name who may use the room: a namespace, a selector or both"], Check(Kinds.Reservation, """{"spec":{"resources":{"cpu":"1"},"owners":[]}}"""));
        Assert.Equal(["FieldValueRequired|spec.owners[0]|Required value: a namespace, a selector or both"], Check(Kinds.Reservation, """{"spec":{"resources":{"cpu":"1"},"owners":[{}]}}"""));
        Assert.Equal(["FieldValueInvalid|spec.resources[cpu]|Invalid value: \"0\": must be greater than 0"], Check(Kinds.Reservation, """{"spec":{"resources":{"cpu":"0"},"owners":[{"namespace":"a"}]}}"""));
        Assert.StartsWith("FieldValueInvalid|spec.owners[0].namespace|", Assert.Single(Check(Kinds.Reservation, """{"spec":{"resources":{"cpu":"1"},"owners":[{"namespace":"A"}]}}""")), StringComparison.Ordinal);
        Assert.Empty(Check(Kinds.Reservation, """{"spec":{"resources":{"cpu":"1"},"owners":[{"namespace":"a","selector":{"matchLabels":{"app":"x"}}}],"ttlSeconds":60}}"""));
    }

    [Fact]
    public void A_status_is_checked_for_its_types_alone()
    {
        JsonObject pod = JsonNode.Parse("""{"metadata":{"name":"p"},"spec":{},"status":{"phase":3,"containerStatuses":[{"name":"c"}]}}""")!.AsObject();
        StatusCause cause = Assert.Single(ObjectSchemas.Validate(Kinds.Pod, pod, pod, "status"));
        Assert.Equal(("status.phase", "Invalid value: 3: must be a string"), (cause.Field, cause.Message));
    }

    [Theory]
    [InlineData("DefragmentationPlan", """{"spec":{"limits":{"maxMoves":1001}}}""", "FieldValueInvalid|spec.limits.maxMoves|Invalid value: 1001: must be between 1 and 1000")]
    [InlineData("DefragmentationPlan", """{"spec":{"region":"r","site":"s"}}""", "FieldValueInvalid|spec.region|Invalid value: \"r\": a plan is for a region or for a site, not for both")]
    [InlineData("DefragmentationPlan", """{"spec":{"windows":[{"start":"2:00","end":"24:00"}]}}""", "FieldValueInvalid|spec.windows[0].start|Invalid value: \"2:00\": must be a time of day in UTC, such as 02:30")]
    public void Plans_to_defragment(string kind, string document, string error) => Assert.Contains(error, Check(Kinds.All.First(k => k.Kind == kind), document));

    [Fact]
    public void A_sound_plan_passes()
    {
        Assert.Empty(Check(Kinds.DefragmentationPlan, """{"spec":{"flavours":[{"name":"a","weight":2}],"limits":{"maxMoves":50,"siteBandwidth":"10M"},"windows":[{"days":["Mon"],"start":"22:00","end":"04:00"}],"doNotMove":{"matchLabels":{"a":"b"}}}}"""));
    }
}
