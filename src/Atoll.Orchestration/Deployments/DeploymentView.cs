using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Deployments;

/// <summary>One ReplicaSet of a Deployment. <see cref="Active"/> and <see cref="Unreachable"/> are counted from its pods.</summary>
internal sealed record ReplicaSetState(KubeObject Object, ReplicaSet View, int Active, int Running, int Available, int Unreachable)
{
    /// <summary>How many pods it should have.</summary>
    public int Size => View.Spec.Replicas ?? 1;

    /// <summary>What it reported, never more than it should keep: pods about to go are not counted on.</summary>
    public int SafelyAvailable => Math.Min(Size, Math.Min(Available, View.Status?.AvailableReplicas ?? 0));

    public DateTimeOffset Created => Object.Metadata.CreationTimestamp ?? DateTimeOffset.MinValue;

    public long Revision => Annotations.Number(Object, Annotations.Revision);

    /// <summary>Pods of this set that still run or end, finished ones left out.</summary>
    public bool HasLivePods => Running > 0;
}

/// <summary>What the core sees of a Deployment.</summary>
internal sealed record DeploymentView(KubeObject Object, Deployment Deployment, IReadOnlyList<ReplicaSetState> Sets, DateTimeOffset Now)
{
    public DeploymentSpec Spec => Deployment.Spec;

    public int Replicas => Spec.Replicas ?? 1;

    public bool IsRolling => Spec.Strategy?.Type != "Recreate";

    public bool IsPaused => Spec.Paused == true;

    /// <summary>Null when there is no deadline.</summary>
    public int? ProgressDeadline => Spec.ProgressDeadlineSeconds is int.MaxValue ? null : Spec.ProgressDeadlineSeconds ?? 600;

    /// <summary>How many pods may be above <see cref="Replicas"/>; percentages round up.</summary>
    public int MaxSurge => IsRolling ? Fenceposts().Surge : 0;

    /// <summary>How many pods may be missing; percentages round down, and it is 1 when both would be 0.</summary>
    public int MaxUnavailable => !IsRolling || Replicas == 0 ? 0 : Math.Min(Fenceposts().Unavailable, Replicas);

    /// <summary>The set that has the wanted template, or null; the oldest when there are several.</summary>
    public ReplicaSetState? NewSet() => Sets
        .Where(s => TemplateHash.Equal(s.View.Spec.Template, Spec.Template, Annotations.TemplateHashLabel))
        .OrderBy(s => s.Created).ThenBy(s => s.Object.Name, StringComparer.Ordinal).FirstOrDefault();

    private (int Surge, int Unavailable) Fenceposts()
    {
        var standard = new Atoll.Api.IntOrString("25%");
        RollingUpdate? rolling = Spec.Strategy?.RollingUpdate;
        if (!(rolling?.MaxSurge ?? standard).TryScale(Replicas, true, out int surge))
            surge = 0;
        if (!(rolling?.MaxUnavailable ?? standard).TryScale(Replicas, false, out int unavailable))
            unavailable = 0;
        return surge == 0 && unavailable == 0 ? (0, 1) : (surge, unavailable);
    }
}

/// <summary>Annotations and labels by which a Deployment and its sets know each other.</summary>
internal static class Annotations
{
    public const string TemplateHashLabel = "pod-template-hash";
    public const string Revision = "deployment.kubernetes.io/revision";
    public const string RevisionHistory = "deployment.kubernetes.io/revision-history";
    public const string Desired = "deployment.kubernetes.io/desired-replicas";
    public const string Max = "deployment.kubernetes.io/max-replicas";
    private const int HistoryLimit = 2000;

    private static readonly string[] s_notCopied =
        ["kubectl.kubernetes.io/last-applied-configuration", Revision, RevisionHistory, Desired, Max, "deprecated.deployment.rollback.to"];

    /// <summary>A number kept in an annotation; 0 when there is none.</summary>
    public static long Number(KubeObject value, string key) =>
        long.TryParse(value.Metadata.Annotation(key), NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : 0;

    public static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>
    /// What must be written on the new set: the Deployment's own annotations (the change cause among them) and, when its
    /// template comes back from history, the new revision with the old one remembered. <paramref name="set"/> is null for one that is being made.
    /// </summary>
    public static Dictionary<string, string> ForNewSet(KubeObject deployment, KubeObject? set, long revision)
    {
        var wanted = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (KeyValuePair<string, string> given in deployment.Metadata.Annotations ?? [])
            if (Array.IndexOf(s_notCopied, given.Key) < 0)
                wanted[given.Key] = given.Value;
        long known = set is null ? 0 : Number(set, Revision);
        if (known < revision)
        {
            wanted[Revision] = Text(revision);
            if (known > 0)
                wanted[RevisionHistory] = Append(set!.Metadata.Annotation(RevisionHistory), Text(known));
        }
        if (set?.Metadata.Annotations is { } present)
            foreach (string key in wanted.Keys.ToArray())
                if (present.TryGetValue(key, out string? value) && value == wanted[key])
                    wanted.Remove(key);
        return wanted;
    }

    private static string Append(string? history, string revision)
    {
        if (string.IsNullOrEmpty(history))
            return revision;
        string all = history + "," + revision;
        while (all.Length > HistoryLimit)
            all = all[(all.IndexOf(',', StringComparison.Ordinal) + 1)..];
        return all;
    }
}
