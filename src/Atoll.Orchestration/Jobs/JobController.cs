using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Jobs;

/// <summary>
/// Carries out what <see cref="JobPlan"/> and <see cref="JobStatusPlan"/> say. The order within one look is what makes
/// the counts right: pods first, then what ended is noted in the status, then finalizers go, then the counts are raised.
/// A key <c>!namespace/pod</c> stands for a pod whose Job is gone and which must not be held by our finalizer.
/// </summary>
internal sealed class JobController : Controller
{
    private static readonly byte[] s_tracking = Encoding.UTF8.GetBytes(JobView.Tracking);

    private const int Rounds = 4;

    public JobController(Cluster cluster) : base(cluster)
    {
        PodEvents.Listen(cluster, Kinds.Job, Queue, static o => o.View(ApiJson.Default.Job).Spec.Selector);
        cluster.Of(Kinds.Job).Listen((old, now) =>
        {
            if (old is not null && (now is null || now.Uid != old.Uid))
                foreach (KubeObject pod in cluster.Pods.In(Copy.OwnedBy(old.Uid)))
                    Queue.Add("!" + pod.Key);
        });
        cluster.Pods.Listen((_, now) =>
        {
            if (now is not null && IsOrphan(now))
                Queue.Add("!" + now.Key);
        });
    }

