using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Atoll.Bench.Fleet;

/// <summary>The objects of a pretended fleet, as they are stored: sites, nodes with status, running pods, one ConfigMap that every site uses.</summary>
internal static class Documents
{
    public const string SharedName = "fleet-settings", ProbeName = "fleet-probe";

    private const string Time = "2026-01-02T03:04:05Z";

    public static string SiteName(int site) => $"site-{site:D5}";

    public static string SiteUid(int site) => Uid(1, site, 0, 0);

    public static string NodeName(int site, int node) => $"site-{site:D5}-n{node:D2}";

    public static JsonObject Site(int site) => Parse(
        $$$$$"""{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Site","metadata":{"name":"{{{{{SiteName(site)}}}}}","uid":"{{{{{SiteUid(site)}}}}}","creationTimestamp":"{{{{{Time}}}}}","generation":1},"spec":{"region":"region-{{{{{site % 20}}}}}","kind":"field"},"status":{"phase":"Connected","nodes":10,"lastTransitionTime":"{{{{{Time}}}}}"}}""");

    public static JsonObject Node(int site, int node) => Parse(
        $$$$$"""{"apiVersion":"v1","kind":"Node","metadata":{"name":"{{{{{NodeName(site, node)}}}}}","uid":"{{{{{Uid(2, site, node, 0)}}}}}","creationTimestamp":"{{{{{Time}}}}}","labels":{"kubernetes.io/hostname":"{{{{{NodeName(site, node)}}}}}","kubernetes.io/arch":"amd64","kubernetes.io/os":"linux","edge.atoll.dev/site":"{{{{{SiteName(site)}}}}}","topology.kubernetes.io/zone":"{{{{{SiteName(site)}}}}}","topology.kubernetes.io/region":"region-{{{{{site % 20}}}}}"},"ownerReferences":[{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Site","name":"{{{{{SiteName(site)}}}}}","uid":"{{{{{SiteUid(site)}}}}}"}]},"spec":{},"status":{"capacity":{"cpu":"16","memory":"64Gi","pods":"110","ephemeral-storage":"200Gi"},"allocatable":{"cpu":"16","memory":"64Gi","pods":"110","ephemeral-storage":"200Gi"},"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","message":"the node runs","lastHeartbeatTime":"{{{{{Time}}}}}","lastTransitionTime":"{{{{{Time}}}}}"},{"type":"MemoryPressure","status":"False","reason":"Enough","lastHeartbeatTime":"{{{{{Time}}}}}","lastTransitionTime":"{{{{{Time}}}}}"},{"type":"DiskPressure","status":"False","reason":"Enough","lastHeartbeatTime":"{{{{{Time}}}}}","lastTransitionTime":"{{{{{Time}}}}}"}],"addresses":[{"type":"InternalIP","address":"10.{{{{{site % 250}}}}}.{{{{{node}}}}}.1"},{"type":"Hostname","address":"{{{{{NodeName(site, node)}}}}}"}],"nodeInfo":{"machineID":"{{{{{Uid(2, site, node, 1)}}}}}","systemUUID":"{{{{{Uid(2, site, node, 1)}}}}}","bootID":"{{{{{Uid(2, site, node, 2)}}}}}","kernelVersion":"6.1.0","osImage":"Debian 12","containerRuntimeVersion":"atoll://0.1.0","kubeletVersion":"v1.32.0+atoll","kubeProxyVersion":"","operatingSystem":"linux","architecture":"amd64"}}}""");

