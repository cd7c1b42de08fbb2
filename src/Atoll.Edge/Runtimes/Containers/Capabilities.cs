using System.Globalization;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>Linux capabilities by name, without the CAP_ prefix, in the kernel's order (capability(7)).</summary>
internal static class Capabilities
{
    private static readonly string[] Known =
    [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
        "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
        "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
        "PERFMON", "BPF", "CHECKPOINT_RESTORE",
    ];

    /// <summary>What a container may do unless its pod says otherwise: the set that the container engines agree on.</summary>
    private static readonly string[] Default =
    [
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE",
        "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    ];

    /// <summary>Default plus added minus dropped, as Kubernetes combines them: ALL first, then single names; or an error that names an unknown capability.</summary>
    internal static (IReadOnlyList<string> Set, string? Error) Combine(IReadOnlyList<string> add, IReadOnlyList<string> drop, bool privileged, ulong held)
    {
        var all = Known.Where((_, i) => (held >> i & 1) != 0).ToHashSet(StringComparer.Ordinal);
        if (privileged) return (Ordered(all), null);
        var adds = add.Select(Normal).ToList();
        var drops = drop.Select(Normal).ToList();
        foreach (var name in adds.Concat(drops))
            if (name != "ALL" && !Known.Contains(name))
                return ([], $"unknown capability \"{name}\"");
        HashSet<string> set = adds.Contains("ALL") ? new(all, StringComparer.Ordinal) : drops.Contains("ALL") ? new(StringComparer.Ordinal) : new(Default, StringComparer.Ordinal);
        foreach (var name in drops) set.Remove(name);
        foreach (var name in adds)
            if (name != "ALL")
                set.Add(name);
        // What the kernel does not know, or the agent itself does not hold, cannot be granted.
        set.IntersectWith(all);
        return (Ordered(set), null);
    }

    /// <summary>The capabilities that this process holds and can hand down, a bit each.</summary>
    internal static ulong ReadHeld()
    {
        const string field = "CapPrm:";
        var line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(field, StringComparison.Ordinal));
        return ulong.Parse(line.AsSpan(field.Length).Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
    }

    private static string Normal(string name)
    {
        var upper = name.ToUpperInvariant();
        return upper.StartsWith("CAP_", StringComparison.Ordinal) ? upper[4..] : upper;
    }

    private static List<string> Ordered(HashSet<string> set) => [.. Known.Where(set.Contains)];
}
