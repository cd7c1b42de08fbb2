using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Scheduling.Online;
using Microsoft.Extensions.Logging;

namespace Atoll.Orchestration.Binding;

/// <summary>Carries placements out over the API: bindings, answers to pods that fit nowhere, promises and their victims.</summary>
internal sealed class PlacementOutcome(Cluster cluster)
{
    private readonly ILogger _log = cluster.Loggers.CreateLogger<PlacementOutcome>();

    /// <summary>Binds; false when that was refused.</summary>
    public async Task<bool> BindAsync(Placement placement, CancellationToken cancellation)
    {
        KubeObject pod = placement.Pod;
        foreach (VolumeChoice choice in placement.Volumes)
            if (!await SetAsideAsync(choice, placement.Node!, cancellation).ConfigureAwait(false))
                return false;
        var binding = new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Binding",
            ["metadata"] = new JsonObject { ["name"] = pod.Name, ["namespace"] = pod.Namespace, ["uid"] = pod.Uid },
            ["target"] = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Node", ["name"] = placement.Node },
        };
        var annotations = new JsonObject();
        if (placement.Reservation is not null)
            annotations[Reservation.Annotation] = placement.Reservation;
        if (placement.Allocation is { } allocation)
            annotations[Allocation.Annotation] = allocation.ToString();
        if (annotations.Count > 0)
            binding["metadata"]!["annotations"] = annotations;
        ApiResult result = await cluster.Api.CreateAsync(Kinds.Pod, pod.Namespace, binding, cancellation, pod.Name, "binding").ConfigureAwait(false);
        if (result.Ok)
        {
            cluster.Events.Normal(pod, "Scheduled", $"Successfully assigned {pod.Key} to {placement.Node}");
            return true;
        }
        if (!result.IsNotFound)
            _log.LogInformation("Pod {Pod} was not bound to {Node}: {Reason}", pod.Key, placement.Node, result.Error!.Message);
        return false;
    }

    /// <summary>Writes a reservation's node, or why it has none; false when that was refused.</summary>
    public async Task<bool> ReserveAsync(KubeObject reservation, Placement placement, CancellationToken cancellation)
    {
        List<Condition>? shown = reservation.View(ApiJson.Default.Reservation).Status?.Conditions;
        bool placed = placement.Node is not null;
        string message = placement.Message ?? $"Its room is kept on node {placement.Node}.";
        Condition? before = Pods.Conditions.Get(shown, "Scheduled");
        if (!placed && before?.Message == message)
            return true;
        var condition = new Condition { Type = "Scheduled", Status = placed ? "True" : "False", Reason = placed ? "Scheduled" : "Unschedulable", Message = message, LastTransitionTime = cluster.Now };
        var status = new JsonObject { ["conditions"] = Pods.Conditions.ToJson(Pods.Conditions.With(shown, condition)) };
        if (placed)
            (status["phase"], status["nodeName"]) = ("Available", placement.Node);
        ApiResult result = await cluster.PatchAsync(Kinds.Reservation, reservation, new JsonObject { ["status"] = status }, false, cancellation, "status").ConfigureAwait(false);
        if (!result.Ok)
            _log.LogInformation("Reservation {Reservation} got no node: {Reason}", reservation.Name, result.Error!.Message);
        else if (placed)
            cluster.Events.Normal(reservation, "Scheduled", message);
        else
            cluster.Events.Warning(reservation, "FailedScheduling", message);
        return result.Ok;
    }

    // The volume is set aside for the claim, or the claim told where its volume is to be made: both by compare-and-set, so that
    // of two pods that want one volume the second is planned again. The claim's controller does the rest.
    private async Task<bool> SetAsideAsync(VolumeChoice choice, string node, CancellationToken cancellation)
    {
        if (cluster.Of(Kinds.PersistentVolumeClaim).Get(choice.Claim) is not { IsDeleting: false } claim)
            return false;
        if (choice.Volume is null)
        {
            var annotation = new JsonObject { ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { [StorageNames.SelectedNode] = node } } };
            return (await cluster.PatchAsync(Kinds.PersistentVolumeClaim, claim, annotation, true, cancellation).ConfigureAwait(false)).Ok;
        }
        if (cluster.Of(Kinds.PersistentVolume).Get(choice.Volume) is not { IsDeleting: false } volume)
            return false;
        if (volume.View(ApiJson.Default.PersistentVolume).Spec.ClaimRef is { } reference)
            return reference.Uid == claim.Uid;
        var mine = new JsonObject { ["spec"] = new JsonObject { ["claimRef"] = Volumes.ClaimController.Reference(claim) }, ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { [StorageNames.BoundByController] = "yes" } } };
        return (await cluster.PatchAsync(Kinds.PersistentVolume, volume, mine, true, cancellation).ConfigureAwait(false)).Ok;
    }

    /// <summary>
    /// Tells a pod that it fits nowhere, what it is promised, and deletes the victims of that promise. The promise is written
    /// first: should we end in between, whoever comes next finds it. True when the pod was told or knows it already.
    /// </summary>
    public async Task<bool> TellAsync(Placement placement, string? told, CancellationToken cancellation)
    {
        KubeObject pod = placement.Pod;
        PodStatus? status = pod.View(ApiJson.Default.Pod).Status;
        Condition? shown = status?.Condition("PodScheduled");
        bool knows = (told ?? (shown is { Status: "False", Reason: "Unschedulable" } ? shown.Message : null)) == placement.Message;
        bool promised = (status?.NominatedNodeName ?? "") == (placement.Nominated ?? "");
        if (!knows || !promised)
        {
            var change = new JsonObject();
            if (!knows)
                change["conditions"] = new JsonArray(Condition("PodScheduled", "False", "Unschedulable", placement.Message!, shown is { Status: "False", LastTransitionTime: { } since } ? since : cluster.Now));
            if (!promised)
                change["nominatedNodeName"] = placement.Nominated;
            if (!(await PatchStatusAsync(pod, change, cancellation).ConfigureAwait(false)).Ok)
                return false; // Told again at the next answer.
            if (!knows)
                cluster.Events.Warning(pod, "FailedScheduling", placement.Message!);
        }
        foreach (KubeObject victim in placement.Victims)
            await PreemptAsync(victim, pod, placement.Nominated!, cancellation).ConfigureAwait(false);
        return true;
    }

    private async Task PreemptAsync(KubeObject victim, KubeObject pod, string node, CancellationToken cancellation)
    {
        const string Why = "default-scheduler: preempting to accommodate a higher priority pod";
        await PatchStatusAsync(victim, new JsonObject { ["conditions"] = new JsonArray(Condition("DisruptionTarget", "True", "PreemptionByScheduler", Why, cluster.Now)) }, cancellation).ConfigureAwait(false);
        ApiResult result = await cluster.DeleteAsync(Kinds.Pod, victim, DeleteOptions.Default, cancellation).ConfigureAwait(false);
        if (result.Ok)
            cluster.Events.Normal(victim, "Preempted", $"Preempted by pod {pod.Uid} on node {node}");
        else
            _log.LogInformation("Pod {Pod} was not preempted for {For}: {Reason}", victim.Key, pod.Key, result.Error!.Message);
    }

    private ValueTask<ApiResult> PatchStatusAsync(KubeObject pod, JsonObject status, CancellationToken cancellation) =>
        cluster.Api.PatchAsync(Kinds.Pod, pod.Namespace, pod.Name, PatchType.StrategicMerge, new JsonObject { ["metadata"] = new JsonObject { ["uid"] = pod.Uid }, ["status"] = status }, cancellation, "status");

    private static JsonObject Condition(string type, string status, string reason, string message, DateTimeOffset since) => new()
    {
        ["type"] = type,
        ["status"] = status,
        ["reason"] = reason,
        ["message"] = message,
        ["lastTransitionTime"] = KubeTime.Format(since),
    };
}
