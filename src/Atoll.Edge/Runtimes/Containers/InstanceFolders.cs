namespace Atoll.Edge.Runtimes.Containers;

/// <summary>Names of everything that the runtime keeps on disk. State survives a reboot; run need not.</summary>
internal sealed class InstanceFolders(ContainerRuntimeOptions options)
{
    /// <summary>One folder for each instance: record, writable layer, mount point.</summary>
    internal string Instances { get; } = Path.Join(options.StateFolder, "instances");

    /// <summary>One file for each ended instance, written by its monitor: the exit code; its time is the end's.</summary>
    internal string Exits { get; } = Path.Join(options.StateFolder, "exits");

    /// <summary>One bundle for each instance: config.json, pid files, attach socket.</summary>
    internal string Bundles { get; } = Path.Join(options.RunFolder, "c");

    /// <summary>The OCI runtime's own state.</summary>
    internal string RuntimeRoot { get; } = Path.Join(options.RunFolder, "oci");

    internal string Instance(string id) => Path.Join(Instances, id);

    internal string Record(string id) => Path.Join(Instances, id, "record.json");

    internal string Root(string id) => Path.Join(Instances, id, "root");

    internal string Exit(string id) => Path.Join(Exits, id);

    internal string Bundle(string id) => Path.Join(Bundles, id);

    internal void Create()
    {
        foreach (var folder in (string[])[options.StateFolder, Instances, Exits, options.RunFolder, Bundles, RuntimeRoot])
            Native.AtomicFile.CreateFolder(folder);
    }
}
