using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Api.Core;

/// <summary>
/// edge.atoll.dev/v1alpha1 DefragmentationPlan: pods are to be moved so that more of some flavours can be sold. The spec is the
/// operator's; the centre computes the moves, waits for approval, carries them out one by one and reports, all in the status.
/// </summary>
public sealed class DefragmentationPlan
{
    /// <summary>Annotation of a pod (or its owner's template) that keeps it where it is; any value but <c>false</c>.</summary>
    public const string DoNotMove = "edge.atoll.dev/do-not-move";

    /// <summary>Annotation of a Job's pod (by its template) that lets it be moved when <c>true</c>: its work begins anew.</summary>
    public const string MayRestart = "edge.atoll.dev/may-restart";

    /// <summary>Annotation of a pod that is made to take the place of another: that one's identity. Until it goes, both are one replica.</summary>
    public const string Replaces = "edge.atoll.dev/replaces";

    /// <summary>Annotation of a replacement, or of the Reservation for one: the plan's identity and the step that made it.</summary>
    public const string StepAnnotation = "edge.atoll.dev/defragmentation-step";

    /// <summary>Finalizer of a plan with steps under way: they are taken back before it goes.</summary>
    public const string Finalizer = "edge.atoll.dev/defragmentation";

    /// <summary>Always <c>edge.atoll.dev/v1alpha1</c>.</summary>
    public string ApiVersion { get; set; } = "edge.atoll.dev/v1alpha1";

    /// <summary>Always <c>DefragmentationPlan</c>.</summary>
    public string Kind { get; set; } = "DefragmentationPlan";

    /// <summary>Metadata.</summary>
    public ObjectMeta Metadata { get; set; } = new();

    /// <summary>What is wanted and allowed.</summary>
    public DefragmentationPlanSpec Spec { get; set; } = new();

    /// <summary>The moves and how far they are.</summary>
    public DefragmentationPlanStatus? Status { get; set; }
}

/// <summary>What is wanted and allowed.</summary>
public sealed class DefragmentationPlanSpec
{
    /// <summary>Flavours to be made saleable; all Flavour objects, each counting 1, when absent.</summary>
    public List<DefragmentationFlavour>? Flavours { get; set; }

    /// <summary>Only nodes of this region.</summary>
    public string? Region { get; set; }

    /// <summary>Only nodes of this site.</summary>
    public string? Site { get; set; }

    /// <summary>How far a pod may go: within its <c>Region</c> (default) or its <c>Site</c>.</summary>
    public string? MoveWithin { get; set; }

    /// <summary>Limits.</summary>
    public DefragmentationLimits? Limits { get; set; }

    /// <summary>Steps begin only within these; any time when absent.</summary>
    public List<DefragmentationWindow>? Windows { get; set; }

    /// <summary>Pods with these labels are not moved.</summary>
    public LabelSelector? DoNotMove { get; set; }

    /// <summary>A person's word that the plan is to be carried out.</summary>
    public bool? Approved { get; set; }

    /// <summary>A plan of at most so many moves is approved without a person; 0 (default) means none.</summary>
    public int? AutoApproveMoves { get; set; }

    /// <summary>What happens when a step is no longer possible: <c>Replan</c> (default) what is left within the limits, or <c>Stop</c>.</summary>
    public string? OnChange { get; set; }

    /// <summary>No further step begins while true.</summary>
    public bool? Suspended { get; set; }
}

/// <summary>A flavour of an objective.</summary>
public sealed class DefragmentationFlavour
{
    /// <summary>Name of a Flavour.</summary>
    public string Name { get; set; } = "";

    /// <summary>What one instance counts, 0 to 1,000,000; 1 when absent.</summary>
    public int? Weight { get; set; }
}

/// <summary>Limits of a plan.</summary>
public sealed class DefragmentationLimits
{
    /// <summary>Moves at most, 1 to 1,000; 10 when absent. Moves of earlier revisions count.</summary>
    public int? MaxMoves { get; set; }

    /// <summary>Bytes a second of images that moves may pull into one site, a quantity; no limit when absent.</summary>
    public string? SiteBandwidth { get; set; }

    /// <summary>Seconds that one step may take, 10 to 86,400; 600 when absent. Then it is taken back.</summary>
    public int? StepTimeoutSeconds { get; set; }
}

/// <summary>A time of the week, UTC.</summary>
public sealed class DefragmentationWindow
{
    /// <summary>Days on which it begins, <c>Mon</c> to <c>Sun</c>; every day when absent.</summary>
    public List<string>? Days { get; set; }

