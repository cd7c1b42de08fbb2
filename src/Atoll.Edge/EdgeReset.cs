using Atoll.Edge.Networks;
using Atoll.Edge.Runtimes.Containers;

namespace Atoll.Edge;

/// <summary>Takes one node off a machine: instances, mounts, namespaces, cgroups, bridge, firewall table, and its folders. For the operator's reset; nothing of another node is touched.</summary>
public static class EdgeReset
{
    private const int Busy = 16; // EBUSY

    /// <summary>Can be run again after a failure, and on a node of which nothing is left.</summary>
    public static async Task RunAsync(ContainerRuntime runtime, BridgePodNetwork network, IReadOnlyList<string> folders, CancellationToken cancellation)
    {
        await runtime.ResetAsync(cancellation).ConfigureAwait(false);
        await network.CleanupAsync(cancellation).ConfigureAwait(false);
        foreach (var folder in folders)
        {
            if (!Directory.Exists(folder)) continue;
            // Deleting through a mount would delete what is mounted: a pod's volume, for one.
            var prefix = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)) + "/";
            if (File.ReadLines("/proc/self/mountinfo").FirstOrDefault(l => l.Split(' ', 6)[4].StartsWith(prefix, StringComparison.Ordinal)) is { } mount)
                throw new IOException($"{mount.Split(' ', 6)[4]} is still mounted");
            try
            {
                Directory.Delete(folder, recursive: true);
            }
            catch (IOException e) when (e.HResult == Busy)
            {
                // A mount point, as where a node's state has a disk of its own: it is emptied, and whoever mounted it unmounts it.
                foreach (var entry in new DirectoryInfo(folder).EnumerateFileSystemInfos())
                    if (entry is DirectoryInfo below) below.Delete(recursive: true);
                    else entry.Delete();
            }
        }
    }
}
