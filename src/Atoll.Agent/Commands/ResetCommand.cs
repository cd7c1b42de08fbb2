using System.Data.Common;
using Atoll.Agent.Host;
using Atoll.Edge.Native;
using Atoll.Store;
using Atoll.Store.Sqlite;

namespace Atoll.Agent.Commands;

/// <summary>Takes a node apart: instances, networks, mounts, folders.</summary>
internal static class ResetCommand
{
    /// <summary>Returns what is left in the state's folder since it is not the node's.</summary>
    public static async Task<IReadOnlyList<string>> RunAsync(AgentOptions options, CancellationToken cancellation)
    {
        // A node's identity is its first file, or its store where it was taken apart before.
        var state = new OwnFolder(options.State, ["identity", "site.db*"], ["api", "ended", "images", "instances", "kubeconfig*", "logs", "network", "pods", "supervisor.json*", "volumes", "witness.json*"]);
        if (state.IsForeign)
            throw new ArgumentException($"--state: {options.State} is not the folder of a node: it holds no identity and no site.db, and names of what a node has. Nothing was changed; name the folder that 'atoll-agent join' was given.");
        string store = Path.Combine(options.State, "site.db");
        if (File.Exists(store))
            try
            {
                // Holding the store proves that no agent runs on it: another holder is an error that says so.
                await (await SqliteStore.OpenAsync(store, new SqliteStoreOptions(), cancellation)).DisposeAsync();
            }
            catch (Exception e) when (e is StoreCorruptException or IOException { InnerException: DbException })
            {
                // Nobody has it; it is damaged, or its disk is full, and about to go anyway.
            }
        UnmountBelow(state.Own());
        using (var node = new EdgeNode(options, TimeProvider.System))
        {
            await node.Runtime.ResetAsync(cancellation);
            await node.Network.CleanupAsync(cancellation);
        }
        new OwnFolder(options.Run, ["*"], []).Delete();
        string[] left = state.Delete();
        // The folder that all nodes of a machine share goes with the last of them.
        Posix.RemoveFolder(Path.GetDirectoryName(options.Run)!);
        if (Path.GetDirectoryName(options.State) == AgentOptions.StateRoot)
            Posix.RemoveFolder(AgentOptions.StateRoot);
        return left;
    }

    // Volumes in memory (emptyDir with medium Memory) are mounts below the state's folders; deepest first.
    private static void UnmountBelow(string[] folders)
    {
        foreach (string line in File.ReadLines("/proc/self/mountinfo").ToArray().Reverse())
        {
            string target = line.Split(' ')[4].Replace("\\040", " ", StringComparison.Ordinal);
            if (Array.Exists(folders, f => target.StartsWith(f + "/", StringComparison.Ordinal)))
                Posix.Unmount(target);
        }
    }
}
