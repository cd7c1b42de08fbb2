using System.Globalization;
using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <content>Start-up: finding what an earlier agent left, and watching over it.</content>
public sealed partial class ContainerRuntime
{
    /// <summary>Everything that can be missed by the events (a full inotify queue) is seen after this long.</summary>
    private static readonly TimeSpan SafetyPeriod = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Reads what is there and takes apart what an earlier agent left half made or half removed (instances, mounts, cgroups,
    /// bundles). Done once, by the first call of any method; waits for it.
    /// </summary>
    public async Task RecoverAsync(CancellationToken cancellation) => await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);

    /// <summary>Ends and removes every instance and everything of this node on the machine; its folders are the caller's to delete. For the operator's reset.</summary>
    public async Task ResetAsync(CancellationToken cancellation)
    {
        var state = await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        foreach (var (id, _) in records)
        {
            var removed = await RemoveAsync(id, cancellation).ConfigureAwait(false);
            if (!removed.Ok) throw new IOException(removed.Message);
        }
        if (state.Oci is not null) await SweepAsync(state).ConfigureAwait(false);
        await EmptyCgroupAsync(cgroupRoot).ConfigureAwait(false);
        cgroups.Remove(cgroupRoot);
    }

    private async Task<Ready> PrepareAsync()
    {
        folders.Create();
        var held = Capabilities.ReadHeld();
        var host = new HostFacts(held, cgroups.LimitsSwap, HostFacts.ReadOpenFiles(), []) { LowestOomScoreAdj = HostFacts.ReadLowestOomScoreAdj(held), HasOneCgroupTree = cgroups.Mode == CgroupMode.Unified };
        var (oci, reason) = await FindRuntimeAsync(options.OciRuntime).ConfigureAwait(false);
        var conmonPath = Child.Find("conmon");
        if (oci is not null && conmonPath is null) (oci, reason) = (null, "conmon is not installed");
        foreach (var folder in Directory.EnumerateDirectories(folders.Instances))
            if (InstanceRecord.Read(Path.Join(folder, "record.json")) is { StartedAt: not null } record)
                records[record.Id] = record;
        if (oci is null) return new Ready(null, null, host, reason);
        var ready = new Ready(oci, new Conmon(conmonPath!, cgroups, cgroupRoot + "/monitors", options.LogCapBytes), host, null);
        foreach (var earlier in RuntimesOfInstances())
            if (earlier != oci.Name && (await FindRuntimeAsync(earlier).ConfigureAwait(false)).Runtime is { } found)
                ready.Earlier[earlier] = found;
        await SweepAsync(ready).ConfigureAwait(false);
        watching = WatchExitsAsync();
        foreach (var (_, record) in records) WatchMonitor(record);
        return ready;
    }

    private Task<(OciRuntime? Runtime, string? Reason)> FindRuntimeAsync(string? wanted) =>
        OciRuntime.FindAsync(wanted, folders.RuntimeRoot, options.RunFolder, cgroupRoot, cgroups, closing.Token);

    /// <summary>Of the half-made ones too: they have to be taken apart by what made them.</summary>
    private HashSet<string> RuntimesOfInstances() =>
        Directory.EnumerateDirectories(folders.Instances).Select(folder => InstanceRecord.Read(Path.Join(folder, "record.json"))?.Runtime).OfType<string>().ToHashSet(StringComparer.Ordinal);

    private async Task SweepAsync(Ready state)
    {
        var strays = new HashSet<string>(StringComparer.Ordinal);
        foreach (var place in (string[])[folders.Instances, folders.Bundles, folders.RuntimeRoot])
            foreach (var folder in Directory.EnumerateDirectories(place))
                strays.Add(Path.GetFileName(folder));
        foreach (var file in Directory.EnumerateFiles(folders.Exits)) strays.Add(Path.GetFileName(file));
        strays.ExceptWith(records.Keys);
        foreach (var id in strays)
        {
            // A half-made instance has a record that says where its cgroup is; without one there is no cgroup of its own.
            var record = InstanceRecord.Read(folders.Record(id));
            await ForgetAsync(id, record?.Cgroup ?? cgroupRoot + "/" + id, state.Of(record?.Runtime)).ConfigureAwait(false);
        }
    }

    private async Task WatchExitsAsync()
    {
        using var inotify = Posix.WatchFolder(folders.Exits);
        var buffer = new byte[4096];
        while (!closing.IsCancellationRequested)
        {
            using var period = CancellationTokenSource.CreateLinkedTokenSource(closing.Token);
            using var timer = time.CreateTimer(_ => period.Cancel(), null, SafetyPeriod, Timeout.InfiniteTimeSpan);
            try
            {
                await FdPoller.Instance.ReadableAsync(inotify, period.Token).ConfigureAwait(false);
                TellNames(buffer.AsSpan(0, Posix.Read(inotify, buffer)));
            }
            catch (OperationCanceledException) when (!closing.IsCancellationRequested)
            {
                foreach (var (id, record) in records)
                    if (Observe(record).Phase is InstancePhase.Exited or InstancePhase.Unknown)
                        changes.Tell(id);
            }
        }
    }

    /// <summary>inotify_event: watch (4), mask (4), cookie (4), length of the padded name (4), name.</summary>
    private void TellNames(ReadOnlySpan<byte> events)
    {
        while (events.Length >= 16)
        {
            var length = BitConverter.ToInt32(events[12..16]);
            var name = events.Slice(16, length);
            var end = name.IndexOf((byte)0);
            var id = System.Text.Encoding.UTF8.GetString(end >= 0 ? name[..end] : name);
            if (records.ContainsKey(id)) changes.Tell(id);
            events = events[(16 + length)..];
        }
    }

    /// <summary>A monitor that is killed writes no exit file: its own end is watched too.</summary>
    private void WatchMonitor(InstanceRecord record)
    {
        if (!record.Monitor.Alive || !watched.TryAdd(record.Id, record.Monitor)) return;
        _ = WatchAsync();

        async Task WatchAsync()
        {
            try
            {
                using var pidfd = Posix.OpenPid(record.Monitor.Pid);
                if (pidfd is not null) await FdPoller.Instance.ReadableAsync(pidfd, closing.Token).ConfigureAwait(false);
                changes.Tell(record.Id);
            }
            catch (OperationCanceledException)
            {
                // The runtime is being closed.
            }
            finally
            {
                watched.TryRemove(new KeyValuePair<string, ProcessIdentity>(record.Id, record.Monitor));
            }
        }
    }
}
