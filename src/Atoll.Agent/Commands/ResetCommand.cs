using System.Data.Common;
using Atoll.Agent.Host;
using Atoll.Edge;
using Atoll.Edge.Native;
using Atoll.Store.Sqlite;

namespace Atoll.Agent.Commands;

/// <summary>Takes a node apart: instances, networks, mounts, folders.</summary>
internal static class ResetCommand
{
    public static async Task RunAsync(AgentOptions options, CancellationToken cancellation)
    {
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
        UnmountBelow(options.State);
        using var node = new EdgeNode(options, TimeProvider.System);
        await EdgeReset.RunAsync(node.Runtime, node.Network, [options.Run, options.State], cancellation);
        // The folder that all nodes of a machine share goes with the last of them.
        Posix.RemoveFolder(Path.GetDirectoryName(options.Run)!);
        if (Path.GetDirectoryName(options.State) == AgentOptions.StateRoot)
            Posix.RemoveFolder(AgentOptions.StateRoot);
    }

    // Volumes in memory (emptyDir with medium Memory) are mounts below the state folder; deepest first.
    private static void UnmountBelow(string folder)
    {
        foreach (string line in File.ReadLines("/proc/self/mountinfo").ToArray().Reverse())
        {
            string target = line.Split(' ')[4].Replace("\\040", " ", StringComparison.Ordinal);
            if (target.StartsWith(folder + "/", StringComparison.Ordinal))
                Posix.Unmount(target);
        }
    }
}
