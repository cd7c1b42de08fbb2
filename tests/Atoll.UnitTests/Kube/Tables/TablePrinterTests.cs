using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Tables;

namespace Atoll.UnitTests.Kube.Tables;

public sealed class TablePrinterTests
{
    private static readonly DateTimeOffset s_now = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    private static JsonArray Write(Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
            write(writer);
        return JsonNode.Parse(buffer.ToArray())!.AsArray();
    }

    private static string Cells(ResourceType type, string document) =>
        string.Join('|', Write(w => TablePrinter.WriteCells(type, new KubeObject(Encoding.UTF8.GetBytes(document)), s_now, w)).Select(c => c!.ToString()));

    [Fact]
    public void Every_kind_has_columns_and_as_many_cells()
    {
        foreach (ResourceType type in Kinds.All)
        {
            Assert.True(TableColumns.Knows(type), type.Kind);
            JsonArray columns = Write(w => TablePrinter.WriteColumns(type, w));
            JsonArray cells = Write(w => TablePrinter.WriteCells(type, new KubeObject("""{"metadata":{"name":"a"}}"""u8.ToArray()), s_now, w));
            Assert.Equal(columns.Count, cells.Count);
            Assert.All(columns, c => Assert.NotEqual("", (string?)c!["description"]));
            for (int i = 0; i < columns.Count; i++)
                if ((string?)columns[i]!["type"] == "integer")
                    Assert.Equal(JsonValueKind.Number, cells[i]!.GetValueKind());
        }
    }

    [Theory]
    [InlineData(-5, "<invalid>")]
    [InlineData(0, "0s")]
    [InlineData(119, "119s")]
    [InlineData(120, "2m")]
    [InlineData(312, "5m12s")]
    [InlineData(600, "10m")]
    [InlineData(10799, "179m")]
    [InlineData(10800, "3h")]
    [InlineData(12000, "3h20m")]
    [InlineData(28800, "8h")]
    [InlineData(172799, "47h")]
    [InlineData(172800, "2d")]
    [InlineData(367200, "4d6h")]
    [InlineData(691200, "8d")]
    [InlineData(63071999, "729d")]
    [InlineData(63072000, "2y")]
    [InlineData(65664000, "2y30d")]
    [InlineData(252288000, "8y")]
    public void Durations_read_as_in_kubectl(long seconds, string expected) => Assert.Equal(expected, HumanDuration.Format(TimeSpan.FromSeconds(seconds)));

    private static string Pod(string spec, string status, string metadata = "") =>
        Cells(Kinds.Pod, "{\"metadata\":{\"name\":\"p\",\"creationTimestamp\":\"2026-01-02T11:00:00Z\"" + metadata + "},\"spec\":{" + spec + "},\"status\":{" + status + "}}");

    private const string One = "\"containers\":[{\"name\":\"c\"}]";

    [Theory]
    [InlineData("\"phase\":\"Pending\"", "0/1|Pending|0|60m")]
    [InlineData("\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\",\"reason\":\"SchedulingGated\"}]", "0/1|SchedulingGated|0|60m")]
    [InlineData("\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"c\",\"ready\":true,\"state\":{\"running\":{}}}]", "1/1|Running|0|60m")]
    [InlineData("\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"c\",\"restartCount\":3,\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}},\"lastState\":{\"terminated\":{\"finishedAt\":\"2026-01-02T11:55:00Z\"}}}]", "0/1|CrashLoopBackOff|3 (5m ago)|60m")]
    [InlineData("\"phase\":\"Succeeded\",\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"terminated\":{\"reason\":\"Completed\",\"exitCode\":0}}}]", "0/1|Completed|0|60m")]
    [InlineData("\"phase\":\"Failed\",\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"terminated\":{\"reason\":\"OOMKilled\",\"exitCode\":137}}}]", "0/1|OOMKilled|0|60m")]
    [InlineData("\"phase\":\"Failed\",\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"terminated\":{\"exitCode\":3}}}]", "0/1|ExitCode:3|0|60m")]
    [InlineData("\"phase\":\"Failed\",\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"terminated\":{\"exitCode\":137,\"signal\":9}}}]", "0/1|Signal:9|0|60m")]
    [InlineData("\"phase\":\"Failed\",\"reason\":\"Evicted\"", "0/1|Evicted|0|60m")]
    [InlineData("\"phase\":\"Pending\",\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"waiting\":{\"reason\":\"ImagePullBackOff\"}}}]", "0/1|ImagePullBackOff|0|60m")]
    [InlineData("\"phase\":\"Pending\",\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"waiting\":{\"reason\":\"ContainerCreating\"}}}]", "0/1|ContainerCreating|0|60m")]
    public void Pod_status_says_what_the_containers_say(string status, string expected) => Assert.Equal("p|" + expected + "|<none>|<none>|<none>|<none>", Pod(One, status));

