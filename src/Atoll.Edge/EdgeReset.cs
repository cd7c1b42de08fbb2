using Atoll.Edge.Networks;
using Atoll.Edge.Runtimes.Containers;

namespace Atoll.Edge;

/// <summary>Takes what runs of one node off a machine: instances, mounts, namespaces, cgroups, bridge, firewall table. For the operator's reset; nothing of another node is touched.</summary>
public static class EdgeReset
{
    /// <summary>Can be run again after a failure, and on a node of which nothing is left.</summary>
    /// <param name="runtime">The node's.</param>
    /// <param name="network">The node's.</param>
    /// <param name="folders">What will be deleted afterwards: an error when something is mounted there still, for deleting through a mount would delete what is mounted, a pod's volume for one.</param>
    /// <param name="cancellation">Ends it.</param>
    public static async Task RunAsync(ContainerRuntime runtime, BridgePodNetwork network, IReadOnlyList<string> folders, CancellationToken cancellation)
    {
        await runtime.ResetAsync(cancellation).ConfigureAwait(false);
        await network.CleanupAsync(cancellation).ConfigureAwait(false);
        foreach (var line in File.ReadLines("/proc/self/mountinfo"))
        {
            var mount = line.Split(' ', 6)[4];
            foreach (var folder in folders)
                if (mount == folder || mount.StartsWith(folder + "/", StringComparison.Ordinal)) throw new IOException($"{mount} is still mounted: unmount it first");
        }
    }
}
