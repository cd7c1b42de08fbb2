using System.Globalization;

namespace Atoll.Edge.Instances;

/// <summary>A container's log files: <c>ATTEMPT.log</c>, rotated to <c>ATTEMPT.log.YYYYMMDD-HHMMSS.fffffff</c>, oldest first by name.</summary>
internal static class LogFiles
{
    /// <summary>Numbers of the attempts that have logs, newest first.</summary>
    public static List<int> Attempts(string folder)
    {
        var numbers = new SortedSet<int>();
        if (Directory.Exists(folder))
            foreach (string path in Directory.EnumerateFiles(folder))
                if (int.TryParse(Path.GetFileName(path).Split('.', 2)[0], NumberStyles.None, CultureInfo.InvariantCulture, out int number))
                    numbers.Add(number);
        return [.. numbers.Reverse()];
    }

    /// <summary>Files of one attempt, oldest first; the current one last.</summary>
    public static List<string> Files(string folder, int attempt)
    {
        string current = Path.Combine(folder, $"{attempt}.log");
        var files = new List<string>();
        if (Directory.Exists(folder))
            foreach (string path in Directory.EnumerateFiles(folder))
                if (path.StartsWith(current + ".", StringComparison.Ordinal)) // A search pattern "0.log.*" would take "0.log" too.
                    files.Add(path);
        files.Sort(StringComparer.Ordinal);
        if (File.Exists(current))
            files.Add(current);
        return files;
    }

    /// <summary>Keeps the logs of the newest attempts: the running one and the one for <c>--previous</c>.</summary>
    public static void KeepNewest(string folder, int attempts)
    {
        foreach (int old in Attempts(folder).Skip(attempts))
            foreach (string path in Files(folder, old))
                File.Delete(path);
    }

    /// <summary>Renames the current file away; false when it is below the limit. The caller asks the writer to reopen.</summary>
    public static bool Rotate(string folder, int attempt, long maxBytes, int maxFiles, DateTimeOffset now)
    {
        var current = new FileInfo(Path.Combine(folder, $"{attempt}.log"));
        if (!current.Exists || current.Length < maxBytes)
            return false;
        File.Move(current.FullName, $"{current.FullName}.{now.UtcDateTime.ToString("yyyyMMdd-HHmmss.fffffff", CultureInfo.InvariantCulture)}", overwrite: true);
        List<string> files = Files(folder, attempt);
        for (int i = 0; i < files.Count - (maxFiles - 1); i++)
            File.Delete(files[i]);
        return true;
    }
}
