namespace Atoll.Store;

/// <summary>
/// A folder that a program keeps its state in, wherever an operator says, and what of it is the program's to delete: what it makes there itself, by its
/// names, and only where one of <paramref name="marks"/> shows that the folder is such a one. Who names another folder by mistake ("/") loses nothing.
/// </summary>
/// <param name="path">The folder; it need not be there.</param>
/// <param name="marks">Names (patterns such as <c>site.db*</c>) of which one is there before anything else is: they are deleted last, so that a deletion that was broken off can be taken up.</param>
/// <param name="others">Names of the rest.</param>
public sealed class OwnFolder(string path, string[] marks, string[] others)
{
    /// <summary>True when nothing says that it is such a folder, and something in it has one of the names nevertheless.</summary>
    public bool IsForeign => Entries(marks).Length == 0 && Entries(others).Length > 0;

    /// <summary>Paths of what is there and the program's own, in the order of its deletion.</summary>
    public string[] Own() => [.. Entries(others), .. Entries(marks)];

    /// <summary>
    /// Deletes what is the program's own, and the folder unless something else is in it, or it is a mount point. Links are not followed. Nothing in a foreign folder.
    /// </summary>
    /// <returns>Paths of what is left in it, since somebody else put it there. What a file system has at its own root does not count.</returns>
    /// <exception cref="IOException">Something is mounted there: deleting would delete what is mounted, a pod's volume for one. Nothing was deleted.</exception>
    public string[] Delete()
    {
        if (!Directory.Exists(path) || IsForeign)
            return All();
        string[] own = Own();
        foreach (string line in File.ReadLines("/proc/self/mountinfo"))
            if (line.Split(' ', 6)[4].Replace("\\040", " ", StringComparison.Ordinal) is var mount && Array.Exists(own, e => mount == e || mount.StartsWith(e + "/", StringComparison.Ordinal)))
                throw new IOException($"{mount} is still mounted: unmount it first.");
        foreach (string entry in own)
            if (File.GetAttributes(entry) is var kind && kind.HasFlag(FileAttributes.Directory) && !kind.HasFlag(FileAttributes.ReparsePoint))
                Directory.Delete(entry, recursive: true);
            else
                File.Delete(entry);
        string[] left = All();
        if (left.Length == 0)
            try
            {
                Directory.Delete(path);
            }
            catch (IOException)
            {
                // A mount point: who mounted it unmounts it.
            }
        return left;
    }

    private string[] All() => Directory.Exists(path) ? [.. Directory.EnumerateFileSystemEntries(path).Where(e => Path.GetFileName(e) != "lost+found")] : [];

    private string[] Entries(string[] names) => Directory.Exists(path) ? [.. names.SelectMany(n => Directory.EnumerateFileSystemEntries(path, n))] : [];
}
