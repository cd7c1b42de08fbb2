namespace Atoll.Edge.Runtimes.Containers;

/// <summary>Where one node's containers live. Several nodes can share a machine when their folders and names differ.</summary>
public sealed record ContainerRuntimeOptions
{
    /// <summary>Name of the node: prefix of everything that is global on the machine (cgroups). <c>[a-z0-9-]</c>.</summary>
    public required string Node { get; init; }

    /// <summary>Durable state: instance records, writable layers, exit codes.</summary>
    public required string StateFolder { get; init; }

    /// <summary>State that a reboot may lose: bundles, sockets, the OCI runtime's own records.</summary>
    public required string RunFolder { get; init; }

    /// <summary>OCI runtime to use (name or path); null tries crun, then runc.</summary>
    public string? OciRuntime { get; init; }

    /// <summary>Where cgroups are mounted.</summary>
    public string CgroupMount { get; init; } = "/sys/fs/cgroup";

    /// <summary>
    /// Size at which a monitor starts a container's log file anew by itself: what keeps a container that writes faster than
    /// node control rotates from filling the disk. The older lines of that file are lost then.
    /// </summary>
    public long LogCapBytes { get; init; } = 80L << 20;

    /// <summary>How long the OCI runtime may take to create or start an instance.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromMinutes(1);
}
