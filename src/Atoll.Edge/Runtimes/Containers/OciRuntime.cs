using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>The OCI runtime of this host, and how to call it.</summary>
internal sealed record OciRuntime(string Name, string Path, string Version, IReadOnlyList<string> GlobalArgs, string Why)
{
    /// <summary>
    /// Tries crun (smaller, faster), then runc, by starting a real container of nothing: only that tells whether this
    /// host's cgroups suit it (crun refuses hosts with both cgroup versions).
    /// </summary>
    internal static async Task<(OciRuntime? Runtime, string? Reason)> FindAsync(string? wanted, string runtimeRoot, string scratch, string cgroup, CancellationToken cancellation)
    {
        var reasons = new List<string>();
        foreach (var name in wanted is null ? (string[])["crun", "runc"] : [wanted])
        {
            if (Child.Find(name) is not { } path)
            {
                reasons.Add($"{name} is not installed");
                continue;
            }
            var shortName = System.IO.Path.GetFileName(path);
            List<string> global = ["--root", runtimeRoot];
            if (shortName == "crun") global.Insert(0, "--cgroup-manager=cgroupfs");
            var version = await Child.RunAsync(path, ["--version"], null, cancellation).ConfigureAwait(false);
            var runtime = new OciRuntime(shortName, path, version.Output.Split('\n')[0].Split(' ')[^1], global, "");
            if (!version.Ok)
            {
                reasons.Add($"{name}: {version.Error.Trim()}");
                continue;
            }
            if (await runtime.TryAsync(scratch, cgroup, cancellation).ConfigureAwait(false) is { } reason)
            {
                reasons.Add($"{name}: {reason}");
                continue;
            }
            return (runtime with { Why = string.Join("; ", reasons) }, null);
        }
        return (null, string.Join("; ", reasons));
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
