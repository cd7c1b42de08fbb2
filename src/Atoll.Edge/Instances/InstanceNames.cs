using System.Security.Cryptography;
using System.Text;

namespace Atoll.Edge.Instances;

/// <summary>Ids and labels of instances: the id follows from pod, container and attempt, so that starting twice is starting once.</summary>
internal static class InstanceNames
{
    public const string PodUid = "io.kubernetes.pod.uid";
    public const string PodName = "io.kubernetes.pod.name";
    public const string PodNamespace = "io.kubernetes.pod.namespace";
    public const string Container = "io.kubernetes.container.name";
    public const string Attempt = "io.kubernetes.container.restartCount";
    public const string Grace = "io.kubernetes.pod.terminationGracePeriod";
    public const string Image = "edge.atoll.dev/image";
    public const string ImageId = "edge.atoll.dev/image-id";

    /// <summary>On instances of pods that there must never be two of.</summary>
    public const string Identity = "edge.atoll.dev/identity";

    public static string Id(string podUid, string container, int attempt) =>
        $"{PodPart(podUid)}-{Hash(container, 4)}-{attempt}";

    /// <summary>The UID as a folder, cgroup and id part: unchanged when it is made of safe characters, else its hash.</summary>
    public static string PodPart(string uid)
    {
        bool safe = uid.Length is > 0 and <= 40;
        foreach (char c in uid)
            safe &= char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-';
        return safe ? uid : "x" + Hash(uid, 16);
    }

    private static string Hash(string text, int bytes) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, bytes));
}
