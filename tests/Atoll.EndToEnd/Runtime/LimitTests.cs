using System.Text;
using Atoll.Api.Streams;
using Atoll.Edge.Runtimes;

namespace Atoll.EndToEnd.Runtime;

/// <summary>Limits, identities, exit codes and errors, as the kernel enforces them.</summary>
public abstract class LimitTests(string runtime)
{
    [Fact]
    public async Task Exit_codes_and_start_errors_are_exact()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        Assert.Equal(0, (await bed.RunAsync(bed.Spec("true"))).Instance.ExitCode);
        Assert.Equal(7, (await bed.RunAsync(bed.Spec("sh", "-c", "exit 7"))).Instance.ExitCode);
        Assert.Equal(137, (await bed.RunAsync(bed.Spec("sh", "-c", "kill -9 $$; sleep 5") with { HostPid = true })).Instance.ExitCode);

        var missing = await bed.Runtime.StartAsync(bed.Spec("no-such-program"), CancellationToken.None);
        Assert.Equal("RunContainerError", missing.Reason);
        Assert.Contains("no-such-program", missing.Message);
        Assert.Contains("not found", missing.Message);
        var user = await bed.Runtime.StartAsync(bed.Spec("true") with { User = "nobody-here" }, CancellationToken.None);
        Assert.Equal(("CreateContainerError", "unable to find user nobody-here: no matching entries in passwd file"), (user.Reason, user.Message));
        var root = await bed.Runtime.StartAsync(bed.Spec("true") with { RunAsNonRoot = true }, CancellationToken.None);
        Assert.Equal("CreateContainerConfigError", root.Reason);
        var mount = await bed.Runtime.StartAsync(bed.Spec("true") with { Mounts = [new InstanceMount("/no/such/source", "/data", false)] }, CancellationToken.None);
        Assert.Equal("RunContainerError", mount.Reason);
        Assert.Contains("/no/such/source", mount.Message);
        var image = await bed.Runtime.StartAsync(bed.Spec("true") with { ImageDigest = "sha256:" + new string('0', 64) }, CancellationToken.None);
        Assert.Equal("CreateContainerError", image.Reason);
        var escape = await bed.Runtime.StartAsync(bed.Spec("true") with { Id = "../x" }, CancellationToken.None);
        Assert.Equal("CreateContainerConfigError", escape.Reason);
        Assert.DoesNotContain(await bed.Runtime.ListAsync(CancellationToken.None), i => i.Phase != InstancePhase.Exited);
    }

    [Fact]
    public async Task Memory_and_process_limits_hold()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var hungry = bed.Spec("sh", "-c", "x=$(yes | head -c 200000000); echo survived") with { Limits = new InstanceLimits { MemoryLimitBytes = 32 << 20 } };
        var (ended, log) = await bed.RunAsync(hungry);
        Assert.True(ended.OomKilled);
        Assert.NotEqual(0, ended.ExitCode);
        Assert.DoesNotContain("survived", log);

        var forks = bed.Spec("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done; echo made it") with { Limits = new InstanceLimits { PidsLimit = 5 } };
        (ended, log) = await bed.RunAsync(forks);
        Assert.False(ended.OomKilled);
        Assert.NotEqual(0, ended.ExitCode);
        Assert.DoesNotContain("made it", log);
    }

    [Fact]
    public async Task A_log_cannot_outrun_its_rotation()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        bed.LogCapBytes = 100_000;
        bed.Restart();
        var spec = bed.Spec("sh", "-c", "seq 1 60000; echo last");
        var (_, log) = await bed.RunAsync(spec);
        Assert.EndsWith("60000\nlast\n", log);
        Assert.InRange(new FileInfo(spec.LogPath).Length, 1, 100_000);
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(spec.LogPath)!));
    }

    [Fact]
    public async Task Stats_are_read_and_limits_can_be_changed()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var spec = bed.Spec("sh", "-c", "sleep 1000 & sleep 1000") with { Limits = new InstanceLimits { MemoryLimitBytes = 64 << 20, CpuShares = 512, CpuLimitMilli = 500, PidsLimit = 20 } };
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        // The shell forks once it gets its turn.
        InstanceStats? stats = null;
        await Sites.Until.TrueAsync("two processes", 20, async () => (stats = await bed.Runtime.StatsAsync(spec.Id, CancellationToken.None))!.Processes >= 2);
        Assert.InRange(stats!.MemoryWorkingSetBytes, 1, 64 << 20);
        Assert.InRange(stats.CpuNanoseconds, 1, 60_000_000_000);
        Assert.InRange(stats.Processes, 2, 4);
        var changed = await bed.Runtime.UpdateAsync(spec.Id, new InstanceLimits { MemoryLimitBytes = 48 << 20, CpuLimitMilli = 250 }, CancellationToken.None);
        Assert.True(changed.Ok, changed.Message);
        var limit = (await bed.ExecAsync(spec.Id, "sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null")).Output;
        Assert.Equal((48 << 20).ToString(System.Globalization.CultureInfo.InvariantCulture), limit.Trim());
        Assert.Null(await bed.Runtime.StatsAsync("unknown", CancellationToken.None));
    }

    [Fact]
    public async Task Users_groups_environment_and_file_systems_are_as_asked()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        Assert.Contains("uid=1000(web) gid=1001(web) groups=1001(web),2000(logs),3000", (await bed.RunAsync(bed.Spec("id") with { User = "web", SupplementalGroups = [3000] })).Log);
        Assert.StartsWith("uid=42 gid=43", (await bed.RunAsync(bed.Spec("id") with { User = "42:43" })).Log);
        Assert.Equal("pod-host\n", (await bed.RunAsync(bed.Spec("hostname") with { Hostname = "pod-host" })).Log);
        Assert.Equal("layer two hello", (await bed.RunAsync(bed.Spec("sh", "-c", "cat /etc/motd; echo -n ' '$GREETING"))).Log);
        Assert.NotEqual(0, (await bed.RunAsync(bed.Spec("touch", "/file") with { ReadOnlyRoot = true })).Instance.ExitCode);
        Assert.Equal(0, (await bed.RunAsync(bed.Spec("touch", "/file"))).Instance.ExitCode);

        var host = Directory.CreateDirectory(Path.Join(bed.Folder, "volume")).FullName;
        var (written, _) = await bed.RunAsync(bed.Spec("sh", "-c", "echo data > /data/new/file") with { Mounts = [new InstanceMount(host, "/data/new", false)] });
        Assert.Equal(0, written.ExitCode);
        Assert.Equal("data\n", await File.ReadAllTextAsync(Path.Join(host, "file")));
        Assert.NotEqual(0, (await bed.RunAsync(bed.Spec("touch", "/data/x") with { Mounts = [new InstanceMount(host, "/data", true)] })).Instance.ExitCode);
    }

    [Fact]
    public async Task Privileges_are_few_unless_asked_for()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        Assert.NotEqual(0, (await bed.RunAsync(bed.Spec("mount", "-t", "tmpfs", "none", "/tmp"))).Instance.ExitCode);
        Assert.NotEqual(0, (await bed.RunAsync(bed.Spec("unshare", "-U", "true"))).Instance.ExitCode);
        Assert.Equal(0, (await bed.RunAsync(bed.Spec("mount", "-t", "tmpfs", "none", "/tmp") with { Privileged = true })).Instance.ExitCode);
        Assert.Equal(0, (await bed.RunAsync(bed.Spec("mount", "-t", "tmpfs", "none", "/tmp") with { AddCapabilities = ["SYS_ADMIN"] })).Instance.ExitCode);
        Assert.Contains("CapEff:\t0000000000000000", (await bed.RunAsync(bed.Spec("cat", "/proc/self/status") with { DropCapabilities = ["ALL"] })).Log);
        Assert.Contains("NoNewPrivs:\t1", (await bed.RunAsync(bed.Spec("cat", "/proc/self/status") with { NoNewPrivileges = true })).Log);
    }
}