    /// <summary>Begin, <c>HH:MM</c>.</summary>
    public string Start { get; set; } = "";

    /// <summary>End, <c>HH:MM</c>; at or before the begin it is on the next day.</summary>
    public string End { get; set; } = "";
}

/// <summary>The moves and how far they are. All that execution needs: a centre that restarts goes on from here.</summary>
public sealed class DefragmentationPlanStatus
{
    /// <summary><c>Pending</c>, <c>WaitingForApproval</c>, <c>Executing</c>, <c>Completed</c> or <c>Failed</c>.</summary>
    public string? Phase { get; set; }

    /// <summary>Why it is where it is.</summary>
    public string? Message { get; set; }

    /// <summary>Conditions: Computed, Approved, Complete.</summary>
    public List<Condition>? Conditions { get; set; }

    /// <summary>Generation of the spec that this is about.</summary>
    public long? ObservedGeneration { get; set; }

    /// <summary>Digest of the parts of the spec that the moves were computed for.</summary>
    public string? ComputedFor { get; set; }

    /// <summary>When the moves were computed.</summary>
    public DateTimeOffset? ComputedAt { get; set; }

    /// <summary>How long that took.</summary>
    public int? ComputeMilliseconds { get; set; }

    /// <summary>How often the moves were computed.</summary>
    public int? Revision { get; set; }

    /// <summary>Moves in order: those done in earlier revisions, then those of this one.</summary>
    public List<DefragmentationMove>? Moves { get; set; }

    /// <summary>How many moves are done.</summary>
    public int? MovesDone { get; set; }

    /// <summary>How many moves there are, without those taken back.</summary>
    public int? MovesTotal { get; set; }

    /// <summary>What the moves promise and have reached, by flavour.</summary>
    public List<DefragmentationEffect>? Effects { get; set; }
}

/// <summary>One move.</summary>
public sealed class DefragmentationMove
{
    /// <summary>Number of the step, from 1.</summary>
    public int Step { get; set; }

    /// <summary>Namespace of the pod.</summary>
    public string Namespace { get; set; } = "";

    /// <summary>Name of the pod.</summary>
    public string Pod { get; set; } = "";

    /// <summary>Identity of the pod.</summary>
    public string Uid { get; set; } = "";

    /// <summary>Node that it leaves.</summary>
    public string From { get; set; } = "";

    /// <summary>Node that its replacement goes to.</summary>
    public string To { get; set; } = "";

    /// <summary>Site of that node.</summary>
    public string? ToSite { get; set; }

    /// <summary>Bytes of images that have to be pulled there.</summary>
    public long? Bytes { get; set; }

    /// <summary>True when the pod goes before its owner makes it anew: a StatefulSet's, or a Job's that allows it. Absent for others.</summary>
    public bool? Restarts { get; set; }

    /// <summary>Name of the Reservation that keeps the room meanwhile.</summary>
    public string? Reservation { get; set; }

    /// <summary><c>Pending</c>, <c>Placing</c> (the replacement, or the Reservation, is made), <c>Starting</c> (it has its room), <c>Evicting</c>, <c>Done</c>, <c>TakenBack</c>.</summary>
    public string State { get; set; } = "Pending";

    /// <summary>Name of the replacement.</summary>
    public string? Replacement { get; set; }

    /// <summary>When the step began.</summary>
    public DateTimeOffset? StartedAt { get; set; }

    /// <summary>When it ended.</summary>
    public DateTimeOffset? FinishedAt { get; set; }

    /// <summary>Why it was taken back, or what is worth knowing.</summary>
    public string? Message { get; set; }
}

/// <summary>Instances of a flavour that can be sold before, after as promised, and as reached.</summary>
public sealed class DefragmentationEffect
{
    /// <summary>The flavour.</summary>
    public string Flavour { get; set; } = "";

    /// <summary>Before the first move.</summary>
    public long Before { get; set; }

    /// <summary>After the last move, by the plan.</summary>
    public long Promised { get; set; }

    /// <summary>Now; absent before the first move is done.</summary>
    public long? Reached { get; set; }

    /// <summary>No plan can reach more: what the free capacity would hold in one piece.</summary>
    public long Bound { get; set; }

    /// <summary>Fragmentation rate before.</summary>
    public double FragmentationBefore { get; set; }

    /// <summary>Fragmentation rate as promised.</summary>
    public double FragmentationPromised { get; set; }

    /// <summary>Fragmentation rate as reached.</summary>
    public double? FragmentationReached { get; set; }
}
