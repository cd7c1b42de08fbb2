using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <content>Starting: record, root file system, configuration, monitor, main process, in this order.</content>
public sealed partial class ContainerRuntime
{
    private const int MaxIdLength = 63;

    /// <inheritdoc/>
    public async Task<RuntimeOutcome> StartAsync(InstanceSpec spec, CancellationToken cancellation)
    {
        var state = await ready.Value.WaitAsync(cancellation).ConfigureAwait(false);
        if (state.Oci is not { } oci || state.Monitor is not { } conmon) return new RuntimeOutcome("CreateContainerError", "No container runtime works on this host: " + state.Reason);
        if (Refuse(spec) is { } refusal) return new RuntimeOutcome("CreateContainerConfigError", refusal);
        using var held = await LockAsync(spec.Id, cancellation).ConfigureAwait(false);
        if (records.TryGetValue(spec.Id, out var existing))
        {
            if (existing.StartedAt is not null) return RuntimeOutcome.Success;
            await ForgetAsync(existing.Id, existing.Cgroup, state.Of(existing.Runtime)).ConfigureAwait(false);
        }
        try
        {
            var outcome = await StartNewAsync(spec, oci, conmon, state.Host, cancellation).ConfigureAwait(false);
            if (!outcome.Ok) await ForgetAsync(spec.Id, CgroupOf(spec), oci).ConfigureAwait(false);
            return outcome;
        }
        catch (Exception e)
        {
            await ForgetAsync(spec.Id, CgroupOf(spec), oci).ConfigureAwait(false);
            if (e is OperationCanceledException && cancellation.IsCancellationRequested) throw;
            return new RuntimeOutcome("CreateContainerError", e is OperationCanceledException ? $"the container was not started within {options.StartTimeout.TotalSeconds:0} s" : e.Message);
        }
    }

    private async Task<RuntimeOutcome> StartNewAsync(InstanceSpec spec, OciRuntime oci, Conmon conmon, HostFacts host, CancellationToken cancellation)
    {
        // 1. The image must be here; node control pulled it.
        var image = await images.FindAsync(spec.ImageDigest, cancellation).ConfigureAwait(false);
        if (image is null) return new RuntimeOutcome("CreateContainerError", $"image {spec.ImageDigest} is not present on this node");

        if (spec.Batch && !batch.AllowsQuotaInside) spec = spec with { Limits = spec.Limits with { CpuLimitMilli = 0 } };

        // 2. The record, durable before anything exists that only it can lead back to.
        var record = new InstanceRecord
        {
            Id = spec.Id,
            Labels = spec.Labels,
            ImageDigest = spec.ImageDigest,
            Cgroup = CgroupOf(spec),
            CreatedAt = time.GetUtcNow(),
            BootId = BootId(),
            Runtime = oci.Name,
            Tty = spec.Tty,
            Stdin = spec.Stdin,
        };
        AtomicFile.CreateFolder(folders.Instance(spec.Id));
        record.Write(folders.Record(spec.Id), durable: true);
        records[spec.Id] = record;

        // 3. The root file system, and who runs in it.
        await OverlayRoot.MountAsync(folders.Instance(spec.Id), image.LayerPaths).ConfigureAwait(false);
        var (user, userError) = ContainerUser.Find(folders.Root(spec.Id), spec.User, spec.Group, spec.SupplementalGroups);
        if (user is null) return new RuntimeOutcome("CreateContainerError", userError);
        if (spec.RunAsNonRoot && user.Uid == 0) return new RuntimeOutcome("CreateContainerConfigError", "container has runAsNonRoot and image will run as root");
        var (capabilities, capabilityError) = Capabilities.Combine(spec.AddCapabilities, spec.DropCapabilities, spec.Privileged, host.Capabilities);
        if (capabilityError is not null) return new RuntimeOutcome("CreateContainerConfigError", capabilityError);

        // 4. The bundle. Its configuration holds the environment, so it lies in the run folder, for root alone.
        var bundle = folders.Bundle(spec.Id);
        AtomicFile.CreateFolder(bundle);
        var facts = spec.Privileged ? host with { Devices = HostFacts.ReadDevices() } : host;
        AtomicFile.Write(Path.Join(bundle, "config.json"), OciConfig.Write(spec, folders.Root(spec.Id), record.Cgroup, user, capabilities, facts), durable: false);
        Directory.CreateDirectory(Path.GetDirectoryName(spec.LogPath)!);

        if (spec.Batch) batch.Make();

        // 5. The monitor creates the container; its main process waits.
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var timer = time.CreateTimer(_ => limit.Cancel(), null, options.StartTimeout, Timeout.InfiniteTimeSpan);
        var created = await conmon.CreateAsync(oci, spec.Id, bundle, spec, folders.Exits, limit.Token).ConfigureAwait(false);
        if (created.Data < 0) return new RuntimeOutcome("RunContainerError", OciRuntime.Clean(created.Message ?? "the container could not be created"));

        // 6. The main process goes. From here on the instance is what its files say.
        record = record with { Main = ProcessIdentity.Of(created.Data), Monitor = ProcessIdentity.Of(ReadPid(Path.Join(bundle, "conmon.pid"))) };
        var started = await oci.RunAsync(["start", spec.Id], limit.Token).ConfigureAwait(false);
        if (!started.Ok) return new RuntimeOutcome("RunContainerError", OciRuntime.Clean(started.Error));
        record = record with { StartedAt = time.GetUtcNow() };
        record.Write(folders.Record(spec.Id), durable: false);
        records[spec.Id] = record;
        WatchMonitor(record);
        changes.Tell(spec.Id);
        return RuntimeOutcome.Success;
    }

    private string CgroupOf(InstanceSpec spec)
    {
        var parent = spec.CgroupParent.Trim('/');
        if (spec.Batch) parent += "/" + BatchCgroup.Name;
        return parent.Length == 0 ? $"{cgroupRoot}/{spec.Id}" : $"{cgroupRoot}/{parent}/{spec.Id}";
    }

    /// <summary>Names become paths: only what cannot leave its folder is let through.</summary>
    private static string? Refuse(InstanceSpec spec)
    {
        if (!IsName(spec.Id)) return $"instance id \"{spec.Id}\" must be 1 to {MaxIdLength} characters of a-z, 0-9 and -";
        if (spec.CgroupParent.Split('/').Any(p => p is "." or "..")) return $"cgroup parent \"{spec.CgroupParent}\" must not contain . or ..";
        if (spec.Args.Count == 0) return "no command specified";
        if (!Path.IsPathRooted(spec.LogPath)) return $"log path \"{spec.LogPath}\" must be absolute";
        return null;
    }

    private static bool IsName(string id) =>
        id.Length is > 0 and <= MaxIdLength && id[0] != '-' && id.All(c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-');

    private static int ReadPid(string path) => int.Parse(File.ReadAllText(path), System.Globalization.CultureInfo.InvariantCulture);

    private static string BootId() => File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
}
