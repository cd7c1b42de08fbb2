using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Sharing;

/// <summary>
/// Says of each SchedulerProfile whether its settings are in use, and keeps the last good ones in its status, so that a broken
/// change does not take them away, not even over a restart.
/// </summary>
internal sealed class SchedulerProfileController : Controller
{
    private const string Accepted = "Accepted";

    public SchedulerProfileController(Cluster cluster) : base(cluster, 1) =>
        cluster.Of(Kinds.SchedulerProfile).Listen((old, now) => Queue.Add((now ?? old!).Key));

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.SchedulerProfile).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.SchedulerProfile).Get(key) is not { IsDeleting: false } profile)
            return Next.Done;
        SchedulerProfile view = profile.View(ApiJson.Default.SchedulerProfile);
        bool good = ProfileReader.Read(view.Spec, out string? problem) is not null;
        string message = good ? "These settings are in use." : $"{problem}. {(view.Status?.Active is null ? "There are no earlier settings to use." : "The last good settings stay in use.")}";
        var condition = new Condition { Type = Accepted, Status = good ? "True" : "False", Reason = good ? Accepted : "Invalid", Message = message, LastTransitionTime = Cluster.Now };
        var wanted = new JsonObject { ["conditions"] = Conditions.ToJson(Conditions.With(view.Status?.Conditions, condition)) };
        if (good)
            wanted["active"] = JsonSerializer.SerializeToNode(view.Spec, ApiJson.Default.SchedulerProfileSpec);
        if (StatusPatch.Changes(profile, wanted) is not { } patch)
            return Next.Done;
        ApiResult result = await Cluster.PatchAsync(Kinds.SchedulerProfile, profile, patch, true, cancellation, "status").ConfigureAwait(false);
        if (!result.Ok)
            return result.IsNotFound ? Next.Done : Next.Retry;
        if (!good)
            Cluster.Events.Warning(profile, "InvalidProfile", message);
        return Next.Done;
    }
}