    /// <summary>A pod that runs on a node; the first of each site takes its settings from the shared ConfigMap.</summary>
    public static JsonObject Pod(int site, int node, int pod)
    {
        string name = $"pre-{site:D5}-{node:D2}-{pod:D2}";
        string from = node == 0 && pod == 0 ? ""","envFrom":[{"configMapRef":{"name":"fleet-settings"}}]""" : "";
        return Parse($$$$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{{{name}}}}}","namespace":"default","uid":"{{{{{Uid(3, site, node, pod)}}}}}","creationTimestamp":"{{{{{Time}}}}}","generation":2,"labels":{"app":"pre"},"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"{{{{{NodeName(site, node)}}}}}","uid":"{{{{{Uid(2, site, node, 0)}}}}}","controller":true}]},"spec":{{{{{PodSpec(from, NodeName(site, node))}}}}},"status":{{{{{Running}}}}}}""");
    }

    /// <summary>What a hollow runtime reports of a pod that it started.</summary>
    public const string Running = $$$$$"""{"phase":"Running","qosClass":"Burstable","startTime":"{{{{{Time}}}}}","podIP":"10.1.2.3","podIPs":[{"ip":"10.1.2.3"}],"hostIP":"10.0.0.1","conditions":[{"type":"PodScheduled","status":"True","lastProbeTime":null,"lastTransitionTime":"{{{{{Time}}}}}"},{"type":"Initialized","status":"True","lastProbeTime":null,"lastTransitionTime":"{{{{{Time}}}}}"},{"type":"ContainersReady","status":"True","lastProbeTime":null,"lastTransitionTime":"{{{{{Time}}}}}"},{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":"{{{{{Time}}}}}"}],"containerStatuses":[{"name":"main","state":{"running":{"startedAt":"{{{{{Time}}}}}"}},"lastState":{},"ready":true,"started":true,"restartCount":0,"image":"registry.example.org/app:1.0","imageID":"registry.example.org/app@sha256:7b7c0a4a9d4b3c2f1e0d9c8b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e2d1c0b9a8f","containerID":"atoll://0123456789abcdef"}]}""";

    public static JsonObject Shared(int version)
    {
        var data = new StringBuilder();
        for (int i = 0; i < 40; i++)
            data.Append(CultureInfo.InvariantCulture, $"""{(i == 0 ? "" : ",")}"setting-{i:D2}":"{(i == 20 ? $"version-{version:D6}" : $"a value that stays as it is, number {i:D2}, long enough")}" """);
        return Parse($$$$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{{{SharedName}}}}}","namespace":"default","uid":"{{{{{Uid(4, 0, 0, 0)}}}}}","creationTimestamp":"{{{{{Time}}}}}"},"data":{{{{{{data}}}}}}}""");
    }

    /// <summary>What a user changes again and again without a site needing it.</summary>
    public static JsonObject Probe() => Parse(
        $$$$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{{{ProbeName}}}}}","namespace":"default","uid":"{{{{{Uid(5, 0, 0, 0)}}}}}","creationTimestamp":"{{{{{Time}}}}}"},"data":{}}""");

    /// <summary>A Deployment of one pod a site.</summary>
    public static JsonObject OnePerSite(int sites) => Parse(
        $$$$$"""{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"roll","namespace":"default"},"spec":{"replicas":{{{{{sites}}}}},"progressDeadlineSeconds":600,"selector":{"matchLabels":{"app":"roll"}},"template":{"metadata":{"labels":{"app":"roll"}},"spec":{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"topology.kubernetes.io/zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"roll"}}}],"containers":[{"name":"main","image":"registry.example.org/app:1.0","resources":{"requests":{"cpu":"50m","memory":"64Mi"}}}]}}}}""");

    /// <summary>A pod without a node, as a client sends it: kubernetes/perf-tests' basic pod.</summary>
    public static byte[] Pending(string prefix, int i) => Encoding.UTF8.GetBytes(
        $$$$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{{{prefix}}}}}-{{{{{i}}}}}","namespace":"default","labels":{"app":"{{{{{prefix}}}}}"}},"spec":{"containers":[{"name":"pause","image":"registry.k8s.io/pause:3.10","ports":[{"containerPort":80}],"resources":{"requests":{"cpu":"100m","memory":"500Mi"}}}]}}""");

    private static string PodSpec(string from, string node) =>
        $$$$$"""{"containers":[{"name":"main","image":"registry.example.org/app:1.0","imagePullPolicy":"IfNotPresent"{{{{{from}}}}},"resources":{"requests":{"cpu":"10m","memory":"32Mi"}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","enableServiceLinks":true,"schedulerName":"default-scheduler","priority":0,"preemptionPolicy":"PreemptLowerPriority","securityContext":{},"nodeName":"{{{{{node}}}}}","tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}]}""";

    private static string Uid(int kind, int site, int node, int pod) => $"0000000{kind}-0000-4000-8000-{site:x6}{node:x2}{pod:x4}";

    private static JsonObject Parse(string json) => JsonNode.Parse(json)!.AsObject();
}
