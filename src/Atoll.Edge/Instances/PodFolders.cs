namespace Atoll.Edge.Instances;

/// <summary>Where things of a pod lie in the state folder.</summary>
internal sealed class PodFolders(string state, string ns, string name, string uid)
{
    public string Pod { get; } = Path.Combine(state, "pods", InstanceNames.PodPart(uid));
    public string Logs { get; } = Path.Combine(state, "logs", $"{ns}_{name}_{uid}");
    public string SubPaths => Path.Combine(Pod, "subpaths");

    public string LogFolder(string container) => Path.Combine(Logs, container);

    public string Log(string container, int attempt) => Path.Combine(Logs, container, $"{attempt}.log");

    public string TerminationMessage(string container, int attempt) => Path.Combine(Pod, "termination", $"{container}-{attempt}");

    public static string All(string state) => Path.Combine(state, "pods");

    /// <summary>Where it is kept how pods ended that have left this node for good.</summary>
    public static string Ended(string state) => Path.Combine(state, "ended");
}
