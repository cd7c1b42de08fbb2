using Atoll.Api.Core;

namespace Atoll.Orchestration.Pods;

/// <summary>
/// The condition that explains why ready and available pods are fewer than replicas while nothing is being replaced:
/// some pods are at sites whose line is cut.
/// </summary>
internal static class Unreachable
{
    /// <summary>Type of the condition.</summary>
    public const string Type = "Unreachable";

    /// <summary>The list with the condition put in or taken out.</summary>
    public static List<Condition> Condition(List<Condition> conditions, int unreachable, int total, DateTimeOffset now) => unreachable == 0
        ? Conditions.Without(conditions, Type)
        : Conditions.With(conditions, new Condition
        {
            Type = Type,
            Status = "True",
            LastTransitionTime = now,
            Reason = "NodeStateUnknown",
            Message = $"{unreachable} of {total} pods are on nodes out of reach; they are kept, not replaced, and not counted as ready or available.",
        });
}
