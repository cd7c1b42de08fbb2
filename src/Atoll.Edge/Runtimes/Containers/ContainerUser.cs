using System.Globalization;
using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>Whom the main process runs as.</summary>
internal sealed record ContainerUser(long Uid, long Gid, IReadOnlyList<long> Groups)
{
    private const int MaxFileBytes = 1024 * 1024;
    private const long MaxId = uint.MaxValue - 1;

    /// <summary>
    /// Looks a user up in the image's /etc/passwd and /etc/group: <c>uid</c>, <c>uid:gid</c>, <c>name</c>, <c>name:group</c>
    /// or nothing (root). The image is untrusted: links never lead out of it, only plain files of bounded size are read.
    /// </summary>
    internal static (ContainerUser? User, string? Error) Find(string root, string user, long? group, IReadOnlyList<long> supplemental)
    {
        var parts = user.Split(':', 2);
        var userPart = parts[0].Length == 0 ? "0" : parts[0];
        var groupPart = parts.Length > 1 ? parts[1] : "";
        long uid, gid = 0;
        string? name = null;
        var numeric = TryId(userPart, out uid);
        var entry = Lines(root, "/etc/passwd").FirstOrDefault(f => f.Length >= 4 && (numeric ? TryId(f[2], out var id) && id == uid : f[0] == userPart));
        if (entry is not null && TryId(entry[2], out var foundUid) && TryId(entry[3], out var foundGid))
            (uid, gid, name) = (foundUid, foundGid, entry[0]);
        else if (!numeric)
            return (null, $"unable to find user {userPart}: no matching entries in passwd file");
        if (group is { } overridden) gid = overridden;
        else if (groupPart.Length > 0 && !TryId(groupPart, out gid))
        {
            var found = Lines(root, "/etc/group").FirstOrDefault(f => f.Length >= 3 && f[0] == groupPart);
            if (found is null || !TryId(found[2], out gid)) return (null, $"unable to find group {groupPart}: no matching entries in group file");
        }
        // An explicit group of the image or pod replaces the primary group, never the memberships that the pod adds.
        var groups = new SortedSet<long>(supplemental) { gid };
        if (name is not null && groupPart.Length == 0)
            foreach (var fields in Lines(root, "/etc/group"))
                if (fields.Length >= 4 && fields[3].Split(',').Contains(name) && TryId(fields[2], out var member))
                    groups.Add(member);
        return (new ContainerUser(uid, gid, [.. groups]), null);
    }

    private static bool TryId(string text, out long id) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out id) && id <= MaxId;

    private static IEnumerable<string[]> Lines(string root, string path)
    {
        if (RootedPath.Resolve(root, path, followLast: true) is not { } file) yield break;
        var info = new FileInfo(file);
        // A FIFO or device of a hostile image would block or never end: neither is a "normal" file with a length.
        if (!info.Exists || info.Length == 0 || info.Length > MaxFileBytes || (info.Attributes & (FileAttributes.Device | FileAttributes.Directory)) != 0) yield break;
        foreach (var line in File.ReadLines(file))
            if (line.Length > 0 && line[0] != '#')
                yield return line.TrimEnd('\r').Split(':');
    }
}
