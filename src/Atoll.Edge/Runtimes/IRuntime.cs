using Atoll.Api.Streams;

namespace Atoll.Edge.Runtimes;

/// <summary>
/// Runs instances (one container, one machine, one function host) on this node. Small on purpose: probes, restarts,
/// volumes and status are node control's. <see cref="ListAsync"/> is the truth: an agent that restarts asks it what runs.
/// Instances outlive the agent. Every call is idempotent by instance id, and expected failures are values.
/// </summary>
public interface IRuntime
{
    /// <summary>Whether this host can run such instances, by trying; cached for the life of the process.</summary>
    Task<RuntimeProbe> ProbeAsync(CancellationToken cancellation);

    /// <summary>Creates and starts an instance. A second call with the same id does nothing and succeeds.</summary>
    Task<RuntimeOutcome> StartAsync(InstanceSpec spec, CancellationToken cancellation);

    /// <summary>Signals the main process, waits up to <paramref name="grace"/>, then kills. Returns when it is stopped. Unknown ids succeed.</summary>
    Task<RuntimeOutcome> StopAsync(string id, int signal, TimeSpan grace, CancellationToken cancellation);

    /// <summary>Removes a stopped instance and everything it held (mounts, cgroup, writable layer); its log stays until its directory is deleted. Unknown ids succeed.</summary>
    Task<RuntimeOutcome> RemoveAsync(string id, CancellationToken cancellation);

    /// <summary>Every instance that this runtime knows below its state folder, running or ended, with the labels that it was started with.</summary>
    Task<IReadOnlyList<Instance>> ListAsync(CancellationToken cancellation);

    /// <summary>Ids whose state may have changed (exit above all), as they do, also for instances that another agent process started. Read <see cref="ListAsync"/> or <see cref="GetAsync"/> for the truth.</summary>
    IAsyncEnumerable<string> WatchAsync(CancellationToken cancellation);

    /// <summary>One instance, or null.</summary>
    Task<Instance?> GetAsync(string id, CancellationToken cancellation);

    /// <summary>Runs a command in a running instance.</summary>
    Task<StreamStart<IProcessStreams>> ExecAsync(string id, ExecRequest request, CancellationToken cancellation);

    /// <summary>Attaches to the main process.</summary>
    Task<StreamStart<IProcessStreams>> AttachAsync(string id, ExecRequest request, CancellationToken cancellation);

    /// <summary>Use of resources now, or null when it does not run.</summary>
    Task<InstanceStats?> StatsAsync(string id, CancellationToken cancellation);

    /// <summary>Changes cpu and memory limits of a running instance.</summary>
    Task<RuntimeOutcome> UpdateAsync(string id, InstanceLimits limits, CancellationToken cancellation);

    /// <summary>Asks the log writer of an instance to reopen its file (after rotation by rename).</summary>
    Task<RuntimeOutcome> ReopenLogAsync(string id, CancellationToken cancellation);
}

/// <summary>Whether a runtime works here, which implementation and version, or why not.</summary>
public sealed record RuntimeProbe(bool Usable, string Name, string Version, string? Reason);

/// <summary>Null error is success. <see cref="Reason"/> is a Kubernetes reason such as <c>CreateContainerError</c>, <c>RunContainerError</c>.</summary>
public readonly record struct RuntimeOutcome(string? Reason, string? Message)
{
    /// <summary>True when it worked.</summary>
    public bool Ok => Reason is null;

    /// <summary>A success.</summary>
    public static RuntimeOutcome Success => default;
}

/// <summary>State of an instance.</summary>
public enum InstancePhase
{
    /// <summary>Made, its main process not yet started.</summary>
    Created,

    /// <summary>Its main process runs.</summary>
    Running,

    /// <summary>Its main process ended.</summary>
    Exited,

    /// <summary>Its state cannot be read (its monitor vanished without leaving an exit code).</summary>
    Unknown,
}

/// <summary>An instance as its runtime sees it. Times are of the host's clock.</summary>
public sealed record Instance(string Id, InstancePhase Phase, IReadOnlyDictionary<string, string> Labels, DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt, int ExitCode, bool OomKilled, int Pid);

/// <summary>Use of resources: nanoseconds of cpu since start, bytes of working set, number of processes.</summary>
public sealed record InstanceStats(long CpuNanoseconds, long MemoryWorkingSetBytes, long Processes);

/// <summary>Limits of an instance. Zero is none.</summary>
public sealed record InstanceLimits
{
    /// <summary>Relative weight, 2..262144 (cgroup v1 cpu.shares; converted for v2).</summary>
    public long CpuShares { get; init; }

    /// <summary>Millicores that may be used in each period; 0 is no limit.</summary>
    public long CpuLimitMilli { get; init; }

    /// <summary>Bytes; 0 is no limit.</summary>
    public long MemoryLimitBytes { get; init; }

