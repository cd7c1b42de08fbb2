using System.Text.RegularExpressions;

namespace Atoll.EndToEnd.Sites;

/// <summary>What a machine holds that an installation may leave behind, one line a thing.</summary>
internal static class Listing
{
    internal static async Task<HashSet<string>> TakeAsync()
    {
        var lines = new HashSet<string>(StringComparer.Ordinal);
        foreach (string entry in Entries("/run/netns"))
            lines.Add($"namespace {entry}");
        foreach (string entry in Entries("/run/atoll"))
            lines.Add($"file {entry}");
        foreach (string entry in Entries("/tmp").Where(e => Path.GetFileName(e).StartsWith("atoll-e2e-", StringComparison.Ordinal) && Directory.Exists(e) && int.TryParse(Path.GetFileName(e)[10..], out _)))
            lines.Add($"file {entry}");
        foreach (string line in await File.ReadAllLinesAsync("/proc/self/mountinfo"))
            lines.Add($"mount {line.Split(' ')[4]}");
        foreach (string line in (await Programs.OkAsync("ip", "-o", "link")).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            lines.Add($"link {line.Split(':')[1].Trim().Split('@')[0]}");
        foreach (string line in (await Programs.OkAsync("nft", "list", "tables")).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            lines.Add($"nft {line.Trim()}");
        foreach (string folder in Directory.EnumerateDirectories("/sys/fs/cgroup", "*", new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true }))
            lines.Add($"cgroup {folder}");
        foreach (int pid in Programs.Find(folder => File.ReadAllText(Path.Combine(folder, "cmdline")) is var line && (line.Contains("atoll", StringComparison.Ordinal) || line.Contains("conmon", StringComparison.Ordinal) || line.Contains("httpd", StringComparison.Ordinal))))
            if (Name(pid) is { } name)
                lines.Add($"process {pid} {name}");
        return lines;
    }

    /// <summary>True for what belongs to an instance: others may come and go at the same time.</summary>
    internal static bool IsOfInstance(string line, int instance) =>
        Regex.IsMatch(line, $@"(\b(alpha|bravo|charlie|atoll-net|atoll-e2e|atoll-u\d)-{instance}\b)|(\batoll{instance}\b)", RegexOptions.CultureInvariant);

    private static IEnumerable<string> Entries(string folder) => Directory.Exists(folder) ? Directory.EnumerateFileSystemEntries(folder) : [];

    private static string? Name(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Replace('\0', ' ').Trim();
        }
        catch (IOException)
        {
            return null;
        }
    }
}
