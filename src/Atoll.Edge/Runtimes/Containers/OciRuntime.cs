using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>The OCI runtime of this host, and how to call it.</summary>
internal sealed record OciRuntime(string Name, string Path, string Version, IReadOnlyList<string> GlobalArgs, string Why)
{
    /// <summary>
    /// Tries crun (smaller, faster), then runc, by starting a real container of nothing: only that tells whether this
    /// host's cgroups suit it. crun refuses hosts with both cgroup versions; where nothing else works, or crun was asked
    /// for by name, it gets a view of the host without the second one.
    /// </summary>
    internal static async Task<(OciRuntime? Runtime, string? Reason)> FindAsync(string? wanted, string runtimeRoot, string scratch, string cgroup, Cgroups host, CancellationToken cancellation)
    {
        var reasons = new List<string>();
        var refused = new List<OciRuntime>();
        foreach (var name in wanted is null ? (string[])["crun", "runc"] : [wanted])
        {
            if (Child.Find(name) is not { } path)
            {
                reasons.Add($"{name} is not installed");
                continue;
            }
            var version = await Child.RunAsync(path, ["--version"], null, cancellation).ConfigureAwait(false);
            if (!version.Ok)
            {
                reasons.Add($"{name}: {Clean(version.Error)}");
                continue;
            }
            var runtime = Known(path, version.Output, runtimeRoot);
            if (await runtime.TryAsync(scratch, cgroup, cancellation).ConfigureAwait(false) is not { } reason) return (runtime with { Why = string.Join("; ", reasons) }, null);
            reasons.Add($"{name}: {reason}");
            if (runtime.Name == "crun" && host.Mode == CgroupMode.Hybrid) refused.Add(runtime);
        }
        foreach (var runtime in refused)
        {
            if (runtime.WithoutUnified(host.UnifiedMount) is not { } hidden)
            {
                reasons.Add("unshare, mount and umount (util-linux, mount), with which crun could be given one cgroup version, are not installed");
                continue;
            }
            if (await hidden.TryAsync(scratch, cgroup, cancellation).ConfigureAwait(false) is not { } reason) return (hidden with { Why = string.Join("; ", reasons) }, null);
            reasons.Add($"crun without {host.UnifiedMount}: {reason}");
        }
        return (null, string.Join("; ", reasons));
    }

    /// <summary>Name and version from what it says of itself ("crun version 1.8.1"): its file may have any name.</summary>
    private static OciRuntime Known(string path, string version, string runtimeRoot)
    {
        var words = version.Split('\n')[0].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var name = words.Length > 0 ? words[0] : System.IO.Path.GetFileName(path);
        List<string> global = ["--root", runtimeRoot];
        if (name == "crun") global.Insert(0, "--cgroup-manager=cgroupfs");
        return new OciRuntime(name, path, words.Length > 0 ? words[^1] : "", global, "");
    }

    /// <summary>
    /// The same runtime in a mount namespace that lasts as long as one call and does not have the second cgroup version.
    /// Only the cgroup mounts are made private, so that other mounts propagate as without it.
    /// </summary>
    private OciRuntime? WithoutUnified(string unified)
    {
        if (Child.Find("unshare") is not { } unshare || Child.Find("mount") is null || Child.Find("umount") is null || Child.Find("sh") is not { } shell) return null;
        // A fixed text; whatever varies is an argument.
        const string script = """mount --make-rprivate "${1%/*}" && umount "$1" && shift && exec "$@" """;
        return this with { Path = unshare, GlobalArgs = ["--mount", "--propagation", "unchanged", shell, "-c", script, "sh", unified, Path, .. GlobalArgs] };
    }

    internal Task<ChildResult> RunAsync(IReadOnlyList<string> args, CancellationToken cancellation) => Child.RunAsync(Path, [.. GlobalArgs, .. args], null, cancellation);

    /// <summary>The message without log framing: runc's <c>time=… level=error msg="…"</c>, crun's <c>date: …</c>.</summary>
    internal static string Clean(string error)
    {
        var line = error.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).LastOrDefault() ?? "";
        var start = line.IndexOf("msg=\"", StringComparison.Ordinal);
        if (start >= 0)
        {
            line = line[(start + 5)..];
            var end = line.LastIndexOf('"');
            if (end >= 0) line = line[..end];
            line = line.Replace("\\\"", "\"", StringComparison.Ordinal).Replace("\\\\", "\\", StringComparison.Ordinal);
        }
        return line;
    }

    private async Task<string?> TryAsync(string scratch, string cgroup, CancellationToken cancellation)
    {
        var id = "probe-" + Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture);
        var bundle = System.IO.Path.Join(scratch, id);
        AtomicFile.CreateFolder(System.IO.Path.Join(bundle, "rootfs"));
        try
        {
            var spec = new InstanceSpec
            {
                Id = id,
                Labels = new Dictionary<string, string>(),
                ImageDigest = "",
                Args = ["/nothing"],
                Environment = [],
                WorkingDirectory = "/",
                CgroupParent = "",
                Limits = new InstanceLimits { MemoryLimitBytes = 64 << 20, PidsLimit = 16, CpuLimitMilli = 100 },
                LogPath = "",
            };
            var config = OciConfig.Write(spec, System.IO.Path.Join(bundle, "rootfs"), cgroup + "/" + id, new ContainerUser(0, 0, []), [], new HostFacts(0, false, HostFacts.ReadOpenFiles(), []));
            AtomicFile.Write(System.IO.Path.Join(bundle, "config.json"), config, durable: false);
            // There is no program to run: a runtime that suits the host fails at exactly that, after namespaces, cgroups and mounts.
            var result = await RunAsync(["run", "--bundle", bundle, id], cancellation).ConfigureAwait(false);
            await RunAsync(["delete", "--force", id], cancellation).ConfigureAwait(false);
            return result.Error.Contains("/nothing", StringComparison.Ordinal) ? null : Clean(result.Error);
        }
        finally
        {
            Directory.Delete(bundle, recursive: true);
        }
    }
}
