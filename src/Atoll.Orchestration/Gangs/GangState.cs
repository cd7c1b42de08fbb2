using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Gangs;

/// <summary>What a pod group is at a moment: its status, whose time is over, and when to look again. Pure.</summary>
internal sealed class GangState
{
    /// <summary>Type of the condition: True from the moment at which enough members have their nodes together.</summary>
    public const string Scheduled = "Scheduled";

    /// <summary>Reason of the condition when the time-out passed without that.</summary>
    public const string TimedOut = "TimedOut";

    private int _scheduled, _running, _succeeded, _failed;

    private GangState(JsonObject status) => Status = status;

    /// <summary>The status that the group should have.</summary>
    public JsonObject Status { get; }

    /// <summary>Members that have to give their nodes back.</summary>
    public List<KubeObject> Overdue { get; } = [];

    /// <summary>When time alone changes something; null for never.</summary>
    public TimeSpan? Again { get; private set; }

    /// <summary>Reason and message of the condition.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>See <see cref="Reason"/>.</summary>
    public string Message { get; private set; } = "";

    /// <summary>Looks at a group and its members, those that are being deleted left out.</summary>
    public static GangState Of(PodGroup group, List<KubeObject> members, DateTimeOffset now)
    {
        var state = new GangState([]);
        foreach (KubeObject member in members)
            state.Count(member);
        state.Judge(group, members, now);
        return state;
    }

    private void Count(KubeObject member)
    {
        Pod pod = member.View(ApiJson.Default.Pod);
        if (string.IsNullOrEmpty(pod.Spec.NodeName))
            return;
        switch (pod.Status?.Phase)
        {
            case "Succeeded": _succeeded++; break;
            case "Failed": _failed++; break;
            default:
                _scheduled++;
                _running += pod.Status?.Phase == "Running" ? 1 : 0;
                break;
        }
    }

    private void Judge(PodGroup group, List<KubeObject> members, DateTimeOffset now)
    {
        int least = group.Spec.MinMember, placed = _scheduled + _succeeded + _failed;
        var timeout = TimeSpan.FromSeconds(group.Spec.ScheduleTimeoutSeconds ?? PodGroupController.DefaultTimeoutSeconds);
        DateTimeOffset? started = placed == 0 ? null : group.Status?.ScheduleStartTime ?? now;
        bool together = placed >= least || (placed > 0 && Conditions.IsTrue(group.Status?.Conditions, Scheduled));
        if (together)
            (Reason, Message) = (Scheduled, Text($"{placed} of the {least} members that it needs have had their nodes."));
        else if (_scheduled > 0)
            Half(members, started!.Value + timeout - now, placed, least);
        else
            None(members, timeout, now, least);
        Status["phase"] = PhaseOf(together, members.Count, least);
        Status["occupiedBy"] = members.Find(m => m.Metadata.Controller() is not null) is { } owned ? $"{owned.Namespace}/{owned.Metadata.Controller()!.Name}" : null;
        Status["scheduled"] = Conditions.Count(_scheduled);
        Status["running"] = Conditions.Count(_running);
        Status["succeeded"] = Conditions.Count(_succeeded);
        Status["failed"] = Conditions.Count(_failed);
        Status["scheduleStartTime"] = started is { } start ? KubeTime.Format(start) : null;
        Status["conditions"] = Conditions.ToJson(Conditions.With(group.Status?.Conditions, new Condition
        {
            Type = Scheduled, Status = together ? "True" : "False", Reason = Reason, Message = Message, LastTransitionTime = now, ObservedGeneration = group.Metadata.Generation,
        }));
    }

    private void Half(List<KubeObject> members, TimeSpan left, int placed, int least)
    {
        if (left > TimeSpan.Zero)
        {
            (Reason, Message, Again) = ("Scheduling", Text($"{placed} of the {least} members that it needs have a node."), left);
            return;
        }
        (Reason, Message) = (TimedOut, Text($"{placed} of the {least} members that it needs had a node in time: they are deleted and made anew by their owners."));
        foreach (KubeObject member in members)
            if (member.View(ApiJson.Default.Pod) is var pod && !string.IsNullOrEmpty(pod.Spec.NodeName) && pod.Status?.Phase is not ("Succeeded" or "Failed"))
                Overdue.Add(member);
    }

    private void None(List<KubeObject> members, TimeSpan timeout, DateTimeOffset now, int least)
    {
        if (members.Count < least)
        {
            (Reason, Message) = ("NotEnoughMembers", Text($"{members.Count} of the {least} members that it needs exist."));
            return;
        }
        DateTimeOffset since = members.Max(m => m.Metadata.CreationTimestamp) ?? now;
        string? why = members.Select(m => m.View(ApiJson.Default.Pod).Status?.Condition("PodScheduled")).FirstOrDefault(c => c is { Status: "False" })?.Message;
        TimeSpan left = since + timeout - now;
        (Reason, Message) = left > TimeSpan.Zero ? ("Waiting", why ?? "Its members wait to be planned.") : (TimedOut, why ?? "Its members were not planned in time.");
        Again = left > TimeSpan.Zero ? left : null;
    }

    // The phases of coscheduling.
    private string PhaseOf(bool together, int members, int least)
    {
        if (_succeeded >= least)
            return "Finished";
        if (_failed > 0 && _failed + _running + _succeeded >= least)
            return "Failed";
        if (_running + _succeeded >= least)
            return "Running";
        if (_scheduled + _succeeded + _failed >= least)
            return "Scheduled";
        if (together)
            return "Unknown";
        return _scheduled > 0 ? "Scheduling" : members >= least ? "PreScheduling" : "Pending";
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
