using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Orchestration.Revisions;

namespace Atoll.Orchestration.DaemonSets;

/// <summary>Carries out what <see cref="DaemonSetPlan"/> says, and keeps the revisions.</summary>
internal sealed class DaemonSetController : Controller
{
    private static readonly TimeSpan s_firstPause = TimeSpan.FromSeconds(1), s_lastPause = TimeSpan.FromMinutes(15);

    /// <summary>Failed pods by set and node, so that a pod that always fails is made again ever more slowly.</summary>
    private readonly ConcurrentDictionary<string, (int Failures, DateTimeOffset Last)> _failures = new(StringComparer.Ordinal);

    public DaemonSetController(Cluster cluster) : base(cluster)
    {
        PodEvents.Listen(cluster, Kinds.DaemonSet, Queue, static o => o.View(ApiJson.Default.DaemonSet).Spec.Selector);
        cluster.Nodes.Listen((old, now) =>
        {
            if (old is null || now is null || Matters(old) != Matters(now))
                foreach (string key in Keys())
                    Queue.Add(key);
        });
        cluster.Of(Kinds.ControllerRevision).Listen((old, now) =>
        {
            if (now is null && PodEvents.Owner(old, Kinds.DaemonSet) is { } owner)
                Queue.Add(owner);
        });
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.DaemonSet).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.DaemonSet).Get(key) is not { } set)
            return Next.Done;
        DaemonSet spec = set.View(ApiJson.Default.DaemonSet);
        if (await Claims.ClaimAsync(Cluster, Kinds.DaemonSet, set, spec.Spec.Selector, Cluster.Pods, [], cancellation).ConfigureAwait(false) is null)
            return Next.Retry;
        List<KubeObject> revisions = Owned(Kinds.ControllerRevision, set);
        var revised = new RevisedSet(Kinds.DaemonSet, set, spec.Spec.Template, spec.Status?.CollisionCount, spec.Spec.RevisionHistoryLimit);
        (KubeObject? current, int? collisions) = await RevisionHistory.EnsureAsync(Cluster, revised, revisions, cancellation).ConfigureAwait(false);
        if (current is null)
        {
            await RevisionHistory.TellCollisionsAsync(Cluster, revised, collisions, cancellation).ConfigureAwait(false);
            return set.IsDeleting ? Next.Done : Next.Retry;
        }
        string hash = RevisionHistory.Hash(current);
        DaemonSetView view = Read(set, spec, hash);
        DaemonSetPlan plan = DaemonSetPlan.Make(view);
        (bool ok, TimeSpan? after) = await ExecuteAsync(view, plan, cancellation).ConfigureAwait(false);
        var live = view.Pods.Select(p => p.Object.Metadata.Label(RevisionHistory.HashLabel) ?? "").Append(hash).ToHashSet(StringComparer.Ordinal);
        if (!set.IsDeleting)
            foreach (KubeObject old in RevisionHistory.Surplus(revised, revisions, r => live.Contains(RevisionHistory.Hash(r))))
                ok &= (await Cluster.DeleteAsync(Kinds.ControllerRevision, old, DeleteOptions.Default, cancellation).ConfigureAwait(false)).Ok;
        view = Read(set, spec, hash);
        ok &= await WriteStatusAsync(view, DaemonSetPlan.Status(view, collisions), cancellation).ConfigureAwait(false);
        if (PodState.NextAvailable(view.Pods, view.MinReady, view.Now) is { } wait && (after is null || wait < after))
            after = wait;
        return ok ? Next.In(after) : Next.Retry;
    }

    private async ValueTask<(bool Ok, TimeSpan? After)> ExecuteAsync(DaemonSetView view, DaemonSetPlan plan, CancellationToken cancellation)
    {
        ApiStatus? failure = await PodBatch.SlowStartAsync(Math.Min(plan.Create.Count, PodBatch.Burst), i => PodBatch.CreateAsync(
            Cluster, view.Object, DaemonPods.Document(view.Object, view.Set, plan.Create[i], view.Hash), cancellation)).ConfigureAwait(false);
        bool ok = failure is null || PodBatch.IsNamespaceEnding(failure);
        foreach (PodState pod in plan.Delete.Take(PodBatch.Burst))
            ok &= (await PodBatch.DeleteAsync(Cluster, view.Object, pod.Object, cancellation).ConfigureAwait(false)).Ok;
        TimeSpan? after = plan.Create.Count > PodBatch.Burst || plan.Delete.Count > PodBatch.Burst ? TimeSpan.Zero : null;
        foreach (PodState pod in plan.Failed)
        {
            TimeSpan wait = Pause(view.Object.Uid + "/" + DaemonPods.NodeOf(pod.View));
            if (wait > TimeSpan.Zero)
            {
                after = after is null || wait < after ? wait : after;
                continue;
            }
            Cluster.Events.Warning(view.Object, pod.IsFailed ? "FailedDaemonPod" : "SucceededDaemonPod",
                $"Found {pod.Phase.ToLowerInvariant()} daemon pod {pod.Object.Key} on node {pod.View.Spec.NodeName}, will try to delete it");
            ok &= (await PodBatch.DeleteAsync(Cluster, view.Object, pod.Object, cancellation).ConfigureAwait(false)).Ok;
        }
        return (ok, after);
    }

    /// <summary>How long a failed pod must still wait; zero takes note of one more failure.</summary>
    private TimeSpan Pause(string key)
    {
        DateTimeOffset now = Cluster.Now;
        (int failures, DateTimeOffset last) = _failures.GetValueOrDefault(key);
        if (failures > 0 && now - last > 2 * s_lastPause)
            failures = 0;
        double pause = failures == 0 ? 0 : Math.Min(s_lastPause.TotalSeconds, s_firstPause.TotalSeconds * Math.Pow(2, failures - 1));
        TimeSpan wait = last.AddSeconds(pause) - now;
        if (failures > 0 && wait > TimeSpan.Zero)
            return wait;
        _failures[key] = (Math.Min(failures + 1, 30), now);
        return TimeSpan.Zero;
    }

    private DaemonSetView Read(KubeObject set, DaemonSet view, string hash)
    {
        PodSpec template = view.Spec.Template.ValueKind == JsonValueKind.Object ? view.Spec.Template.Deserialize(ApiJson.Default.Pod)!.Spec : new PodSpec();
        var nodes = new List<DaemonNode>();
        foreach (KubeObject node in Cluster.Nodes.All().OrderBy(n => n.Name, StringComparer.Ordinal))
        {
            (bool run, bool stay) = DaemonPods.Fits(template, node);
            nodes.Add(new DaemonNode(node.Name, run, stay, NodeState.IsUnreachable(node)));
        }
        var pods = new List<PodState>();
        foreach (KubeObject pod in Owned(Kinds.Pod, set))
            pods.Add(PodState.Of(Cluster, pod));
        return new DaemonSetView(set, view, hash, nodes, pods, Cluster.Now);
    }

    private async ValueTask<bool> WriteStatusAsync(DaemonSetView view, DaemonSetStatus status, CancellationToken cancellation)
    {
        var wanted = new JsonObject
        {
            ["currentNumberScheduled"] = status.CurrentNumberScheduled,
            ["numberMisscheduled"] = status.NumberMisscheduled,
            ["desiredNumberScheduled"] = status.DesiredNumberScheduled,
            ["numberReady"] = status.NumberReady,
            ["observedGeneration"] = status.ObservedGeneration,
            ["updatedNumberScheduled"] = Conditions.Count(status.UpdatedNumberScheduled ?? 0),
            ["numberAvailable"] = Conditions.Count(status.NumberAvailable ?? 0),
            ["numberUnavailable"] = Conditions.Count(status.NumberUnavailable ?? 0),
            ["collisionCount"] = status.CollisionCount is { } collisions ? collisions : null,
            ["conditions"] = status.Conditions is { Count: > 0 } conditions ? Conditions.ToJson(conditions) : null,
        };
        if (StatusPatch.Changes(view.Object, wanted) is not { } patch)
            return true;
        ApiResult result = await Cluster.PatchAsync(Kinds.DaemonSet, view.Object, patch, false, cancellation, "status").ConfigureAwait(false);
        return result.Ok || result.IsNotFound;
    }

    private List<KubeObject> Owned(ResourceType type, KubeObject set) =>
        [.. Cluster.Of(type).In(Copy.OwnedBy(set.Uid)).Where(o => o.Metadata.Controller()?.Uid == set.Uid)];

    /// <summary>What of a node decides about daemons; heartbeats do not.</summary>
    private static string Matters(KubeObject node)
    {
        Node view = node.View(ApiJson.Default.Node);
        string labels = string.Join(',', (node.Metadata.Labels ?? []).OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"));
        string taints = string.Join(',', (view.Spec.Taints ?? []).Select(t => $"{t.Key}={t.Value}:{t.Effect}"));
        return $"{labels}|{taints}|{NodeState.IsUnreachable(node)}";
    }
}
