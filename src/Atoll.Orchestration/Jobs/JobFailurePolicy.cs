using System.Globalization;
using Atoll.Api.Core;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Jobs;

/// <summary>What a Job's podFailurePolicy says of a pod that failed: the first rule that matches counts (kubernetes.io, "Pod failure policy").</summary>
internal static class JobFailurePolicy
{
    /// <summary>Not counted against the backoff limit.</summary>
    public static bool Ignores(Job job, PodState pod) => Match(job, pod)?.Action == "Ignore";

    /// <summary>Why the Job fails because of this pod, or null.</summary>
    public static string? Fails(Job job, PodState pod) =>
        Match(job, pod) is { Action: "FailJob" } found
            ? string.Create(CultureInfo.InvariantCulture, $"{found.What} matching FailJob rule at index {found.Index}")
            : null;

    private sealed record Found(string Action, int Index, string What);

    private static Found? Match(Job job, PodState pod)
    {
        if (!pod.IsFailed || job.Spec.PodFailurePolicy?.Rules is not { } rules)
            return null;
        for (int i = 0; i < rules.Count; i++)
            if ((rules[i].OnExitCodes is { } codes ? ByExitCode(codes, pod) : ByCondition(rules[i].OnPodConditions ?? [], pod)) is { } what)
                return new Found(rules[i].Action, i, what);
        return null;
    }

    private static string? ByExitCode(PodFailurePolicyOnExitCodes codes, PodState pod)
    {
        foreach (ContainerStatus status in (pod.View.Status?.ContainerStatuses ?? []).Concat(pod.View.Status?.InitContainerStatuses ?? []))
            if (status.State?.Terminated is { ExitCode: not 0 } end && (string.IsNullOrEmpty(codes.ContainerName) || codes.ContainerName == status.Name)
                && (codes.Values ?? []).Contains(end.ExitCode) == (codes.Operator != "NotIn"))
                return string.Create(CultureInfo.InvariantCulture, $"Container {status.Name} for pod {pod.Object.Key} failed with exit code {end.ExitCode}");
        return null;
    }

    private static string? ByCondition(List<PodFailurePolicyOnPodCondition> patterns, PodState pod)
    {
        foreach (PodFailurePolicyOnPodCondition pattern in patterns)
            if (pod.View.Status?.Condition(pattern.Type) is { } condition && condition.Status == (string.IsNullOrEmpty(pattern.Status) ? "True" : pattern.Status))
                return $"Pod {pod.Object.Key} has condition {pattern.Type}";
        return null;
    }
}
