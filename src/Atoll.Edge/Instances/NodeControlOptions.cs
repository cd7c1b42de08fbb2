using System.Net;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Colocation;
using Atoll.Edge.Nodes;

namespace Atoll.Edge.Instances;

/// <summary>What node control needs to know besides its collaborators. Only <see cref="NodeName"/> and <see cref="StateFolder"/> have no default.</summary>
public sealed record NodeControlOptions
{
    /// <summary>Name of this node: pods whose spec.nodeName equals it are run.</summary>
    public required string NodeName { get; init; }

    /// <summary>Folder for pods' volumes, records and logs. Survives the agent and, for a reboot without the line, the machine.</summary>
    public required string StateFolder { get; init; }

    /// <summary>Address of the node (status.hostIP, host network pods, httpGet host ports); null asks the route table.</summary>
    public string? HostIp { get; init; }

    /// <summary>What the Node object says.</summary>
    public NodeOptions Node { get; init; } = new();

    /// <summary>
    /// False while the wanted set of pods may be incomplete (the site's store was lost and the scope has not come yet): then
    /// instances of unknown pods are left running. Null: known as soon as the pod mirror has synced.
    /// </summary>
    public Func<bool>? ScopeKnown { get; init; }

    /// <summary>What the site's operator says of it now; null while that is not known. Its <c>colocation</c> lets batch pods in.</summary>
    public Func<SiteSpec?> Site { get; init; } = static () => null;

    /// <summary>Digest of the CA certificates that this node trusts, which its Node tells; null where there is no parent.</summary>
    public Func<string?> Trust { get; init; } = static () => null;

    /// <summary>The group of batch pods; null takes no batch pods.</summary>
    public IBatchHost? BatchHost { get; init; }

    /// <summary>How often batch pods are held to what others leave, while there are any; five times as rarely otherwise.</summary>
    public TimeSpan BatchPeriod { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Why nothing of a pod may be started now, or null. Asked before each start; what runs already goes on. Null: nothing is held back.
    /// </summary>
    public Func<KubeObject, string?>? Hold { get; init; }

    /// <summary>Handlers of RuntimeClasses that this node runs; pods of another class are refused.</summary>
    public IReadOnlyList<string> RuntimeHandlers { get; init; } = ["container", "crun", "runc"];

    /// <summary>Processes in one container; 0 is no limit.</summary>
    public long PidsLimit { get; init; } = 4096;

    /// <summary>Size at which a log file is rotated, bytes.</summary>
    public long LogMaxBytes { get; init; } = 10 * 1024 * 1024;

    /// <summary>Files kept for one container's log, the current one counted.</summary>
    public int LogMaxFiles { get; init; } = 5;

    /// <summary>How often log sizes are looked at.</summary>
    public TimeSpan LogRotationPeriod { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Full comparison of runtime and wanted state, besides events.</summary>
    public TimeSpan ResyncPeriod { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Delay before the first restart after a second failure; doubles.</summary>
    public TimeSpan RestartBackoff { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Largest delay between restarts and between pulls; a run of twice as long resets it.</summary>
    public TimeSpan RestartBackoffMax { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Pause before a step that failed for a passing reason (volumes, network, configuration) is tried again.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Image bytes above which unused images are deleted; 0 derives it from the disk (85 % full).</summary>
    public long ImageHighBytes { get; init; }

    /// <summary>Image bytes to shrink to.</summary>
    public long ImageLowBytes { get; init; }
}
