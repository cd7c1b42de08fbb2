using System.Text.Json;
using Atoll.Edge.Native;
using Microsoft.Win32.SafeHandles;

namespace Atoll.Edge.Runtimes.Containers;

/// <content>Stopping, removing, changing limits.</content>
public sealed partial class ContainerRuntime
{
    /// <summary>How long the kernel may take to end killed processes (one in uninterruptible sleep cannot be killed at all).</summary>
    private static readonly TimeSpan KillPatience = TimeSpan.FromSeconds(10), LongestTimer = TimeSpan.FromDays(30);

    /// <inheritdoc/>
    public async Task<RuntimeOutcome> StopAsync(string id, int signal, TimeSpan grace, CancellationToken cancellation)
    {
        await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        if (!records.TryGetValue(id, out var record) || record.StartedAt is null || Observe(record).Phase != InstancePhase.Running) return RuntimeOutcome.Success;
        using var monitor = Posix.OpenPid(record.Monitor.Pid);
        if (monitor is null || !record.Monitor.Alive) return RuntimeOutcome.Success;
        if (grace > TimeSpan.Zero && signal != Posix.SIGKILL)
        {
            SignalMain(record, signal);
            if (await EndsAsync(monitor, grace, cancellation).ConfigureAwait(false)) return Ended(id);
        }
        KillAll(record);
        if (await EndsAsync(monitor, KillPatience, cancellation).ConfigureAwait(false)) return Ended(id);
        return new RuntimeOutcome("FailedKillPod", $"instance {id} did not end within {KillPatience.TotalSeconds:0} s of SIGKILL");
    }

    /// <inheritdoc/>
    public async Task<RuntimeOutcome> RemoveAsync(string id, CancellationToken cancellation)
    {
        var state = await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        if (state.Oci is null) return new RuntimeOutcome("FailedKillPod", state.Reason);
        var stopped = await StopAsync(id, Posix.SIGKILL, TimeSpan.Zero, cancellation).ConfigureAwait(false);
        if (!stopped.Ok) return stopped;
        using var held = await LockAsync(id, cancellation).ConfigureAwait(false);
        if (!records.TryGetValue(id, out var record)) return RuntimeOutcome.Success;
        try
        {
            await ForgetAsync(id, record.Cgroup, state.Of(record.Runtime)).ConfigureAwait(false);
            return RuntimeOutcome.Success;
        }
        catch (Exception e) when (e is IOException or System.ComponentModel.Win32Exception or UnauthorizedAccessException)
        {
            return new RuntimeOutcome("FailedKillPod", $"instance {id} could not be removed: {e.Message}");
        }
    }

    /// <inheritdoc/>
    public async Task<RuntimeOutcome> UpdateAsync(string id, InstanceLimits limits, CancellationToken cancellation)
    {
        var state = await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        if (state.Oci is null) return new RuntimeOutcome("UpdateContainerError", state.Reason);
        if (!records.TryGetValue(id, out var record) || Observe(record).Phase != InstancePhase.Running) return new RuntimeOutcome("UpdateContainerError", $"instance {id} does not run");
        var path = Path.Join(folders.Bundle(id), "resources.json");
        AtomicFile.Write(path, OciConfig.WriteResources(limits, state.Host), durable: false);
        var result = await state.Of(record.Runtime).RunAsync(["update", "--resources", path, id], cancellation).ConfigureAwait(false);
        return result.Ok ? RuntimeOutcome.Success : new RuntimeOutcome("UpdateContainerError", OciRuntime.Clean(result.Error));
    }

    /// <inheritdoc/>
    public async Task<RuntimeOutcome> ReopenLogAsync(string id, CancellationToken cancellation)
    {
        await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        // An ended instance has no writer: its log cannot grow.
        if (!records.TryGetValue(id, out var record) || Observe(record).Phase != InstancePhase.Running) return RuntimeOutcome.Success;
        return Control(id, "2 0 0\n"u8) ? RuntimeOutcome.Success : new RuntimeOutcome("ReopenLogError", $"the monitor of instance {id} does not listen");
    }

