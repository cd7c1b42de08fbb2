using System.Globalization;

namespace Atoll.Edge.Instances;

/// <summary>A file of a projected folder.</summary>
internal readonly record struct ProjectedFile(byte[] Content, int Mode);

/// <summary>
/// A folder whose whole content changes at once, as Kubernetes' volumes do: files live in a dated folder, <c>..data</c>
/// points to it, and a reader sees the old set or the new set, never a mixture. User-visible names are links through ..data.
/// </summary>
internal static class AtomicFolder
{
    private const string Data = "..data", Next = "..data_tmp";

    /// <summary>Writes the set; false when it was already there.</summary>
    public static bool Write(string folder, IReadOnlyDictionary<string, ProjectedFile> files, long? group, TimeProvider time)
    {
        Directory.CreateDirectory(folder);
        string data = Path.Combine(folder, Data);
        string? current = new FileInfo(data).LinkTarget;
        if (current is not null && Same(Path.Combine(folder, current), files))
            return false;
        string name = NewName(folder, time);
        string next = Path.Combine(folder, name);
        Directory.CreateDirectory(next, (UnixFileMode)0b111_101_101);
        foreach (KeyValuePair<string, ProjectedFile> file in files)
            WriteFile(next, file.Key, file.Value, group);
        if (group is { } gid)
        {
            PodSystem.ChangeGroup(folder, gid);
            PodSystem.ChangeGroup(next, gid);
        }
        string link = Path.Combine(folder, Next);
        File.Delete(link);
        File.CreateSymbolicLink(link, name);
        PodSystem.Rename(link, data);
        Links(folder, files);
        foreach (string old in Directory.EnumerateDirectories(folder, "..2*"))
            if (Path.GetFileName(old) != name)
                Directory.Delete(old, recursive: true);
        return true;
    }

    private static string NewName(string folder, TimeProvider time)
    {
        string stem = "..2" + time.GetUtcNow().ToString("yyyy_MM_dd_HH_mm_ss.fffffff", CultureInfo.InvariantCulture)[1..];
        string name = stem;
        for (int i = 1; Directory.Exists(Path.Combine(folder, name)); i++)
            name = $"{stem}.{i}";
        return name;
    }

    private static void WriteFile(string root, string path, ProjectedFile file, long? group)
    {
        string full = Path.Combine(root, path);
        string parent = Path.GetDirectoryName(full)!;
        if (parent != root)
        {
            Directory.CreateDirectory(parent, (UnixFileMode)0b111_101_101);
            for (string p = parent; group is { } g && p.Length > root.Length; p = Path.GetDirectoryName(p)!)
                PodSystem.ChangeGroup(p, g);
        }
        File.WriteAllBytes(full, file.Content);
        int mode = group is null ? file.Mode : file.Mode | ((file.Mode & 0b100_000_000) >> 3);
        if (group is { } gid)
            PodSystem.ChangeGroup(full, gid);
        File.SetUnixFileMode(full, (UnixFileMode)(mode & 0b111_111_111));
    }

    /// <summary>Makes and removes the names at the top: one link for each first path element.</summary>
    private static void Links(string folder, IReadOnlyDictionary<string, ProjectedFile> files)
    {
        var tops = new HashSet<string>(StringComparer.Ordinal);
        foreach (string path in files.Keys)
            tops.Add(path.Split('/', 2)[0]);
        foreach (string top in tops)
        {
            string link = Path.Combine(folder, top);
            if (new FileInfo(link).LinkTarget is null)
                File.CreateSymbolicLink(link, Path.Combine(Data, top));
        }
        foreach (FileSystemInfo entry in new DirectoryInfo(folder).EnumerateFileSystemInfos())
            if (!entry.Name.StartsWith("..", StringComparison.Ordinal) && !tops.Contains(entry.Name) && entry.LinkTarget is not null)
                File.Delete(entry.FullName);
    }

    private static bool Same(string folder, IReadOnlyDictionary<string, ProjectedFile> files)
    {
        if (!Directory.Exists(folder))
            return false;
        int count = 0;
        foreach (string path in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            count++;
            if (!files.TryGetValue(Path.GetRelativePath(folder, path), out ProjectedFile file) || new FileInfo(path).Length != file.Content.Length || !File.ReadAllBytes(path).AsSpan().SequenceEqual(file.Content))
                return false;
        }
        return count == files.Count;
    }
}