    [Theory]
    [InlineData("{\"name\":\"i\",\"state\":{\"running\":{}}}", "Init:0/2")]
    [InlineData("{\"name\":\"i\",\"state\":{\"terminated\":{\"exitCode\":0}}},{\"name\":\"j\",\"state\":{\"waiting\":{\"reason\":\"PodInitializing\"}}}", "Init:1/2")]
    [InlineData("{\"name\":\"i\",\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}}}", "Init:CrashLoopBackOff")]
    [InlineData("{\"name\":\"i\",\"state\":{\"terminated\":{\"exitCode\":1,\"reason\":\"Error\"}}}", "Init:Error")]
    [InlineData("{\"name\":\"i\",\"state\":{\"terminated\":{\"exitCode\":2}}}", "Init:ExitCode:2")]
    public void Init_containers_are_told_in_order(string statuses, string expected) =>
        Assert.Equal(expected, Pod("\"initContainers\":[{\"name\":\"i\"},{\"name\":\"j\"}]," + One, "\"phase\":\"Pending\",\"initContainerStatuses\":[" + statuses + "]").Split('|')[2]);

    [Fact]
    public void A_sidecar_counts_among_the_containers()
    {
        string cells = Pod("\"initContainers\":[{\"name\":\"s\",\"restartPolicy\":\"Always\"}]," + One,
            "\"phase\":\"Running\",\"initContainerStatuses\":[{\"name\":\"s\",\"started\":true,\"ready\":true,\"restartCount\":1,\"state\":{\"running\":{}}}],\"containerStatuses\":[{\"name\":\"c\",\"ready\":true,\"restartCount\":1,\"state\":{\"running\":{}}}]");
        Assert.StartsWith("p|2/2|Running|2|60m|", cells, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pod_that_is_being_deleted_terminates()
    {
        string deleting = ",\"deletionTimestamp\":\"2026-01-02T11:59:00Z\"";
        Assert.Equal("Terminating", Pod(One, "\"phase\":\"Running\"", deleting).Split('|')[2]);
        Assert.Equal("Unknown", Pod(One, "\"phase\":\"Running\",\"reason\":\"NodeLost\"", deleting).Split('|')[2]);
        Assert.Equal("Succeeded", Pod(One, "\"phase\":\"Succeeded\"", deleting).Split('|')[2]);
    }

    [Fact]
    public void Wide_cells_of_a_pod() => Assert.Equal("p|0/1|Running|0|60m|10.1.0.2|n1|<none>|1/2",
        Pod(One + ",\"nodeName\":\"n1\",\"readinessGates\":[{\"conditionType\":\"A\"},{\"conditionType\":\"B\"}]", "\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.1.0.2\"}],\"conditions\":[{\"type\":\"A\",\"status\":\"True\"}]"));

    [Theory]
    [InlineData("[{\"type\":\"Ready\",\"status\":\"True\"}]", "", "Ready")]
    [InlineData("[{\"type\":\"Ready\",\"status\":\"Unknown\"}]", "", "NotReady")]
    [InlineData("[{\"type\":\"Ready\",\"status\":\"True\"}]", "\"unschedulable\":true", "Ready,SchedulingDisabled")]
    [InlineData("[]", "", "Unknown")]
    public void Node_status(string conditions, string spec, string expected) =>
        Assert.Equal($"n|{expected}|edge,gpu|0s|v1|10.0.0.1|<none>|Debian|6.1|crun://1|s1", Cells(Kinds.Node,
            "{\"metadata\":{\"name\":\"n\",\"creationTimestamp\":\"2026-01-02T12:00:00Z\",\"labels\":{\"node-role.kubernetes.io/gpu\":\"\",\"node-role.kubernetes.io/edge\":\"\",\"edge.atoll.dev/site\":\"s1\"}},\"spec\":{" + spec + "},\"status\":{\"conditions\":" + conditions
            + ",\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"10.0.0.1\"}],\"nodeInfo\":{\"kubeletVersion\":\"v1\",\"osImage\":\"Debian\",\"kernelVersion\":\"6.1\",\"containerRuntimeVersion\":\"crun://1\"}}}"));

    public static TheoryData<string, string, string> Others() => new()
    {
        { "Deployment", """{"spec":{"replicas":3,"selector":{"matchLabels":{"b":"2","a":"1"},"matchExpressions":[{"key":"z","operator":"NotIn","values":["y","x"]}]},"template":{"spec":{"containers":[{"name":"c","image":"i"},{"name":"d","image":"j"}]}}},"status":{"readyReplicas":1,"updatedReplicas":2,"availableReplicas":1}}""", "a|1/3|2|1|<unknown>|c,d|i,j|a=1,b=2,z notin (x,y)" },
        { "ReplicaSet", """{"spec":{"replicas":3},"status":{"replicas":2,"readyReplicas":1}}""", "a|3|2|1|<unknown>|||<none>" },
        { "StatefulSet", """{"spec":{"replicas":3},"status":{"readyReplicas":2}}""", "a|2/3|<unknown>||" },
        { "DaemonSet", """{"spec":{"template":{"spec":{"nodeSelector":{"a":"b"}}}},"status":{"desiredNumberScheduled":5,"currentNumberScheduled":4,"numberReady":3,"updatedNumberScheduled":2,"numberAvailable":1}}""", "a|5|4|3|2|1|a=b|<unknown>|||<none>" },
        { "Job", """{"spec":{"completions":3},"status":{"succeeded":3,"startTime":"2026-01-02T11:00:00Z","completionTime":"2026-01-02T11:01:01Z","conditions":[{"type":"Complete","status":"True"}]}}""", "a|Complete|3/3|61s|<unknown>|||<none>" },
        { "Job", """{"spec":{"parallelism":4},"status":{"startTime":"2026-01-02T11:59:00Z"}}""", "a|Running|0/1 of 4|60s|<unknown>|||<none>" },
        { "Service", """{"spec":{"type":"ClusterIP","ports":[{"port":80,"protocol":"TCP"},{"port":81,"nodePort":30081,"protocol":"UDP"}],"selector":{"a":"b"}}}""", "a|ClusterIP|<none>|<none>|80/TCP,81:30081/UDP|<unknown>|a=b" },
        { "Service", """{"spec":{"type":"ExternalName","externalName":"x.example"}}""", "a|ExternalName|<none>|x.example|<none>|<unknown>|<none>" },
        { "Secret", """{"type":"Opaque","data":{"a":"","b":""}}""", "a|Opaque|2|<unknown>" },
        { "ConfigMap", """{"data":{"a":""},"binaryData":{"b":""}}""", "a|2|<unknown>" },
        { "Namespace", """{"status":{"phase":"Terminating"}}""", "a|Terminating|<unknown>" },
        { "Lease", """{"spec":{"holderIdentity":"h"}}""", "a|h|<unknown>" },
        { "RuntimeClass", """{"handler":"crun"}""", "a|crun|<unknown>" },
        { "PriorityClass", """{"value":7,"globalDefault":true,"preemptionPolicy":"Never"}""", "a|7|true|<unknown>|Never" },
        { "PodDisruptionBudget", """{"spec":{"maxUnavailable":"25%"},"status":{"disruptionsAllowed":2}}""", "a|N/A|25%|2|<unknown>" },
        { "PodGroup", """{"spec":{"minMember":3},"status":{"phase":"Scheduling","scheduled":2,"running":1}}""", "a|Scheduling|3|2|1|0|0|<unknown>" },
        { "ElasticQuota", """{"spec":{"min":{"memory":"1Gi","cpu":2},"max":{"cpu":"4"},"parent":"org/all"},"status":{"used":{"cpu":"3"}}}""", "a|cpu: 3|cpu: 2, memory: 1Gi|cpu: 4|org/all|<unknown>" },
        { "Reservation", """{"spec":{"resources":{"cpu":"2"}},"status":{"phase":"Available","nodeName":"n","allocated":{"cpu":"1"},"expirationTime":"2026-01-02T12:05:00Z"}}""", "a|Available|n|cpu: 2|cpu: 1|5m|<unknown>" },
        { "Reservation", "{}", "a|Pending|<none>|<none>|<none>|<none>|<unknown>" },
        { "SchedulerProfile", """{"spec":{"scoringStrategy":{"type":"MostAllocated"}},"status":{"conditions":[{"type":"Accepted","status":"True"}]}}""", "a|MostAllocated|True|<unknown>" },
        { "Site", """{"spec":{"region":"r","kind":"near"},"status":{"phase":"Connected","nodes":2,"agentVersion":"0.1","lastTransitionTime":"2026-01-02T11:59:00Z"}}""", "a|Connected|r|near|2|<unknown>|<none>|0.1|60s|<none>|0" },
        { "Site", "{}", "a|Pending|<none>|<none>|0|<unknown>|<none>|<none>|<unknown>|<none>|0" },
        { "Site", """{"spec":{"unitCost":0.25},"status":{"line":{"drops":4}}}""", "a|Pending|<none>|<none>|0|<unknown>|<none>|<none>|<unknown>|0.25|4" },
        { "Flavour", """{"spec":{"resources":{"memory":"8Gi","cpu":4},"arch":"arm64","cpuLevel":"armv8.2","runtimeClassName":"machine"}}""", "a|cpu: 4, memory: 8Gi|arm64,armv8.2|machine|<unknown>" },
        { "CPUModel", """{"spec":{"match":"AMD*","factor":1.2}}""", "a|AMD*|1.2|<unknown>" },
        { "Delivery", """{"spec":{"count":9},"status":{"phase":"Unsatisfiable","planned":6,"ready":5,"missing":3,"sites":[{"site":"s","count":6}],"alternatives":[{"message":"m"},{"message":"n"}]}}""", "a|Unsatisfiable|9|6|5|1|3|<unknown>|s=6|m; n" },
        { "Capacity", """{"spec":{"flavour":"f","region":"east"},"status":{"nodes":3,"closedNodes":1,"saleable":4,"pooled":7,"fragmentation":0.4286,"resources":[{"name":"cpu","free":"7","blocks":2},{"name":"pods","free":"9","blocks":0}],"gpu":{"free":8,"expectedFragment":2.25},"updatedAt":"2026-01-02T11:59:00Z"}}""", "a|f|east|*|3 (+1 closed)|4|7|42.9 %|<unknown>|cpu=7|cpu(+2)|2.3 of 8|60s" },
        { "DefragmentationPlan", """{"spec":{"site":"s"},"status":{"phase":"Executing","movesDone":1,"movesTotal":3,"revision":1,"effects":[{"flavour":"f","before":2,"promised":4,"reached":3}]}}""", "a|Executing|1/3|f+2|f+1|<unknown>|s|1|<none>" },
        { "Event", """{"type":"Warning","reason":"R","message":" m \n","involvedObject":{"kind":"Pod","name":"p","fieldPath":"spec.containers{c}"},"source":{"component":"agent","host":"n1"},"firstTimestamp":"2026-01-02T11:00:00Z","lastTimestamp":"2026-01-02T11:59:00Z","count":4}""", "60s|Warning|R|pod/p|spec.containers{c}|agent, n1|m|60m|4|a" },
        { "Event", """{"eventTime":"2026-01-02T11:59:30.000000Z","reportingComponent":"sched","involvedObject":{"kind":"Pod"}}""", "30s|||pod||sched||30s|1|a" },
    };

    [Theory]
    [MemberData(nameof(Others))]
    public void Other_kinds(string kind, string document, string expected)
    {
        JsonObject json = JsonNode.Parse(document)!.AsObject();
        json["metadata"] = new JsonObject { ["name"] = "a" };
        Assert.Equal(expected, Cells(Kinds.All.First(k => k.Kind == kind), json.ToJsonString()), ignoreCase: true);
    }

    [Fact]
    public void A_revision_names_its_controller() => Assert.Equal("a|daemonset.apps/d|3|<unknown>", Cells(Kinds.ControllerRevision,
        """{"metadata":{"name":"a","ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"d","uid":"u","controller":true}]},"revision":3}"""));
}