    /// <summary>Says something to a monitor: <c>1 rows columns</c> sets the terminal's size, <c>2 0 0</c> reopens the log. False when nobody listens.</summary>
    private bool Control(string id, ReadOnlySpan<byte> line)
    {
        try
        {
            using var fifo = Posix.Open(Path.Join(folders.Bundle(id), "ctl"), Posix.O_WRONLY | Posix.O_NONBLOCK);
            Posix.Write(fifo, line);
            return true;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    private RuntimeOutcome Ended(string id)
    {
        changes.Tell(id);
        return RuntimeOutcome.Success;
    }

    private static void SignalMain(InstanceRecord record, int signal)
    {
        using var main = Posix.OpenPid(record.Main.Pid);
        if (main is not null && record.Main.Alive) Posix.Signal(main, signal);
    }

    private void KillAll(InstanceRecord record)
    {
        SignalMain(record, Posix.SIGKILL);
        foreach (var pid in cgroups.Processes(record.Cgroup)) Posix.Kill(pid, Posix.SIGKILL);
    }

    private async Task<bool> EndsAsync(SafeFileHandle pidfd, TimeSpan limit, CancellationToken cancellation)
    {
        // No timer goes further than 49 days.
        for (; limit > LongestTimer; limit -= LongestTimer)
            if (await EndsWithinAsync(pidfd, LongestTimer, cancellation).ConfigureAwait(false)) return true;
        return await EndsWithinAsync(pidfd, limit, cancellation).ConfigureAwait(false);
    }

    private async Task<bool> EndsWithinAsync(SafeFileHandle pidfd, TimeSpan limit, CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var timer = time.CreateTimer(_ => stop.Cancel(), null, limit, Timeout.InfiniteTimeSpan);
        try
        {
            await FdPoller.Instance.ReadableAsync(pidfd, stop.Token).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false;
        }
    }

    /// <summary>
    /// Takes an instance apart, from any state, in an order that can be begun again: processes, the OCI runtime's state,
    /// mount, cgroup, bundle, writable layer, exit code, and the record last.
    /// </summary>
    private async Task ForgetAsync(string id, string cgroup, OciRuntime oci)
    {
        var bundle = folders.Bundle(id);
        // State that the OCI runtime never had is no error; what it could not delete shows in the steps after it.
        if (Directory.Exists(Path.Join(folders.RuntimeRoot, id))) await oci.RunAsync(["delete", "--force", id], CancellationToken.None).ConfigureAwait(false);
        await EndMonitorAsync(bundle).ConfigureAwait(false);
        await EmptyCgroupAsync(cgroup).ConfigureAwait(false);
        OverlayRoot.Unmount(folders.Instance(id));
        cgroups.Remove(cgroup);
        Delete(bundle);
        Delete(Path.Join(folders.RuntimeRoot, id));
        var folder = folders.Instance(id);
        foreach (var part in (string[])["upper", "work", "l", "root"]) Delete(Path.Join(folder, part));
        Delete(folder);
        if (records.TryRemove(id, out _)) changes.Tell(id);
        // Last: who looks meanwhile sees that it ended, not that its monitor vanished. A reboot may have taken the folder.
        if (File.Exists(folders.Exit(id))) File.Delete(folders.Exit(id));
        watched.TryRemove(id, out _);
        RemoveEmptyParents(cgroup);
    }

    /// <summary>A monitor whose container never came to be, or was deleted under it, ends by itself; one that hangs is killed.</summary>
    private async Task EndMonitorAsync(string bundle)
    {
        var file = Path.Join(bundle, "conmon.pid");
        if (!File.Exists(file) || !int.TryParse(File.ReadAllText(file), out var pid) || !IsMonitor(pid, bundle)) return;
        using var monitor = Posix.OpenPid(pid);
        if (monitor is null || await EndsAsync(monitor, TimeSpan.FromSeconds(1), CancellationToken.None).ConfigureAwait(false)) return;
        Posix.Signal(monitor, Posix.SIGKILL);
        await EndsAsync(monitor, KillPatience, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>A pid file can be older than the process that has its number now: the bundle's path is among a monitor's arguments.</summary>
    private static bool IsMonitor(int pid, string bundle)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Split('\0').Contains(bundle);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Kills until nobody is left: a process may fork while its cgroup is read.</summary>
    private async Task EmptyCgroupAsync(string cgroup)
    {
        var deadline = time.GetTimestamp();
        while (cgroups.Processes(cgroup) is { Count: > 0 } pids && time.GetElapsedTime(deadline) < KillPatience)
            foreach (var pid in pids)
            {
                using var process = Posix.OpenPid(pid);
                if (process is null) continue;
                Posix.Signal(process, Posix.SIGKILL);
                await EndsAsync(process, TimeSpan.FromSeconds(1), CancellationToken.None).ConfigureAwait(false);
            }
    }

    private void RemoveEmptyParents(string cgroup)
    {
        for (var parent = Path.GetDirectoryName(cgroup); parent is not null && parent.Length > cgroupRoot.Length; parent = Path.GetDirectoryName(parent))
        {
            var prefix = parent + "/";
            if (records.Values.Any(r => r.Cgroup.StartsWith(prefix, StringComparison.Ordinal))) return;
            cgroups.RemoveIfEmpty(parent);
        }
    }

    private static void Delete(string folder)
    {
        if (!Directory.Exists(folder)) return;
        if (Path.GetFileName(folder) == "root")
        {
            // A mount point: empty unless an unmount failed, and then nothing below it may be touched.
            Directory.Delete(folder, recursive: false);
            return;
        }
        Directory.Delete(folder, recursive: true);
    }
}
