using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

internal enum ContainerRole { Init, Sidecar, Main }

/// <summary>What is being done for a container just now.</summary>
internal enum ContainerBusy { No, Starting, PostStart, Stopping, Removing }

/// <summary>Why a container (or the pod's preparation) waits, and when to try again. Attempts counts pulls that failed in a row.</summary>
internal sealed record WaitFact(string Reason, string Message, DateTimeOffset RetryAt, string? LastError = null);

/// <summary>What the shell has seen of a container: nothing here is remembered by the core.</summary>
internal sealed record ContainerFacts
{
    public Instance? Instance { get; init; }
    public string? TerminationMessage { get; init; }
    public ContainerBusy Busy { get; init; }
    public WaitFact? Wait { get; init; }

    /// <summary>Set when the runtime could not start the attempt; it counts as an end.</summary>
    public EndRecord? StartFailure { get; init; }

    /// <summary>Set when the post-start hook has ended: null message is success.</summary>
    public bool PostStartDone { get; init; }
    public string? PostStartError { get; init; }

    /// <summary>Null while unknown.</summary>
    public bool? StartupOk { get; init; }
    public bool? ReadinessOk { get; init; }
    public bool StartupFailed { get; init; }
    public bool LivenessFailed { get; init; }
    public string? ResolvedImageId { get; init; }
}

/// <summary>Everything that one step looks at.</summary>
internal sealed record PodFacts
{
    public required KubeObject Object { get; init; }
    public required Pod Pod { get; init; }
    public required PodRecord Record { get; init; }
    public required DateTimeOffset Now { get; init; }

    /// <summary>When the agent began.</summary>
    public DateTimeOffset AgentSince { get; init; } = DateTimeOffset.MinValue;
    public required string RuntimeName { get; init; }
    public required string HostIp { get; init; }
    public required BackoffRule Backoff { get; init; }
    public IReadOnlyDictionary<string, ContainerFacts> Containers { get; init; } = new Dictionary<string, ContainerFacts>();

    /// <summary>The object is no longer in the API: stop and clean up, there is nobody to tell.</summary>
    public bool Gone { get; init; }
    public bool Prepared { get; init; }
    public bool Preparing { get; init; }
    public WaitFact? PrepareWait { get; init; }
    public IReadOnlyList<string>? Addresses { get; init; }
    public bool Releasing { get; init; }
    public bool Finishing { get; init; }

    /// <summary>Result of the node's admission: null reason is yes, null was not asked for or is not known yet.</summary>
    public (string? Reason, string? Message)? Admission { get; init; }

    /// <summary>Why nothing of the pod may be started now, or null.</summary>
    public string? Hold { get; init; }

    /// <summary>Set once when the node evicts the pod.</summary>
    public (string Message, double MostGraceSeconds)? Eviction { get; init; }
}

/// <summary>Kubernetes' container back-off.</summary>
internal readonly record struct BackoffRule(TimeSpan First, TimeSpan Max)
{
    /// <summary>How long after <paramref name="finished"/> a restart must wait, given what is remembered.</summary>
    public TimeSpan Delay(ContainerRecord record, DateTimeOffset finished) =>
        record.BackoffAt is not { } at || finished - at > Max * 2 ? TimeSpan.Zero : TimeSpan.FromSeconds(record.BackoffSeconds);

    /// <summary>The record of a container that is restarted now.</summary>
    public ContainerRecord Next(ContainerRecord record, DateTimeOffset finished, DateTimeOffset now)
    {
        bool fresh = record.BackoffAt is not { } at || finished - at > Max * 2;
        double seconds = fresh ? First.TotalSeconds : Math.Min(record.BackoffSeconds * 2, Max.TotalSeconds);
        return record with { BackoffSeconds = seconds, BackoffAt = now };
    }
}

/// <summary>What the shell is to do.</summary>
internal abstract record PodAction;

/// <summary>Make folders, volumes and network.</summary>
internal sealed record PreparePod : PodAction;

/// <summary>Start the newest attempt (pull, resolve, start).</summary>
internal sealed record StartContainer(string Name, int Attempt) : PodAction;

/// <summary>Run the post-start hook.</summary>
internal sealed record RunPostStart(string Name, string InstanceId) : PodAction;

/// <summary>Run the pre-stop hook, then signal, then kill at the deadline.</summary>
internal sealed record StopContainer(string Name, string InstanceId, bool PreStop, DateTimeOffset Deadline, string Message) : PodAction;

/// <summary>Remove an ended instance.</summary>
internal sealed record RemoveInstance(string Name, string InstanceId) : PodAction;

/// <summary>Give up network, tmpfs volumes and cgroup of a pod that ended; logs stay.</summary>
internal sealed record ReleasePod : PodAction;

/// <summary>Everything is stopped: delete folders, then the object.</summary>
internal sealed record FinishPod : PodAction;

/// <summary>Tell the user.</summary>
internal sealed record TellEvent(bool Warning, string Reason, string Message, string? Container) : PodAction;

/// <summary>Outcome of a step.</summary>
internal sealed record PodPlan(PodRecord Record, IReadOnlyList<PodAction> Actions, PodStatus Status, DateTimeOffset? WakeAt);
