using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Gangs;

/// <summary>
/// Keeps the status of each PodGroup, and sees to it that a half-bound group does not stay: when some members have a node and the
/// others got none within the group's time-out (a node refused, or went), the bound ones are deleted, for a binding cannot be
/// taken back; their owners make them anew and the group is planned again. A group that once had all its members together is
/// never taken apart. Everything is read from the group's status and its pods, so a new process goes on where the last ended.
/// </summary>
internal sealed class PodGroupController : Controller
{
    /// <summary>Time-out of a group that names none.</summary>
    internal const int DefaultTimeoutSeconds = 60;

    public PodGroupController(Cluster cluster) : base(cluster, 2)
    {
        cluster.Of(Kinds.PodGroup).Listen((old, now) => Queue.Add((now ?? old!).Key));
        cluster.Pods.Listen((old, now) =>
        {
            foreach (KubeObject? pod in (ReadOnlySpan<KubeObject?>)[old, now])
                if (pod?.Metadata.Label(PodGroup.Label) is { } name)
                    Queue.Add($"{pod.Namespace}/{name}");
        });
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.PodGroup).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.PodGroup).Get(key) is not { IsDeleting: false } group)
            return Next.Done;
        PodGroup view = group.View(ApiJson.Default.PodGroup);
        List<KubeObject> members = Cluster.Pods.In(Copy.InNamespace(group.Namespace)).FindAll(p => !p.IsDeleting && p.Metadata.Label(PodGroup.Label) == group.Name);
        GangState state = GangState.Of(view, members, Cluster.Now);
        if (state.Overdue.Count > 0 && !await GiveBackAsync(group, view, state, cancellation).ConfigureAwait(false))
            return Next.Retry;
        if (StatusPatch.Changes(group, state.Status) is { } patch)
        {
            ApiResult result = await Cluster.PatchAsync(Kinds.PodGroup, group, patch, true, cancellation, "status").ConfigureAwait(false);
            if (!result.Ok && !result.IsNotFound)
                return Next.Retry;
            if (state.Reason == GangState.TimedOut && Conditions.Get(view.Status?.Conditions, GangState.Scheduled)?.Reason != GangState.TimedOut)
                Cluster.Events.Warning(group, GangState.TimedOut, state.Message);
        }
        return Next.In(state.Again);
    }

    private async ValueTask<bool> GiveBackAsync(KubeObject group, PodGroup view, GangState state, CancellationToken cancellation)
    {
        string text = string.Create(CultureInfo.InvariantCulture, $"only {state.Overdue.Count} of the {view.Spec.MinMember} members of pod group {group.Key} had a node after {view.Spec.ScheduleTimeoutSeconds ?? DefaultTimeoutSeconds} s; their room is given back");
        bool all = true;
        foreach (KubeObject pod in state.Overdue)
        {
            ApiResult result = await Cluster.DeleteAsync(Kinds.Pod, pod, DeleteOptions.Default, cancellation).ConfigureAwait(false);
            all &= result.Ok;
            if (result.Ok)
                Cluster.Events.Warning(pod, "GangTimedOut", text);
        }
        Cluster.Events.Warning(group, "GangTimedOut", text);
        return all;
    }
}
