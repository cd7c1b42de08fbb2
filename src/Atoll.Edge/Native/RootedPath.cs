namespace Atoll.Edge.Native;

/// <summary>
/// Resolves paths below a root folder that hold somebody else's files (an image): symbolic links are followed as the
/// container would see them, never out of the root. Only for trees that nobody changes meanwhile.
/// </summary>
internal static class RootedPath
{
    private const int MaxLinks = 40;

    /// <summary>The host path that <paramref name="path"/> names inside the root, or null when a component is missing, no folder, or links loop. The last component's own link is followed too when <paramref name="followLast"/>.</summary>
    internal static string? Resolve(string root, string path, bool followLast) => Walk(root, path, followLast, create: false);

    /// <summary>The host path of a folder inside the root, made (with its parents, 0755) when it is missing; null when something else is in the way.</summary>
    internal static string? Folder(string root, string path) => Walk(root, path, followLast: true, create: true);

    private static string? Walk(string root, string path, bool followLast, bool create)
    {
        var pending = new Stack<string>();
        Push(pending, path);
        var done = new List<string>();
        var links = 0;
        while (pending.TryPop(out var part))
        {
            if (part == "..")
            {
                if (done.Count > 0) done.RemoveAt(done.Count - 1);
                continue;
            }
            var here = Join(root, done, part);
            var info = new FileInfo(here);
            var target = info.LinkTarget;
            if (target is not null && (followLast || pending.Count > 0))
            {
                if (++links > MaxLinks) return null;
                if (target.StartsWith('/')) done.Clear();
                Push(pending, target);
                continue;
            }
            if (create && target is null && !Path.Exists(here)) Directory.CreateDirectory(here, (UnixFileMode)0b111_101_101);
            if ((create || pending.Count > 0) && !Directory.Exists(here)) return null;
            if (pending.Count == 0 && target is null && !Path.Exists(here)) return null;
            done.Add(part);
        }
        return Join(root, done, null);
    }

    private static void Push(Stack<string> pending, string path)
    {
        var parts = path.Split('/');
        for (var i = parts.Length - 1; i >= 0; i--)
            if (parts[i].Length > 0 && parts[i] != ".")
                pending.Push(parts[i]);
    }

    private static string Join(string root, List<string> done, string? last)
    {
        var path = done.Count == 0 ? root : root + "/" + string.Join('/', done);
        return last is null ? path : path + "/" + last;
    }
}
