using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

/// <summary>What is known of a pod when the agent starts: its record, completed from the labels of instances and from the API's status.</summary>
internal static class PodRecovery
{
    public static PodRecord Recover(KubeObject pod, PodRecord? file, IEnumerable<Instance> instances)
    {
        PodRecord record = file is not null && file.Uid == pod.Uid ? file with { Conditions = Newest(file.Conditions, pod) } : FromStatus(pod);
        foreach (Instance instance in instances)
        {
            string? name = instance.Labels.GetValueOrDefault(InstanceNames.Container);
            if (name is null || !int.TryParse(instance.Labels.GetValueOrDefault(InstanceNames.Attempt), NumberStyles.None, CultureInfo.InvariantCulture, out int attempt))
                continue;
            ContainerRecord known = record.Find(name) ?? new ContainerRecord { Name = name };
            if (attempt > known.Attempt)
                record = record.With(known with { Attempt = attempt, Launched = true, Ended = null, Last = known.Ended ?? known.Last, Removed = false, Image = instance.Labels.GetValueOrDefault(InstanceNames.Image), ImageId = instance.Labels.GetValueOrDefault(InstanceNames.ImageId), StartedAt = instance.StartedAt, PostStarted = true }) with { Admitted = true };
        }
        return record;
    }

    // The file is written when something must not be lost, the status whenever it is shown: since when a condition holds is in
    // whichever saw its last change.
    private static List<ConditionRecord> Newest(IReadOnlyList<ConditionRecord> known, KubeObject pod)
    {
        List<ConditionRecord> newest = [.. known];
        foreach (Condition shown in pod.View(ApiJson.Default.Pod).Status?.Conditions ?? [])
        {
            if (shown.LastTransitionTime is not { } since)
                continue;
            int at = newest.FindIndex(c => c.Type == shown.Type);
            if (at < 0)
                newest.Add(new ConditionRecord(shown.Type, shown.Status, since));
            else if (newest[at].Since < since)
                newest[at] = new ConditionRecord(shown.Type, shown.Status, since);
        }
        return newest;
    }

    /// <summary>The record's file is lost: the API's last status keeps restart counts, and a pod that ended stays ended.</summary>
    private static PodRecord FromStatus(KubeObject value)
    {
        Pod pod = value.View(ApiJson.Default.Pod);
        var record = new PodRecord { Uid = value.Uid, Namespace = value.Namespace, Name = value.Name, StartTime = pod.Status?.StartTime };
        bool over = pod.Status?.Phase is "Succeeded" or "Failed";
        foreach (ContainerStatus status in (pod.Status?.InitContainerStatuses ?? []).Concat(pod.Status?.ContainerStatuses ?? []))
        {
            ContainerStateTerminated? ended = status.State?.Terminated ?? (status.State?.Waiting is not null ? status.LastState?.Terminated : null);
            if (status.RestartCount == 0 && ended is null && status.State?.Running is null)
                continue;
            string id = InstanceNames.Id(value.Uid, status.Name, status.RestartCount);
            EndRecord? end = ended is null ? null : new EndRecord(ended.ExitCode, ended.Reason ?? "Error", ended.Message, ended.StartedAt, ended.FinishedAt ?? DateTimeOffset.UnixEpoch, id);
            record = record.With(new ContainerRecord { Name = status.Name, Attempt = status.RestartCount, Launched = true, Image = status.Image, ImageId = status.ImageID, Started = status.Started == true, Ready = status.Ready, StartedAt = status.State?.Running?.StartedAt, Ended = end, Removed = end is not null, PostStarted = true });
        }
        record = record with
        {
            Admitted = record.Containers.Count > 0,
            Initialized = pod.Status?.Condition("Initialized")?.Status == "True" && record.Containers.Count > 0,
            Conditions = Newest([], value),
            Addresses = [.. (pod.Status?.PodIPs ?? []).Select(a => a.Ip)],
        };
        if (!over)
            return record;
        string? reason = pod.Status!.Reason;
        return record with { FinalPhase = pod.Status.Phase, Released = true, Failure = reason is null ? null : new StopRecord(reason, pod.Status.Message ?? "", DateTimeOffset.UnixEpoch, 0) };
    }

    /// <summary>A stand-in for a pod whose object is gone, so that its instances are stopped in the ordinary way.</summary>
    public static KubeObject Orphan(string uid, PodRecord? file, IReadOnlyList<Instance> instances)
    {
        var names = new SortedSet<string>(StringComparer.Ordinal);
        foreach (ContainerRecord container in file?.Containers ?? [])
            names.Add(container.Name);
        foreach (Instance instance in instances)
            if (instance.Labels.TryGetValue(InstanceNames.Container, out string? name))
                names.Add(name);
        var containers = new JsonArray();
        foreach (string name in names)
            containers.Add((JsonNode)new JsonObject { ["name"] = name });
        string? grace = instances.Count > 0 ? instances[0].Labels.GetValueOrDefault(InstanceNames.Grace) : null;
        return KubeObject.FromNode(new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Pod",
            ["metadata"] = new JsonObject
            {
                ["name"] = file?.Name is { Length: > 0 } known ? known : instances.Count > 0 ? instances[0].Labels.GetValueOrDefault(InstanceNames.PodName) : uid,
                ["namespace"] = file?.Namespace is { Length: > 0 } ns ? ns : instances.Count > 0 ? instances[0].Labels.GetValueOrDefault(InstanceNames.PodNamespace) : "",
                ["uid"] = uid,
            },
            ["spec"] = new JsonObject { ["containers"] = containers, ["terminationGracePeriodSeconds"] = long.TryParse(grace, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds) ? seconds : 30 },
        });
    }
}
