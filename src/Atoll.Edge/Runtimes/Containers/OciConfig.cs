using System.Text.Json;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>Writes the OCI runtime's <c>config.json</c> (opencontainers/runtime-spec 1.0) of an instance. Pure: the same input gives the same bytes.</summary>
internal static class OciConfig
{
    private const string DefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    private const long CpuPeriodUs = 100_000;
    private const long MinCpuQuotaUs = 1_000;

    private static readonly string[] Masked =
    [
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
        "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
    ];

    private static readonly string[] ReadOnly = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

    internal static byte[] Write(InstanceSpec spec, string root, string cgroup, ContainerUser user, IReadOnlyList<string> capabilities, HostFacts host)
    {
        using var stream = new MemoryStream(4096);
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("ociVersion", "1.0.2");
            WriteProcess(json, spec, user, capabilities, host);
            json.WriteStartObject("root");
            json.WriteString("path", root);
            json.WriteBoolean("readonly", spec.ReadOnlyRoot);
            json.WriteEndObject();
            if (spec.Hostname.Length > 0) json.WriteString("hostname", spec.Hostname);
            WriteMounts(json, spec);
            WriteLinux(json, spec, cgroup, capabilities, host);
            json.WriteEndObject();
        }
        return stream.ToArray();
    }

    private static void WriteProcess(Utf8JsonWriter json, InstanceSpec spec, ContainerUser user, IReadOnlyList<string> capabilities, HostFacts host)
    {
        json.WriteStartObject("process");
        json.WriteBoolean("terminal", spec.Tty);
        json.WriteStartObject("user");
        json.WriteNumber("uid", user.Uid);
        json.WriteNumber("gid", user.Gid);
        json.WriteStartArray("additionalGids");
        foreach (var group in user.Groups) json.WriteNumberValue(group);
        json.WriteEndArray();
        json.WriteEndObject();
        Strings(json, "args", spec.Args);
        Strings(json, "env", Environment(spec));
        json.WriteString("cwd", spec.WorkingDirectory.Length == 0 ? "/" : spec.WorkingDirectory);
        json.WriteStartObject("capabilities");
        // Neither inheritable nor ambient: a program of another user must not get them through an exec.
        foreach (var set in (string[])["bounding", "effective", "permitted"]) Strings(json, set, capabilities.Select(c => "CAP_" + c));
        json.WriteEndObject();
        json.WriteStartArray("rlimits");
        json.WriteStartObject();
        json.WriteString("type", "RLIMIT_NOFILE");
        json.WriteNumber("hard", host.OpenFiles);
        json.WriteNumber("soft", host.OpenFiles);
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteBoolean("noNewPrivileges", spec.NoNewPrivileges);
        json.WriteNumber("oomScoreAdj", Math.Max(spec.Limits.OomScoreAdj, host.LowestOomScoreAdj));
        json.WriteEndObject();
    }

    private static List<string> Environment(InstanceSpec spec)
    {
        var all = new List<string>();
        if (!Has(spec, "PATH")) all.Add(DefaultPath);
        if (spec.Tty && !Has(spec, "TERM")) all.Add("TERM=xterm");
        if (spec.Hostname.Length > 0 && !Has(spec, "HOSTNAME")) all.Add("HOSTNAME=" + spec.Hostname);
        foreach (var (name, value) in spec.Environment) all.Add(name + "=" + value);
        return all;
    }

    private static bool Has(InstanceSpec spec, string name) => spec.Environment.Any(e => e.Key == name);

    private static void WriteMounts(Utf8JsonWriter json, InstanceSpec spec)
    {
        var taken = spec.Mounts.Select(m => m.Target.Length > 1 ? m.Target.TrimEnd('/') : m.Target).ToHashSet(StringComparer.Ordinal);
        var writable = spec.Privileged ? "rw" : "ro";
        json.WriteStartArray("mounts");
        Standard("/proc", "proc", "proc", "nosuid", "noexec", "nodev");
        Standard("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k");
        Standard("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5");
        if (spec.HostIpc) Standard("/dev/shm", "bind", "/dev/shm", "rbind", "nosuid", "noexec", "nodev");
        else Standard("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k");
        // In the host's IPC namespace this is the host's, whether or not the host itself has it mounted.
        Standard("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev");
        Standard("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", writable);
        Standard("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", writable);
        foreach (var mount in spec.Mounts)
            Mount(json, mount.Target, "bind", mount.Source, "rbind", mount.ReadOnly ? "ro" : "rw", mount.Propagation switch
            {
                "HostToContainer" or "rslave" => "rslave",
                "Bidirectional" or "rshared" => "rshared",
                _ => "rprivate",
            });
        json.WriteEndArray();

        void Standard(string target, string type, string source, params string[] options)
        {
            if (!taken.Contains(target)) Mount(json, target, type, source, options);
        }
    }

    private static void Mount(Utf8JsonWriter json, string target, string type, string source, params string[] options)
    {
        json.WriteStartObject();
        json.WriteString("destination", target);
        json.WriteString("type", type);
        json.WriteString("source", source);
        Strings(json, "options", options);
        json.WriteEndObject();
    }

    private static void WriteLinux(Utf8JsonWriter json, InstanceSpec spec, string cgroup, IReadOnlyList<string> capabilities, HostFacts host)
    {
        json.WriteStartObject("linux");
        json.WriteString("cgroupsPath", cgroup);
        WriteResources(json, spec, host);
        json.WriteStartArray("namespaces");
        Namespace(json, "mount", null);
        Namespace(json, "uts", null);
        if (!spec.HostPid) Namespace(json, "pid", null);
        if (!spec.HostIpc) Namespace(json, "ipc", null);
        if (host.HasOneCgroupTree && !spec.Privileged) Namespace(json, "cgroup", null);
        if (spec.NetworkNamespacePath is { } network) Namespace(json, "network", network);
        json.WriteEndArray();
        if (spec.Sysctls.Count > 0)
        {
            json.WriteStartObject("sysctl");
            foreach (var (name, value) in spec.Sysctls) json.WriteString(name, value);
            json.WriteEndObject();
        }
        if (spec.Privileged)
        {
            json.WriteStartArray("devices");
            foreach (var device in host.Devices) Device(json, device);
            json.WriteEndArray();
        }
        else
        {
            if (spec.Devices.Count > 0)
            {
                json.WriteStartArray("devices");
                foreach (var device in Given(spec, host)) Device(json, device);
                json.WriteEndArray();
            }
            Strings(json, "maskedPaths", Masked);
            Strings(json, "readonlyPaths", ReadOnly);
            if (!spec.Unconfined) Seccomp.Write(json, capabilities);
        }
        json.WriteEndObject();
    }

    private static void WriteResources(Utf8JsonWriter json, InstanceSpec spec, HostFacts host)
    {
        json.WriteStartObject("resources");
        json.WriteStartArray("devices");
        json.WriteStartObject();
        json.WriteBoolean("allow", spec.Privileged);
        json.WriteString("access", "rwm");
        json.WriteEndObject();
        if (!spec.Privileged)
            foreach (var device in Given(spec, host))
            {
                json.WriteStartObject();
                json.WriteBoolean("allow", true);
                json.WriteString("type", device.Block ? "b" : "c");
                json.WriteNumber("major", device.Major);
                json.WriteNumber("minor", device.Minor);
                json.WriteString("access", "rwm");
                json.WriteEndObject();
            }
        json.WriteEndArray();
        WriteLimits(json, spec.Limits, host);
        json.WriteEndObject();
    }

    /// <summary>The document that the OCI runtime's <c>update</c> takes.</summary>
    internal static byte[] WriteResources(InstanceLimits limits, HostFacts host)
    {
        using var stream = new MemoryStream(256);
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            WriteLimits(json, limits, host);
            json.WriteEndObject();
        }
        return stream.ToArray();
    }

    private static void WriteLimits(Utf8JsonWriter json, InstanceLimits limits, HostFacts host)
    {
        json.WriteStartObject("cpu");
        if (limits.CpuShares > 0) json.WriteNumber("shares", Math.Clamp(limits.CpuShares, 2, 262_144));
        if (limits.CpuLimitMilli > 0)
        {
            json.WriteNumber("quota", Math.Max(MinCpuQuotaUs, limits.CpuLimitMilli * CpuPeriodUs / 1000));
            json.WriteNumber("period", CpuPeriodUs);
        }
        if (limits.CpusetCpus.Length > 0) json.WriteString("cpus", limits.CpusetCpus);
        if (limits.CpusetMems.Length > 0) json.WriteString("mems", limits.CpusetMems);
        json.WriteEndObject();
        if (limits.HugePages.Count > 0)
        {
            json.WriteStartArray("hugepageLimits");
            foreach (var (size, bytes) in limits.HugePages)
            {
                json.WriteStartObject();
                json.WriteString("pageSize", size);
                json.WriteNumber("limit", bytes);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        if (limits.MemoryLimitBytes > 0)
        {
            json.WriteStartObject("memory");
            json.WriteNumber("limit", limits.MemoryLimitBytes);
            // Memory and swap together: none of the limit may be dodged by swapping.
            if (host.LimitsSwap) json.WriteNumber("swap", limits.MemoryLimitBytes);
            json.WriteEndObject();
        }
        if (limits.PidsLimit > 0)
        {
            json.WriteStartObject("pids");
            json.WriteNumber("limit", limits.PidsLimit);
            json.WriteEndObject();
        }
    }

    private static IEnumerable<HostDevice> Given(InstanceSpec spec, HostFacts host)
    {
        foreach (var path in spec.Devices)
            foreach (var device in host.Devices)
                if (device.Path == path)
                    yield return device;
    }

    private static void Device(Utf8JsonWriter json, HostDevice device)
    {
        json.WriteStartObject();
        json.WriteString("path", device.Path);
        json.WriteString("type", device.Block ? "b" : "c");
        json.WriteNumber("major", device.Major);
        json.WriteNumber("minor", device.Minor);
        json.WriteNumber("fileMode", 0x1B0);
        json.WriteNumber("uid", 0);
        json.WriteNumber("gid", 0);
        json.WriteEndObject();
    }

    private static void Namespace(Utf8JsonWriter json, string type, string? path)
    {
        json.WriteStartObject();
        json.WriteString("type", type);
        if (path is not null) json.WriteString("path", path);
        json.WriteEndObject();
    }

    private static void Strings(Utf8JsonWriter json, string name, IEnumerable<string> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values) json.WriteStringValue(value);
        json.WriteEndArray();
    }
}
