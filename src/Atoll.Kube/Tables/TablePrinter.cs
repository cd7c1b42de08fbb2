using System.Text.Json;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Kube.Tables;

/// <summary>
/// meta.k8s.io/v1 Table: the columns that kubectl get shows, as Kubernetes' own printers make them. Cells are read from
/// the document as it is: a missing or malformed field shows as empty, never as a failure of the whole list.
/// </summary>
public static class TablePrinter
{
    private const string Unknown = "<unknown>", None = "<none>";

    /// <summary>Writes the value of <c>columnDefinitions</c> (an array).</summary>
    public static void WriteColumns(ResourceType type, Utf8JsonWriter writer)
    {
        ArgumentNullException.ThrowIfNull(type);
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStartArray();
        foreach (TableColumn column in TableColumns.Of(type))
        {
            writer.WriteStartObject();
            writer.WriteString("name", column.Name);
            writer.WriteString("type", column.Type);
            writer.WriteString("format", column.Format);
            writer.WriteString("description", column.Description);
            writer.WriteNumber("priority", column.Priority);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    /// <summary>Writes the value of a row's <c>cells</c> (an array). Ages are relative to <paramref name="now"/>.</summary>
    public static void WriteCells(ResourceType type, KubeObject value, DateTimeOffset now, Utf8JsonWriter writer)
    {
        ArgumentNullException.ThrowIfNull(type);
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(writer);
        using JsonDocument document = JsonDocument.Parse(value.Utf8);
        JsonElement root = document.RootElement;
        writer.WriteStartArray();
        foreach (object cell in Row(type, value, root, now))
            if (cell is string text)
                writer.WriteStringValue(text);
            else if (cell is bool flag)
                writer.WriteBooleanValue(flag);
            else
                writer.WriteNumberValue((long)cell);
        writer.WriteEndArray();
    }

    private static object[] Row(ResourceType type, KubeObject value, JsonElement root, DateTimeOffset now)
    {
        string name = value.Name, age = HumanDuration.Since(value.Metadata.CreationTimestamp, now);
        JsonElement spec = root.At("spec"), status = root.At("status");
        return type.Kind switch
        {
            "Namespace" => [name, status.Text("phase"), age],
            "Node" => Node(name, root, age),
            "Pod" => Pod(name, root, age, now),
            "ConfigMap" => [name, (long)(root.Count("data") + root.Count("binaryData")), age],
            "Secret" => [name, root.Text("type"), (long)root.Count("data"), age],
            "ServiceAccount" => [name, (long)root.Count("secrets"), age],
            "Service" => [name, spec.Text("type"), ClusterAddress(spec), ExternalAddress(spec, status), Ports(spec), age, Cells.Labels(spec.At("selector"))],
            "Event" => type.Group.Length == 0 ? Event(name, root, now) : NewEvent(name, root, now),
            "Lease" => [name, spec.Text("holderIdentity"), age],
            "Deployment" =>
            [
                name, $"{status.Number("readyReplicas")}/{spec.Number("replicas")}", status.Number("updatedReplicas"), status.Number("availableReplicas"), age, .. Template(spec),
            ],
            "ReplicaSet" => [name, spec.Number("replicas"), status.Number("replicas"), status.Number("readyReplicas"), age, .. Template(spec)],
            "DaemonSet" =>
            [
                name, status.Number("desiredNumberScheduled"), status.Number("currentNumberScheduled"), status.Number("numberReady"), status.Number("updatedNumberScheduled"),
                status.Number("numberAvailable"), Cells.Labels(spec.At("template", "spec").At("nodeSelector")), age, .. Template(spec),
            ],
            "StatefulSet" => [name, $"{status.Number("readyReplicas")}/{spec.Number("replicas")}", age, .. Template(spec)[..2]],
            "ControllerRevision" => [name, Controller(value), root.Number("revision"), age],
            "Job" => [name, JobStatus(root), Completions(spec, status), Duration(status, now), age, .. Template(spec)],
            "RuntimeClass" => [name, root.Text("handler"), age],
            "PriorityClass" => [name, root.Number("value"), root.Flag("globalDefault"), age, root.Text("preemptionPolicy")],
            "PersistentVolume" =>
            [
                StorageCells.Name(value, root), spec.At("capacity").Text("storage"), StorageCells.Modes(spec), spec.Text("persistentVolumeReclaimPolicy"), StorageCells.Phase(value, status), StorageCells.Claim(spec),
                spec.Text("storageClassName"), "<unset>", status.Text("reason"), age, spec.Text("volumeMode"),
            ],
            "PersistentVolumeClaim" =>
            [
                name, StorageCells.Phase(value, status), spec.Text("volumeName"), status.At("capacity").Text("storage"), StorageCells.Modes(status), spec.Text("storageClassName"), "<unset>", age, spec.Text("volumeMode"),
            ],
            "StorageClass" => [StorageCells.Name(value, root), root.Text("provisioner"), root.Text("reclaimPolicy"), root.Text("volumeBindingMode"), root.Flag("allowVolumeExpansion"), age],
            "PodDisruptionBudget" => [name, OrNothing(spec.At("minAvailable")), OrNothing(spec.At("maxUnavailable")), status.Number("disruptionsAllowed"), age],
            "Site" =>
            [
                name, status.Text("phase") is { Length: > 0 } phase ? phase : "Pending", Cells.OrNone(spec.Text("region")), Cells.OrNone(spec.Text("kind")), status.Number("nodes"), age,
                Cells.OrNone(spec.Text("carrier")), Cells.OrNone(status.Text("agentVersion")), HumanDuration.Since(status.Time("lastTransitionTime"), now),
                spec.At("unitCost").ValueKind == JsonValueKind.Number ? spec.At("unitCost").GetRawText() : None, status.At("line").Number("drops"),
            ],
            "Flavour" => [name, Amounts(spec.At("resources")), Cells.OrNone(Cells.Join(((string[])[spec.Text("arch"), spec.Text("cpuLevel")]).Where(t => t.Length > 0))), spec.Text("runtimeClassName") is { Length: > 0 } form ? form : "container", age],
            "CPUModel" => [name, spec.Text("match"), spec.At("factor").ValueKind == JsonValueKind.Number ? spec.At("factor").GetRawText() : "", age],
            "Delivery" =>
            [
                name, status.Text("phase") is { Length: > 0 } stage ? stage : "Pending", spec.Number("count"), status.Number("planned"), status.Number("ready"), (long)status.Count("sites"), status.Number("missing"), age,
                Cells.OrNone(Cells.Join(status.Each("sites").Select(s => $"{s.Text("site")}={s.Number("count")}"))), Cells.OrNone(string.Join("; ", status.Each("alternatives").Select(a => a.Text("message")))),
            ],
            "PodGroup" =>
            [
                name, Cells.OrNone(status.Text("phase")), spec.Number("minMember"), status.Number("scheduled"), status.Number("running"), status.Number("succeeded"), status.Number("failed"), age,
            ],
            "ElasticQuota" => [name, Amounts(status.At("used")), Amounts(spec.At("min")), Amounts(spec.At("max")), Cells.OrNone(spec.Text("parent")), age],
            "Reservation" =>
            [
                name, status.Text("phase") is { Length: > 0 } kept ? kept : "Pending", Cells.OrNone(status.Text("nodeName")), Amounts(spec.At("resources")), Amounts(status.At("allocated")),
                status.Time("expirationTime") is { } end ? end <= now ? "expired" : HumanDuration.Format(end - now) : Cells.OrNone(""), age,
            ],
            "SchedulerProfile" =>
            [
                name, spec.At("scoringStrategy").Text("type") is { Length: > 0 } strategy ? strategy : "LeastAllocated",
                status.Condition("Accepted") is { ValueKind: JsonValueKind.Object } accepted ? accepted.Text("status") : Unknown, age,
            ],
            "Capacity" => FragmentCells.Capacity(name, spec, status, age, now),
            "DefragmentationPlan" => FragmentCells.Plan(name, spec, status, age),
            _ => [name, age],
        };
    }

    private static string Amounts(JsonElement map)
    {
        if (map.ValueKind != JsonValueKind.Object)
            return None;
        var parts = new List<string>();
        foreach (JsonProperty amount in map.EnumerateObject())
            parts.Add($"{amount.Name}: {(amount.Value.ValueKind == JsonValueKind.String ? amount.Value.GetString() : amount.Value.GetRawText())}");
        parts.Sort(StringComparer.Ordinal);
        return Cells.OrNone(string.Join(", ", parts));
    }

    private static string OrNothing(JsonElement amount) => amount.ValueKind switch
    {
        JsonValueKind.String => amount.GetString()!,
        JsonValueKind.Number => amount.GetRawText(),
        _ => "N/A",
    };

    private static object[] Node(string name, JsonElement root, string age)
    {
        JsonElement status = root.At("status"), info = status.At("nodeInfo");
        string ready = status.Condition("Ready") is { ValueKind: JsonValueKind.Object } condition
            ? (condition.Text("status") == "True" ? "Ready" : "NotReady")
            : "Unknown";
        if (root.At("spec").Flag("unschedulable"))
            ready += ",SchedulingDisabled";
        return
        [
            name, ready, Roles(root.At("metadata", "labels")), age, info.Text("kubeletVersion"), Address(status, "InternalIP"), Address(status, "ExternalIP"),
            OrUnknown(info.Text("osImage")), OrUnknown(info.Text("kernelVersion")), OrUnknown(info.Text("containerRuntimeVersion")),
            Cells.OrNone(root.At("metadata", "labels").Text(WellKnown.SiteLabel)),
        ];
    }

    private static string OrUnknown(string text) => text.Length == 0 ? Unknown : text;

    private static string Address(JsonElement status, string type)
    {
        foreach (JsonElement address in status.Each("addresses"))
            if (address.Text("type") == type)
                return Cells.OrNone(address.Text("address"));
        return None;
    }

    private static string Roles(JsonElement labels)
    {
        const string prefix = "node-role.kubernetes.io/";
        var roles = new SortedSet<string>(StringComparer.Ordinal);
        if (labels.ValueKind == JsonValueKind.Object)
            foreach (JsonProperty label in labels.EnumerateObject())
                if (label.Name.StartsWith(prefix, StringComparison.Ordinal) && label.Name.Length > prefix.Length)
                    roles.Add(label.Name[prefix.Length..]);
                else if (label.Name == "kubernetes.io/role" && label.Value.ValueKind == JsonValueKind.String && label.Value.GetString() is { Length: > 0 } role)
                    roles.Add(role);
        return Cells.OrNone(Cells.Join(roles));
    }

    private static object[] Pod(string name, JsonElement root, string age, DateTimeOffset now)
    {
        var cells = new PodCells(root);
        JsonElement spec = root.At("spec"), status = root.At("status");
        string address = status.Text("podIP");
        foreach (JsonElement ip in status.Each("podIPs"))
        {
            address = ip.Text("ip");
            break;
        }
        int gates = spec.Count("readinessGates"), passed = 0;
        foreach (JsonElement gate in spec.Each("readinessGates"))
            if (status.IsTrue(gate.Text("conditionType")))
                passed++;
        return
        [
            name, cells.Ready, cells.Status, cells.Restarts(now), age, Cells.OrNone(address), Cells.OrNone(spec.Text("nodeName")),
            Cells.OrNone(status.Text("nominatedNodeName")), gates == 0 ? None : $"{passed}/{gates}",
        ];
    }

    private static string ClusterAddress(JsonElement spec)
    {
        foreach (JsonElement address in spec.Each("clusterIPs"))
            return address.ValueKind == JsonValueKind.String ? Cells.OrNone(address.GetString()!) : None;
        return Cells.OrNone(spec.Text("clusterIP"));
    }

    private static string ExternalAddress(JsonElement spec, JsonElement status)
    {
        var addresses = spec.Each("externalIPs").Where(a => a.ValueKind == JsonValueKind.String).Select(a => a.GetString()!).ToList();
        switch (spec.Text("type"))
        {
            case "ExternalName":
                return addresses.Count > 0 ? Cells.Join(addresses) : Cells.OrNone(spec.Text("externalName"));
            case "LoadBalancer":
                List<string> ingress = [.. status.At("loadBalancer").Each("ingress").Select(i => i.Text("ip") is { Length: > 0 } ip ? ip : i.Text("hostname")).Where(a => a.Length > 0)];
                ingress.AddRange(addresses);
                return ingress.Count > 0 ? Cells.Join(ingress) : "<pending>";
            default:
                return Cells.OrNone(Cells.Join(addresses));
        }
    }

    private static string Ports(JsonElement spec) => Cells.OrNone(Cells.Join(spec.Each("ports").Select(p =>
        p.Number("nodePort") > 0 ? $"{p.Number("port")}:{p.Number("nodePort")}/{p.Text("protocol")}" : $"{p.Number("port")}/{p.Text("protocol")}")));

    private static object[] Event(string name, JsonElement root, DateTimeOffset now) =>
        EventRow(name, root, root.At("involvedObject"), root.At("source"), root.Text("reportingComponent"), root.Time("firstTimestamp"), root.Time("lastTimestamp"), root.Number("count"), root.Text("message"), now);

    private static object[] NewEvent(string name, JsonElement root, DateTimeOffset now) =>
        EventRow(name, root, root.At("regarding"), root.At("deprecatedSource"), root.Text("reportingController"), root.Time("deprecatedFirstTimestamp"), root.Time("deprecatedLastTimestamp"), root.Number("deprecatedCount"), root.Text("note"), now);

    private static object[] EventRow(string name, JsonElement root, JsonElement about, JsonElement source, string controller, DateTimeOffset? firstTime, DateTimeOffset? lastTime, long count, string message, DateTimeOffset now)
    {
        string first = HumanDuration.Since(firstTime ?? root.Time("eventTime"), now);
        string last = lastTime is null ? first : HumanDuration.Since(lastTime, now);
        if (root.Has("series"))
        {
            last = HumanDuration.Since(root.At("series").Time("lastObservedTime"), now);
            count = root.At("series").Number("count");
        }
        string kind = about.Text("kind").ToLowerInvariant(), target = about.Text("name");
        string component = source.Text("component") is { Length: > 0 } c ? c : controller;
        string host = source.Text("host") is { Length: > 0 } h ? h : root.Text("reportingInstance");
        return
        [
            last, root.Text("type"), root.Text("reason"), target.Length > 0 ? $"{kind}/{target}" : kind, about.Text("fieldPath"),
            host.Length > 0 ? $"{component}, {host}" : component, message.Trim(), first, count == 0 ? 1 : count, name,
        ];
    }

    private static object[] Template(JsonElement spec)
    {
        JsonElement pod = spec.At("template", "spec");
        return
        [
            Cells.Join(pod.Each("containers").Select(c => c.Text("name"))), Cells.Join(pod.Each("containers").Select(c => c.Text("image"))), Cells.Selector(spec.At("selector")),
        ];
    }

    private static string Controller(KubeObject value)
    {
        if (value.Metadata.Controller() is not { } owner)
            return None;
        int slash = owner.ApiVersion.IndexOf('/', StringComparison.Ordinal);
        string group = slash < 0 ? "" : "." + owner.ApiVersion[..slash];
        return $"{owner.Kind}{group}/{owner.Name}".ToLowerInvariant();
    }

    private static string JobStatus(JsonElement root)
    {
        JsonElement status = root.At("status");
        if (status.IsTrue("Complete")) return "Complete";
        if (status.IsTrue("Failed")) return "Failed";
        if (root.At("metadata").Has("deletionTimestamp")) return "Terminating";
        if (status.IsTrue("Suspended")) return "Suspended";
        if (status.IsTrue("FailureTarget")) return "FailureTarget";
        return status.IsTrue("SuccessCriteriaMet") ? "SuccessCriteriaMet" : "Running";
    }

    private static string Completions(JsonElement spec, JsonElement status)
    {
        long succeeded = status.Number("succeeded");
        if (spec.OptionalNumber("completions") is { } wanted)
            return $"{succeeded}/{wanted}";
        long parallelism = spec.Number("parallelism");
        return parallelism > 1 ? $"{succeeded}/1 of {parallelism}" : $"{succeeded}/1";
    }

    private static string Duration(JsonElement status, DateTimeOffset now) =>
        status.Time("startTime") is { } start ? HumanDuration.Format((status.Time("completionTime") ?? now) - start) : "";
}
