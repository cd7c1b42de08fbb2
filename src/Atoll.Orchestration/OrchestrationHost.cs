using Atoll.Api.Resources;
using Atoll.Orchestration.Binding;
using Atoll.Orchestration.Capacities;
using Atoll.Orchestration.DaemonSets;
using Atoll.Orchestration.Defragmentation;
using Atoll.Orchestration.Deliveries;
using Atoll.Orchestration.Deployments;
using Atoll.Orchestration.Disruption;
using Atoll.Orchestration.Gangs;
using Atoll.Orchestration.GarbageCollection;
using Atoll.Orchestration.Jobs;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Namespaces;
using Atoll.Orchestration.Nodes;
using Atoll.Orchestration.ReplicaSets;
using Atoll.Orchestration.Sharing;
using Atoll.Orchestration.Sites;
using Atoll.Orchestration.StatefulSets;
using Atoll.Scheduling.Online;
using Atoll.Orchestration.Volumes;
using Microsoft.Extensions.Logging;

namespace Atoll.Orchestration;

/// <summary>
/// The orchestration centre: every controller, over one set of mirrors. It speaks only <see cref="IResources"/>, so it
/// runs beside Atoll's API server or against an upstream cluster over HTTP. It keeps nothing of its own: stop it anywhere,
/// start it elsewhere, and it reads the world and goes on. Exactly one may run at a time over one API; the caller elects it
/// (a Lease) and cancels <see cref="RunAsync"/> when the lease is lost.
///
/// Invariants: a decision made from an old state is refused by the API (every write names the identity it is about, and
/// the version where the decision depends on it) and made again; a controller sees its own writes before it decides
/// again, however late its mirror; nothing is evicted or replaced because a link is silent.
///
/// It deliberately does not decide where pods go (Atoll.Scheduling), run them (Atoll.Edge), or judge links and nodes (the link hub
/// writes a node's Ready condition, sites their own outcomes).
/// </summary>
public sealed class OrchestrationHost
{
    private const int MaxPlanners = 4;

    private readonly Cluster _cluster;
    private readonly PlacementLoop _placement;

    /// <summary>Prepares the controllers; nothing is read until <see cref="RunAsync"/>.</summary>
    /// <param name="resources">The API, as an identity that may do everything.</param>
    /// <param name="time">Clock of every period and deadline.</param>
    /// <param name="random">Source of jitter; used under a lock.</param>
    /// <param name="loggers">Where failures are told.</param>
    public OrchestrationHost(IResources resources, TimeProvider time, Random random, ILoggerFactory loggers)
    {
        ArgumentNullException.ThrowIfNull(resources);
        _cluster = new Cluster(resources, time, random, loggers);
        _placement = new PlacementLoop(_cluster, Placement, planners: Math.Clamp(Environment.ProcessorCount, 1, MaxPlanners));
    }

    /// <summary>What placement has done so far.</summary>
    public PlacementStatistics Placement { get; } = new();

    /// <summary>Ends when the first plan is carried out, or nothing waited for one, or it was asked to stop before.</summary>
    public Task FirstPlan => _placement.Begun;

    /// <summary>Runs every controller until cancelled, which ends it without an exception.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        List<Controller> controllers = Controllers(_cluster, _placement.Fleet);
        try
        {
            // Pods wait for nodes and nobody for controllers: placement begins before they have read everything, and they read on when
            // its first plan is carried out.
            var listed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Task mirrors = _cluster.RunAsync(() => listed.TrySetResult(), () => started.TrySetResult(), _placement.Begun, cancellation);
            var tasks = new List<Task> { mirrors };
            await Task.WhenAny(listed.Task, mirrors).ConfigureAwait(false);
            if (listed.Task.IsCompleted)
                tasks.Add(Task.Run(() => _placement.RunAsync(cancellation), CancellationToken.None));
            await Task.WhenAny(started.Task, mirrors).ConfigureAwait(false);
            if (started.Task.IsCompleted)
                foreach (Controller controller in controllers)
                    tasks.Add(Task.Run(() => controller.RunAsync(cancellation), CancellationToken.None));
            await Parts.RunAsync(tasks).ConfigureAwait(false);
        }
        finally
        {
            foreach (Controller controller in controllers)
                controller.Dispose();
        }
    }

    /// <summary>Every controller over one cluster; <paramref name="fleet"/> gives a copy of the scheduler's snapshot.</summary>
    internal static List<Controller> Controllers(Cluster cluster, Func<Snapshot> fleet) =>
    [
        new DeploymentController(cluster),
        new ReplicaSetController(cluster),
        new DaemonSetController(cluster),
        new StatefulSetController(cluster),
        new JobController(cluster),
        new GarbageCollector(cluster),
        new NamespaceController(cluster),
        new ServiceAccountController(cluster),
        new NodeTaintController(cluster),
        new TaintEvictionController(cluster),
        new PodGarbageController(cluster),
        new DisruptionController(cluster),
        new PodGroupController(cluster),
        new DeliveryController(cluster, fleet),
        new CapacityController(cluster, fleet),
        new DefragmentationController(cluster, fleet),
        new ElasticQuotaController(cluster),
        new ReservationController(cluster),
        new SchedulerProfileController(cluster),
        new ClaimController(cluster),
        new VolumeController(cluster),
        new SiteResourceController(cluster, fleet),
    ];
}
