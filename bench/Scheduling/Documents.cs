using System.Globalization;
using System.Text;
using Atoll.Api.Objects;

namespace Atoll.Bench.Scheduling;

/// <summary>Nodes and pods as kubernetes/perf-tests' scheduler_perf has them, with the fields that an API server fills in.</summary>
internal static class Documents
{
    private const string Defaults = ""","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","schedulerName":"default-scheduler","restartPolicy":"Always","serviceAccountName":"default","enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority","securityContext":{},"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}]""";

    public const string Affinity = ""","affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"color":"blue"}},"topologyKey":"topology.kubernetes.io/zone","namespaces":["sched-1","sched-0"]}]}}""";

    public const string AntiAffinity = ""","affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"color":"green"}},"topologyKey":"kubernetes.io/hostname","namespaces":["sched-1","sched-0"]}]}}""";

    public const string Spread = ""","topologySpreadConstraints":[{"maxSkew":5,"topologyKey":"topology.kubernetes.io/zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"color":"blue"}}}]""";

    public const string PreferredAffinity = ""","affinity":{"podAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"podAffinityTerm":{"labelSelector":{"matchLabels":{"color":"red"}},"topologyKey":"kubernetes.io/hostname","namespaces":["sched-1","sched-0"]}}]}}""";

    /// <summary>What makes a pod of 1 KB one of 2 KB.</summary>
    public static readonly string Large = ",\"volumes\":[" + string.Join(',', Enumerable.Range(0, 8).Select(i => $"{{\"name\":\"volume-of-some-length-{i}\",\"configMap\":{{\"name\":\"configuration-of-some-length-{i}\",\"defaultMode\":420}}}}")) + "]";

    public const string NodeAffinity = ""","affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"topology.kubernetes.io/zone","operator":"In","values":["zone1","zone2"]}]}]}}}""";

    public static KubeObject Node(int i, int zones) => Parse(string.Create(CultureInfo.InvariantCulture,
        $$$"""{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-{{{i}}}","uid":"node-{{{i}}}","labels":{"kubernetes.io/hostname":"node-{{{i}}}","topology.kubernetes.io/zone":"zone{{{i % zones}}}","topology.kubernetes.io/region":"region{{{i % zones % 20}}}","kubernetes.io/arch":"amd64"}},"spec":{},"status":{"allocatable":{"cpu":"4","memory":"32Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True"}]}}"""));

    public static KubeObject Pod(string name, string ns, string color, string more, string? node = null, bool owned = false, int priority = 0, string cpu = "100m") => Parse(
        $$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{name}}}","namespace":"{{{ns}}}","uid":"{{{ns}}}-{{{name}}}","creationTimestamp":"2026-01-02T03:04:05Z","labels":{"color":"{{{color}}}"}{{{(owned ? Owner : "")}}}},"spec":{"containers":[{"name":"pause","image":"registry.k8s.io/pause:3.10","imagePullPolicy":"IfNotPresent","ports":[{"containerPort":80,"protocol":"TCP"}],"resources":{"requests":{"cpu":"{{{cpu}}}","memory":"500Mi"}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"priority":{{{priority.ToString(CultureInfo.InvariantCulture)}}}{{{(node is null ? "" : $",\"nodeName\":\"{node}\"")}}}{{{more}}}{{{Defaults}}}},"status":{"phase":"Pending","qosClass":"Burstable"}}""");

    private const string Owner = ""","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"r","controller":true,"blockOwnerDeletion":true}]""";

    private static KubeObject Parse(string json) => new(Encoding.UTF8.GetBytes(json));
}