    /// <summary>Processes; 0 is no limit.</summary>
    public long PidsLimit { get; init; }

    /// <summary>Processors that it may run on, as the kernel lists them; empty is all.</summary>
    public string CpusetCpus { get; init; } = "";

    /// <summary>NUMA nodes whose memory it may use; empty is all.</summary>
    public string CpusetMems { get; init; } = "";

    /// <summary>Most bytes of huge pages by page size as cgroups name it, such as <c>2MB</c>.</summary>
    public IReadOnlyList<KeyValuePair<string, long>> HugePages { get; init; } = [];

    /// <summary>oom_score_adj of the main process, -1000..1000.</summary>
    public int OomScoreAdj { get; init; }
}

/// <summary>A bind mount.</summary>
public sealed record InstanceMount(string Source, string Target, bool ReadOnly, string? Propagation = null);

/// <summary>Everything that a runtime needs to start an instance; made by node control, with all references resolved.</summary>
public sealed record InstanceSpec
{
    /// <summary>Unique on the node: <c>[a-z0-9-]</c>, at most 63.</summary>
    public required string Id { get; init; }

    /// <summary>Kept with the instance and given back by List.</summary>
    public required IReadOnlyDictionary<string, string> Labels { get; init; }

    /// <summary>Digest of the image's manifest, present in the content store (see <see cref="Content.IImages"/>).</summary>
    public required string ImageDigest { get; init; }

    /// <summary>Full argument vector (image's and pod's already combined).</summary>
    public required IReadOnlyList<string> Args { get; init; }

    /// <summary>Environment (image's and pod's already combined).</summary>
    public required IReadOnlyList<KeyValuePair<string, string>> Environment { get; init; }

    /// <summary>Working directory.</summary>
    public required string WorkingDirectory { get; init; }

    /// <summary>Host name.</summary>
    public string Hostname { get; init; } = "";

    /// <summary>User: <c>uid</c>, <c>uid:gid</c>, <c>name</c> or <c>name:group</c> (names are looked up in the image); empty is root.</summary>
    public string User { get; init; } = "";

    /// <summary>Group id that overrides the user's, or null.</summary>
    public long? Group { get; init; }

    /// <summary>More groups.</summary>
    public IReadOnlyList<long> SupplementalGroups { get; init; } = [];

    /// <summary>Refuse to start as uid 0.</summary>
    public bool RunAsNonRoot { get; init; }

    /// <summary>Capabilities to add to and drop from the default set, without CAP_; ALL is all.</summary>
    public IReadOnlyList<string> AddCapabilities { get; init; } = [];

    /// <summary>See <see cref="AddCapabilities"/>.</summary>
    public IReadOnlyList<string> DropCapabilities { get; init; } = [];

    /// <summary>All capabilities, all devices.</summary>
    public bool Privileged { get; init; }

    /// <summary>No system call filter.</summary>
    public bool Unconfined { get; init; }

    /// <summary>Sets no_new_privs.</summary>
    public bool NoNewPrivileges { get; init; }

    /// <summary>Root file system read only.</summary>
    public bool ReadOnlyRoot { get; init; }

    /// <summary>Mounts besides the standard ones (/proc, /dev, /sys, …).</summary>
    public IReadOnlyList<InstanceMount> Mounts { get; init; } = [];

    /// <summary>Path of the pod's network namespace; null shares the host's.</summary>
    public string? NetworkNamespacePath { get; init; }

    /// <summary>Share the host's process namespace.</summary>
    public bool HostPid { get; init; }

    /// <summary>Device nodes of the host that the instance gets.</summary>
    public IReadOnlyList<string> Devices { get; init; } = [];

    /// <summary>Share the host's IPC namespace.</summary>
    public bool HostIpc { get; init; }

    /// <summary>Sysctls of the namespaces.</summary>
    public IReadOnlyDictionary<string, string> Sysctls { get; init; } = new Dictionary<string, string>();

    /// <summary>Parent of the instance's cgroup, relative, such as <c>atoll/pod-uid</c>.</summary>
    public required string CgroupParent { get; init; }

    /// <summary>A batch instance: it runs in the group of all batch instances below <see cref="CgroupParent"/>, which gets what the others leave.</summary>
    public bool Batch { get; init; }

    /// <summary>Limits.</summary>
    public required InstanceLimits Limits { get; init; }

    /// <summary>Log file in CRI format (<c>time stream F|P line</c>).</summary>
    public required string LogPath { get; init; }

    /// <summary>Allocate a terminal.</summary>
    public bool Tty { get; init; }

    /// <summary>Keep standard input open for attach.</summary>
    public bool Stdin { get; init; }

    /// <summary>Close standard input when the first attached client leaves.</summary>
    public bool StdinOnce { get; init; }
}
