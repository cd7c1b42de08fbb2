using System.Globalization;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Defragmentation;

/// <summary>Changes of a plan's status. Each gives back the status that it was given; none does I/O.</summary>
internal static class PlanStatus
{
    /// <summary>What of a spec decides the moves: approval, windows and pace do not.</summary>
    public static string KeyOf(DefragmentationPlanSpec spec) => Digest.Of(JsonSerializer.Serialize(
        new DefragmentationPlanSpec { Flavours = spec.Flavours, Region = spec.Region, Site = spec.Site, MoveWithin = spec.MoveWithin, DoNotMove = spec.DoNotMove, Limits = new DefragmentationLimits { MaxMoves = spec.Limits?.MaxMoves } },
        ApiJson.Default.DefragmentationPlanSpec), 8);

    /// <summary>The step that is under way or next, or null.</summary>
    public static DefragmentationMove? Current(DefragmentationPlanStatus status) => status.Moves?.Find(m => m.State is not ("Done" or "TakenBack"));

    /// <summary>True while a replacement of a step may exist beside its pod.</summary>
    public static bool IsUnderWay(DefragmentationMove move) => move.State is "Placing" or "Starting" or "Evicting";

    /// <summary>How many moves are still to be done, in words.</summary>
    public static string Waiting(DefragmentationPlanStatus status)
    {
        List<DefragmentationMove> moves = (status.Moves ?? []).FindAll(static m => m.State == "Pending");
        int restarts = moves.Count(static m => m.Restarts == true);
        return restarts > 0 ? $"{moves.Count} moves ({restarts} with a restart of the pod)" : $"{moves.Count} moves";
    }

    /// <summary>Counts moves and says how it stands.</summary>
    public static DefragmentationPlanStatus Phase(DefragmentationPlanStatus status, string phase, string message, DateTimeOffset now, string? approvedBy)
    {
        List<DefragmentationMove> moves = status.Moves ?? [];
        status.Phase = phase;
        status.Message = message;
        status.MovesDone = moves.Count(m => m.State == "Done");
        status.MovesTotal = moves.Count(m => m.State != "TakenBack");
        List<Condition> conditions = Conditions.With(status.Conditions, Of("Computed", status.ComputedAt is not null, status.ComputedAt is not null ? "Computed" : "Pending", status.ComputedAt is null ? message : status.Conditions?.Find(c => c.Type == "Computed" && c.Status == "True")?.Message ?? ""));
        conditions = Conditions.With(conditions, Of("Approved", approvedBy is not null, approvedBy ?? "Waiting", approvedBy is null ? "set spec.approved: true, or: atoll defragment approve" : ""));
        conditions = Conditions.With(conditions, Of("Complete", phase == "Completed", phase, message));
        status.Conditions = conditions;
        return status;

        Condition Of(string type, bool holds, string reason, string text) => new() { Type = type, Status = holds ? "True" : "False", Reason = reason, Message = text, LastTransitionTime = now };
    }

    /// <summary>What was promised against what was reached, in words.</summary>
    public static string Report(DefragmentationPlanStatus status)
    {
        int done = status.Moves?.Count(m => m.State == "Done") ?? 0, back = status.Moves?.Count(m => m.State == "TakenBack") ?? 0;
        string effects = string.Join(", ", (status.Effects ?? []).Select(e => string.Create(CultureInfo.InvariantCulture, $"{e.Flavour}: {e.Promised - e.Before:+0;-0;+0} promised, {(e.Reached ?? e.Before) - e.Before:+0;-0;+0} reached")));
        return $"{done} moves done{(back > 0 ? $", {back} taken back" : "")}{(effects.Length > 0 ? "; " + effects : "")}";
    }
}