    public override IEnumerable<string> Keys() =>
        Cluster.Of(Kinds.Job).Keys().Concat(Cluster.Pods.All().Where(IsOrphan).Select(p => "!" + p.Key));

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (key[0] == '!')
            return await FreeAsync(key[1..], cancellation).ConfigureAwait(false);
        if (Cluster.Of(Kinds.Job).Get(key) is not { } job)
            return Next.Done;
        Job spec = job.View(ApiJson.Default.Job);
        if (await Claims.ClaimAsync(Cluster, Kinds.Job, job, spec.Spec.Selector, Cluster.Pods, [JobView.Tracking], cancellation).ConfigureAwait(false) is null)
            return Next.Retry;
        JobView view = Read(job);
        if (view.Finished is not null)
            return await RetireAsync(view, cancellation).ConfigureAwait(false);
        JobPlan plan = JobPlan.Make(view);
        bool ok = await ExecuteAsync(view, plan, cancellation).ConfigureAwait(false);
        for (int round = 0; ok && round < Rounds; round++)
        {
            view = Read(Cluster.Of(Kinds.Job).Get(key) is { } fresh && fresh.Uid == job.Uid ? fresh : job);
            JobStatusPlan status = JobStatusPlan.Make(view, plan.Finish);
            (ok, bool changed) = await WriteAsync(view, status, plan.Finish, cancellation).ConfigureAwait(false);
            if (status.Release.Count == 0 && !changed)
                return Next.In(plan.After);
        }
        return ok ? Next.In(TimeSpan.Zero) : Next.Retry;
    }

    private JobView Read(KubeObject job)
    {
        var pods = new List<PodState>();
        foreach (KubeObject pod in Cluster.Pods.In(Copy.OwnedBy(job.Uid)))
            if (pod.Metadata.Controller()?.Uid == job.Uid)
                pods.Add(PodState.Of(Cluster, pod));
        return new JobView(job, job.View(ApiJson.Default.Job), pods, Cluster.Now);
    }

    private async ValueTask<bool> ExecuteAsync(JobView view, JobPlan plan, CancellationToken cancellation)
    {
        bool ok = true;
        foreach (PodState pod in plan.Drop)
            ok &= await ReleaseAsync(pod.Object, cancellation).ConfigureAwait(false)
                && (await PodBatch.DeleteAsync(Cluster, view.Object, pod.Object, cancellation).ConfigureAwait(false)).Ok;
        foreach (PodState pod in plan.Kill)
            ok &= (await PodBatch.DeleteAsync(Cluster, view.Object, pod.Object, cancellation).ConfigureAwait(false)).Ok;
        ApiStatus? failure = await PodBatch.SlowStartAsync(plan.Create.Count, i =>
            PodBatch.CreateAsync(Cluster, view.Object, JobPods.Document(view.Object, view.Job, plan.Create[i]), cancellation)).ConfigureAwait(false);
        return ok && (failure is null || PodBatch.IsNamespaceEnding(failure));
    }

    private async ValueTask<(bool Ok, bool Changed)> WriteAsync(JobView view, JobStatusPlan plan, Condition? finish, CancellationToken cancellation)
    {
        bool changed = false;
        if (StatusPatch.Changes(view.Object, plan.Status) is { } patch)
        {
            // Of the very version that was counted from: a count raised twice can never be repaired.
            ApiResult result = await Cluster.PatchAsync(Kinds.Job, view.Object, patch, true, cancellation, "status").ConfigureAwait(false);
            if (!result.Ok)
                return (result.IsNotFound, false);
            changed = true;
            if (plan.IsFinal && finish!.Type == "Complete")
                Cluster.Events.Normal(view.Object, "Completed", "Job completed");
            else if (plan.IsFinal)
                Cluster.Events.Warning(view.Object, finish!.Reason!, finish.Message!);
        }
        bool ok = true;
        foreach (PodState pod in plan.Release)
            ok &= await ReleaseAsync(pod.Object, cancellation).ConfigureAwait(false);
        return (ok, changed);
    }

    /// <summary>A finished Job: nothing of it is held any more, and it goes when its time is over.</summary>
    private async ValueTask<Next> RetireAsync(JobView view, CancellationToken cancellation)
    {
        bool ok = true;
        foreach (PodState pod in view.Pods)
            ok &= await ReleaseAsync(pod.Object, cancellation).ConfigureAwait(false);
        if (!ok)
            return Next.Retry;
        if (view.Job.Spec.TtlSecondsAfterFinished is not { } ttl || view.Object.IsDeleting || view.Finished!.LastTransitionTime is not { } at)
            return Next.Done;
        TimeSpan left = at.AddSeconds(ttl) - view.Now;
        if (left > TimeSpan.Zero)
            return Next.In(left);
        // Of the very version: somebody may have given it more time.
        ApiResult result = await Cluster.DeleteAsync(Kinds.Job, view.Object, new DeleteOptions { PropagationPolicy = "Foreground", ResourceVersion = view.Object.ResourceVersion }, cancellation).ConfigureAwait(false);
        return result.Ok ? Next.Done : Next.Retry;
    }

    private async ValueTask<Next> FreeAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Pods.Get(key) is not { } pod || !IsOrphan(pod))
            return Next.Done;
        OwnerReference owner = pod.Metadata.Controller()!;
        ApiResult job = await Cluster.Api.GetAsync(Kinds.Job, pod.Namespace, owner.Name, cancellation).ConfigureAwait(false);
        if (job.Object?.Uid == owner.Uid)
            return Next.Done; // Our copy of the Jobs is late.
        return (job.Ok || job.IsNotFound) && await ReleaseAsync(pod, cancellation).ConfigureAwait(false) ? Next.Done : Next.Retry;
    }

    /// <summary>Takes our finalizer from a pod.</summary>
    private async ValueTask<bool> ReleaseAsync(KubeObject pod, CancellationToken cancellation)
    {
        if (pod.Metadata.Finalizers?.Contains(JobView.Tracking) != true)
            return true;
        var rest = new JsonArray();
        foreach (string finalizer in pod.Metadata.Finalizers)
            if (finalizer != JobView.Tracking)
                rest.Add((JsonNode)finalizer);
        ApiResult result = await Cluster.PatchAsync(Kinds.Pod, pod, new JsonObject { ["metadata"] = new JsonObject { ["finalizers"] = rest } }, true, cancellation).ConfigureAwait(false);
        return result.Ok || result.IsNotFound;
    }

    // Asked of every pod, and few are a Job's: bytes cost less to search than metadata to read.
    private bool IsOrphan(KubeObject pod) =>
        pod.Utf8.Span.IndexOf(s_tracking) >= 0 && pod.Metadata.Finalizers?.Contains(JobView.Tracking) == true
        && pod.Metadata.Controller() is { Kind: "Job" } owner && Cluster.Of(Kinds.Job).Get($"{pod.Namespace}/{owner.Name}")?.Uid != owner.Uid;
}
