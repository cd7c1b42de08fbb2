using System.Text.Json;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>
/// The default system call filter. Kubernetes' own default is none; this one refuses what no ordinary workload needs and
/// what kernel exploits like best, each unless the container has the capability that would allow it anyway. A short list
/// of refusals instead of a long list of permissions: it costs a container start about a millisecond and never breaks on
/// a system call newer than the list.
/// </summary>
internal static class Seccomp
{
    private const int Eperm = 1;
    private const int Enosys = 38;

    /// <summary>Flags of clone(2) that make a new namespace (CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET).</summary>
    private const ulong NamespaceFlags = 0x7E020000;

    private static readonly (string Capability, string[] Calls)[] Guarded =
    [
        ("SYS_ADMIN",
        [
            "mount", "umount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "pivot_root", "setns",
            "unshare", "swapon", "swapoff", "quotactl", "quotactl_fd", "lookup_dcookie", "fanotify_init", "setdomainname", "sethostname", "bpf", "perf_event_open",
        ]),
        ("DAC_READ_SEARCH", ["open_by_handle_at"]),
        ("SYS_MODULE", ["init_module", "finit_module", "delete_module", "create_module", "query_module"]),
        ("SYS_BOOT", ["reboot", "kexec_load", "kexec_file_load"]),
        ("SYS_TIME", ["settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64"]),
        ("SYS_PACCT", ["acct"]),
        ("SYS_RAWIO", ["iopl", "ioperm"]),
        ("SYS_PTRACE", ["process_vm_readv", "process_vm_writev", "kcmp"]),
        ("SYSLOG", ["syslog"]),
        // No capability opens these: keyrings are not namespaced; the others are exploit tools or long dead.
        ("", ["add_key", "request_key", "keyctl", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl", "vm86", "vm86old", "get_kernel_syms"]),
    ];

    internal static void Write(Utf8JsonWriter json, IReadOnlyList<string> capabilities)
    {
        json.WriteStartObject("seccomp");
        json.WriteString("defaultAction", "SCMP_ACT_ALLOW");
        json.WriteStartArray("syscalls");
        foreach (var (capability, calls) in Guarded)
            if (!capabilities.Contains(capability))
                Refuse(json, calls, Eperm);
        if (!capabilities.Contains("SYS_ADMIN"))
        {
            // clone3 hides its flags in memory that a filter cannot read; ENOSYS makes libraries fall back to clone.
            Refuse(json, ["clone3"], Enosys);
            for (var bit = 0; bit < 32; bit++)
            {
                var flag = NamespaceFlags & (1UL << bit);
                if (flag != 0) RefuseFlag(json, "clone", flag);
            }
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Refuse(Utf8JsonWriter json, string[] calls, int errno)
    {
        json.WriteStartObject();
        json.WriteStartArray("names");
        foreach (var call in calls) json.WriteStringValue(call);
        json.WriteEndArray();
        json.WriteString("action", "SCMP_ACT_ERRNO");
        json.WriteNumber("errnoRet", errno);
        json.WriteEndObject();
    }

    private static void RefuseFlag(Utf8JsonWriter json, string call, ulong flag)
    {
        json.WriteStartObject();
        json.WriteStartArray("names");
        json.WriteStringValue(call);
        json.WriteEndArray();
        json.WriteString("action", "SCMP_ACT_ERRNO");
        json.WriteNumber("errnoRet", Eperm);
        json.WriteStartArray("args");
        json.WriteStartObject();
        json.WriteNumber("index", 0);
        json.WriteNumber("value", flag);
        json.WriteNumber("valueTwo", flag);
        json.WriteString("op", "SCMP_CMP_MASKED_EQ");
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
