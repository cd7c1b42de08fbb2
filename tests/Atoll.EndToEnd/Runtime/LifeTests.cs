using System.Text;
using Atoll.Api.Streams;
using Atoll.Edge.Native;
using Atoll.Edge.Runtimes;

namespace Atoll.EndToEnd.Runtime;

/// <summary>What outlives the agent, what a crash leaves, and that nothing stays behind.</summary>
public abstract class LifeTests(string runtime)
{
    [Fact]
    public async Task A_new_agent_finds_what_runs_and_what_ended_meanwhile()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var stays = bed.Spec("sleep", "1000");
        var ends = bed.Spec("sh", "-c", "while [ ! -f /go ]; do sleep 0.05; done; exit 9");
        foreach (var spec in new[] { stays, ends }) Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        var pid = (await bed.Runtime.GetAsync(stays.Id, CancellationToken.None))!.Pid;
        await bed.ExecAsync(ends.Id, "touch", "/go");
        await bed.ExitedAsync(ends.Id);

        bed.Restart();
        var kept = await bed.Runtime.GetAsync(stays.Id, CancellationToken.None);
        Assert.Equal((InstancePhase.Running, pid), (kept!.Phase, kept.Pid));
        var ended = await bed.Runtime.GetAsync(ends.Id, CancellationToken.None);
        Assert.Equal((InstancePhase.Exited, 9), (ended!.Phase, ended.ExitCode));
        Assert.InRange(ended.FinishedAt!.Value, ended.StartedAt!.Value.AddSeconds(-1), DateTimeOffset.UtcNow.AddSeconds(1));
        // The new agent hears of the end of what the old one started.
        Posix.Kill(pid, Posix.SIGKILL);
        Assert.Equal(137, (await bed.ExitedAsync(stays.Id)).ExitCode);
    }

    [Fact]
    public async Task An_instance_whose_monitor_was_killed_is_unknown_and_leaves_no_process()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var spec = bed.Spec("sleep", "1000");
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        var pid = (await bed.Runtime.GetAsync(spec.Id, CancellationToken.None))!.Pid;
        Posix.Kill(int.Parse(await File.ReadAllTextAsync(Path.Join(bed.Folder, "run/c", spec.Id, "conmon.pid"))), Posix.SIGKILL);
        var lost = await bed.ExitedAsync(spec.Id);
        Assert.Equal((InstancePhase.Unknown, 255), (lost.Phase, lost.ExitCode));
        using var main = Posix.OpenPid(pid);
        if (main is not null) await FdPoller.Instance.ReadableAsync(main, new CancellationTokenSource(TimeSpan.FromSeconds(60)).Token);
        Assert.True((await bed.Runtime.RemoveAsync(spec.Id, CancellationToken.None)).Ok);
    }

    [Fact]
    public async Task Who_looks_at_an_instance_while_it_is_removed_is_not_stopped_by_that()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var spec = bed.Spec("sleep", "1000");
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        // As a removal has it for a moment: the monitor is gone, and so is the folder.
        string folder = Path.Join(bed.Options.StateFolder, "instances", spec.Id), aside = Path.Join(bed.Folder, "aside");
        Directory.Move(folder, aside);
        Posix.Kill(int.Parse(await File.ReadAllTextAsync(Path.Join(bed.Folder, "run/c", spec.Id, "conmon.pid"))), Posix.SIGKILL);
        var lost = await bed.ExitedAsync(spec.Id);
        Assert.Equal(InstancePhase.Unknown, lost.Phase);
        Assert.Equal(spec.Id, Assert.Single(await bed.Runtime.ListAsync(CancellationToken.None)).Id);
        Directory.Move(aside, folder);
        Assert.True((await bed.Runtime.RemoveAsync(spec.Id, CancellationToken.None)).Ok);
        Assert.Empty(await bed.Runtime.ListAsync(CancellationToken.None));
    }

    [Fact]
    public async Task After_a_reboot_instances_are_known_and_can_be_made_again()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var spec = bed.Spec("sleep", "1000");
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        // What a reboot takes: processes, mounts and the run folder.
        var bundle = Path.Join(bed.Folder, "run/c", spec.Id);
        Posix.Kill(int.Parse(await File.ReadAllTextAsync(Path.Join(bundle, "conmon.pid"))), Posix.SIGKILL);
        await bed.ExitedAsync(spec.Id);
        Posix.Unmount(Path.Join(bed.Folder, "state/instances", spec.Id, "root"));
        Directory.Delete(Path.Join(bed.Folder, "run"), recursive: true);

        bed.Restart();
        var gone = Assert.Single(await bed.Runtime.ListAsync(CancellationToken.None));
        Assert.Equal(InstancePhase.Unknown, gone.Phase);
        Assert.Equal("p-" + spec.Id, gone.Labels["pod"]);
        Assert.True((await bed.Runtime.RemoveAsync(spec.Id, CancellationToken.None)).Ok);
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        Assert.Equal(InstancePhase.Running, (await bed.Runtime.GetAsync(spec.Id, CancellationToken.None))!.Phase);
    }

    [Fact]
    public async Task Half_made_instances_are_taken_apart_at_start()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var spec = bed.Spec("sleep", "1000");
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        // As if the agent had died before it noted the start.
        var record = Path.Join(bed.Folder, "state/instances", spec.Id, "record.json");
        var text = await File.ReadAllTextAsync(record);
        var at = text.IndexOf("\"startedAt\":", StringComparison.Ordinal);
        var end = text.IndexOf(',', at);
        await File.WriteAllTextAsync(record, text[..at] + "\"startedAt\":null" + text[end..]);
        bed.Restart();
        Assert.Empty(await bed.Runtime.ListAsync(CancellationToken.None));
        Assert.Empty(Directory.EnumerateDirectories(Path.Join(bed.Folder, "state/instances")));
        Assert.DoesNotContain(bed.Folder, await File.ReadAllTextAsync("/proc/self/mountinfo"));
    }

    [Fact]
    public async Task Nothing_stays_behind()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        await bed.Runtime.ProbeAsync(CancellationToken.None);
        for (var i = 0; i < 3; i++)
        {
            var spec = bed.Spec("sh", "-c", "sleep 1000 & sleep 1000");
            Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
            Assert.Equal(0, (await bed.ExecAsync(spec.Id, "true")).Code);
            Assert.True((await bed.Runtime.RemoveAsync(spec.Id, CancellationToken.None)).Ok);
            Assert.True((await bed.Runtime.RemoveAsync(spec.Id, CancellationToken.None)).Ok);
        }
        await bed.Runtime.ResetAsync(CancellationToken.None);
        Assert.DoesNotContain(bed.Folder, await File.ReadAllTextAsync("/proc/self/mountinfo"));
        Assert.Empty(Directory.EnumerateDirectories("/sys/fs/cgroup", "atoll-" + bed.Node, new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 2, IgnoreInaccessible = true }));
        foreach (var folder in (string[])["state/instances", "run/c", "run/oci"]) Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Join(bed.Folder, folder)));
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Join(bed.Folder, "state/exits")));
        foreach (var process in Directory.EnumerateDirectories("/proc").Where(p => char.IsAsciiDigit(Path.GetFileName(p)[0])))
            try
            {
                Assert.DoesNotContain(bed.Folder, await File.ReadAllTextAsync(Path.Join(process, "cmdline")));
            }
            catch (IOException)
            {
                // It ended meanwhile.
            }
    }
}
