using System.Collections.Concurrent;
using System.Globalization;
using Atoll.Edge.Content;
using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>
/// Containers without a daemon: an OCI runtime (crun or runc) makes them, one conmon each watches over them, and everything
/// that must be known is in files, so that an agent that starts finds what an earlier one left.
/// <para>
/// Invariants. A record is on disk before anything of its instance exists, and is the last thing to go, so what a crash
/// leaves half made or half removed is found and taken apart by <see cref="RecoverAsync"/>. A process is known by number
/// and start time, never by number alone. The exit code is the monitor's file; an instance whose monitor vanished without
/// one is <see cref="InstancePhase.Unknown"/>, and what is left of it is killed, because its log and exit code are lost.
/// </para>
/// <para>It does not restart, probe, pull or keep a history: that is node control's.</para>
/// </summary>
public sealed partial class ContainerRuntime : IRuntime, IAsyncDisposable
{
    /// <summary>Exit code of an instance whose own cannot be known any more.</summary>
    public const int UnknownExitCode = 255;

    private readonly ContainerRuntimeOptions options;
    private readonly IImages images;
    private readonly TimeProvider time;
    private readonly InstanceFolders folders;
    private readonly Cgroups cgroups;
    private readonly BatchCgroup batch;
    private readonly ChangeFeed changes = new();
    private readonly ConcurrentDictionary<string, InstanceRecord> records = new(StringComparer.Ordinal);
    /// <summary>One for many ids: a lock for each id would be kept for ever. Nobody holds two.</summary>
    private readonly SemaphoreSlim[] locks = [.. Enumerable.Range(0, 64).Select(_ => new SemaphoreSlim(1, 1))];
    private readonly ConcurrentDictionary<string, ProcessIdentity> watched = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource closing = new();
    private readonly string cgroupRoot;
    private readonly Lazy<Task<Ready>> ready;
    private Task watching = Task.CompletedTask;

    /// <summary>A runtime over one node's folders; it touches nothing before its first call.</summary>
    public ContainerRuntime(ContainerRuntimeOptions options, IImages images, TimeProvider time)
    {
        (this.options, this.images, this.time) = (options, images, time);
        folders = new InstanceFolders(options);
        var mounts = CgroupMounts.OfHost(options.CgroupMount);
        cgroups = new Cgroups(mounts);
        cgroupRoot = "/atoll-" + options.Node;
        batch = new BatchCgroup(mounts, $"{cgroupRoot}/{Instances.InstanceSpecs.Cgroup}");
        ready = new Lazy<Task<Ready>>(() => Task.Run(PrepareAsync));
    }

    /// <summary>The group of this node's batch containers.</summary>
    public Colocation.IBatchHost Batch => batch;

    /// <inheritdoc/>
    public async Task<RuntimeProbe> ProbeAsync(CancellationToken cancellation)
    {
        var state = await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        return state.Oci is { } oci
            ? new RuntimeProbe(true, oci.Name, oci.Version, oci.Why.Length > 0 ? oci.Why : null)
            : new RuntimeProbe(false, "", "", state.Reason);
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<Instance>> ListAsync(CancellationToken cancellation)
    {
        await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        var all = new List<Instance>(records.Count);
        foreach (var (_, record) in records) all.Add(Observe(record));
        return all;
    }

    /// <inheritdoc/>
    public async Task<Instance?> GetAsync(string id, CancellationToken cancellation)
    {
        await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        return records.TryGetValue(id, out var record) ? Observe(record) : null;
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<string> WatchAsync(CancellationToken cancellation)
    {
        // Starts the watching of instances that an earlier agent left, should this be the first call.
        _ = ready.Value;
        return changes.WatchAsync(cancellation);
    }

    /// <inheritdoc/>
    public async Task<InstanceStats?> StatsAsync(string id, CancellationToken cancellation)
    {
        await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        return records.TryGetValue(id, out var record) && Observe(record).Phase == InstancePhase.Running ? cgroups.Stats(record.Cgroup) : null;
    }

    /// <summary>Ends the watching; instances and their monitors stay.</summary>
    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync().ConfigureAwait(false);
        await watching.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        closing.Dispose();
    }

    /// <summary>What files and processes say of an instance. The exit file is looked at again after the monitor was found gone: it writes the file and ends.</summary>
    private Instance Observe(InstanceRecord record)
    {
        if (record.StartedAt is null) return Make(record, InstancePhase.Created, null, 0);
        if (ReadExit(record.Id) is { } exit) return Make(record, InstancePhase.Exited, exit.At, exit.Code);
        if (record.LostAt is null && record.Monitor.Alive) return Make(record, InstancePhase.Running, null, 0);
        if (ReadExit(record.Id) is { } late) return Make(record, InstancePhase.Exited, late.At, late.Code);
        return Make(Lose(record), InstancePhase.Unknown, record.LostAt ?? time.GetUtcNow(), UnknownExitCode);
    }

    private Instance Make(InstanceRecord record, InstancePhase phase, DateTimeOffset? finished, int code) =>
        new(record.Id, phase, record.Labels, record.StartedAt, finished, code,
            phase is InstancePhase.Exited or InstancePhase.Unknown && WasOomKilled(record), phase == InstancePhase.Running ? record.Main.Pid : 0);

    private bool WasOomKilled(InstanceRecord record) => cgroups.OomKilled(record.Cgroup) || File.Exists(Path.Join(folders.Bundle(record.Id), "oom"));

    private (DateTimeOffset At, int Code)? ReadExit(string id)
    {
        var file = new FileInfo(folders.Exit(id));
        if (!file.Exists) return null;
        try
        {
            return int.TryParse(File.ReadAllText(file.FullName), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var code)
                ? (new DateTimeOffset(file.LastWriteTimeUtc, TimeSpan.Zero), code)
                : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null; // Removed in between.
        }
    }

    /// <summary>The monitor is gone and left nothing (killed, or the machine went down): remember since when, and end what it left.</summary>
    private InstanceRecord Lose(InstanceRecord record)
    {
        if (record.LostAt is not null) return record;
        foreach (var pid in cgroups.Processes(record.Cgroup)) Posix.Kill(pid, Posix.SIGKILL);
        if (record.Main.Alive) Posix.Kill(record.Main.Pid, Posix.SIGKILL);
        var lost = record with { LostAt = time.GetUtcNow() };
        try
        {
            if (records.TryUpdate(record.Id, lost, record)) lost.Write(folders.Record(record.Id), durable: false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It is being removed while it is looked at, or the disk is full: a later agent would find the same out anew.
        }
        return lost;
    }

    private async Task<Releaser> LockAsync(string id, CancellationToken cancellation)
    {
        var gate = locks[(uint)string.GetHashCode(id, StringComparison.Ordinal) % (uint)locks.Length];
        await gate.WaitAsync(cancellation).ConfigureAwait(false);
        return new Releaser(gate);
    }

    private readonly record struct Releaser(SemaphoreSlim Gate) : IDisposable
    {
        public void Dispose() => Gate.Release();
    }

    /// <summary>What the first call found out: the OCI runtime and monitor, or why there are none; and the runtimes of instances that an earlier choice made.</summary>
    private sealed record Ready(OciRuntime? Oci, Conmon? Monitor, HostFacts Host, string? Reason)
    {
        public Dictionary<string, OciRuntime> Earlier { get; } = new(StringComparer.Ordinal);

        /// <summary>The runtime that made an instance: another cannot read its state.</summary>
        public OciRuntime Of(string? runtime) => runtime is not null && Earlier.GetValueOrDefault(runtime) is { } earlier ? earlier : Oci!;
    }
}
