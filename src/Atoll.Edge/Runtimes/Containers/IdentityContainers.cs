using Atoll.Edge.Instances;
using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>
/// Ends what runs of pods with an identity on a node that may run none, as a power cut would: the agent's other work goes on. It
/// needs nothing but the files of the runtime, so that whoever guards the node can do it when the agent is dead.
/// </summary>
public sealed class IdentityContainers
{
    private readonly InstanceFolders _folders;
    private readonly Cgroups _cgroups;

    /// <summary>Over the folders of one node's containers.</summary>
    public IdentityContainers(ContainerRuntimeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _folders = new InstanceFolders(options);
        _cgroups = new Cgroups(CgroupMounts.OfHost(options.CgroupMount));
    }

    /// <summary>Kills every process of such containers that there is now; returns their number. To be repeated: one may be starting.</summary>
    public int Kill()
    {
        int killed = 0;
        foreach (string id in Ids())
        {
            if (InstanceRecord.Read(_folders.Record(id)) is not { } record || !record.Labels.ContainsKey(InstanceNames.Identity))
                continue;
            foreach (int pid in _cgroups.Processes(record.Cgroup))
            {
                Posix.Kill(pid, Posix.SIGKILL);
                killed++;
            }
            if (record.Main.Alive)
            {
                Posix.Kill(record.Main.Pid, Posix.SIGKILL);
                killed++;
            }
        }
        return killed;
    }

    private string[] Ids()
    {
        try
        {
            return Array.ConvertAll(Directory.GetDirectories(_folders.Instances), Path.GetFileName)!;
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }
}
