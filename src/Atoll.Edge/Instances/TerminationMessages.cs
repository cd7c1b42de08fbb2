using System.Text;
using Atoll.Api.Core;

namespace Atoll.Edge.Instances;

/// <summary>What a container said at its end: its message file, or by policy the end of its log. At most 4096 bytes (2048 or 80 lines of a log).</summary>
internal static class TerminationMessages
{
    private const int FileLimit = 4096, LogLimit = 2048, LogLines = 80;

    public static string? Read(PodFolders folders, Container container, int attempt, bool failed)
    {
        try
        {
            string path = folders.TerminationMessage(container.Name, attempt);
            string text = File.Exists(path) ? Tail(path, FileLimit) : "";
            if (text.Length == 0 && failed && container.TerminationMessagePolicy == "FallbackToLogsOnError")
                text = LogTail(folders.Log(container.Name, attempt));
            return text.Length == 0 ? null : text;
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static string Tail(string path, int limit)
    {
        using FileStream file = File.OpenRead(path);
        file.Seek(-Math.Min(file.Length, limit), SeekOrigin.End);
        var bytes = new byte[limit];
        int read = file.ReadAtLeast(bytes, limit, throwOnEndOfStream: false);
        return Encoding.UTF8.GetString(bytes, 0, read);
    }

    private static string LogTail(string path)
    {
        if (!File.Exists(path))
            return "";
        var lines = new List<string>();
        foreach (string line in Tail(path, LogLimit * 4).Split('\n'))
        {
            string[] parts = line.Split(' ', 4);
            if (parts.Length == 4)
                lines.Add(parts[3] + (parts[2] == "P" ? "" : "\n"));
        }
        string text = string.Concat(lines.TakeLast(LogLines));
        return text.Length <= LogLimit ? text : text[^LogLimit..];
    }
}
