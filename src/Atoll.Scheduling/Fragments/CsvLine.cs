using System.Text;

namespace Atoll.Scheduling.Fragments;

/// <summary>A line of comma-separated fields, some of them perhaps in quotes (RFC 4180, on one line).</summary>
internal static class CsvLine
{
    public static string[] Split(string line)
    {
        if (!line.Contains('"', StringComparison.Ordinal))
            return line.Split(',');
        var fields = new List<string>();
        var field = new StringBuilder();
        bool quoted = false;
        for (int i = 0; i < line.Length; i++)
            if (line[i] != '"')
            {
                if (line[i] != ',' || quoted)
                {
                    field.Append(line[i]);
                    continue;
                }
                fields.Add(field.ToString());
                field.Clear();
            }
            else if (quoted && i + 1 < line.Length && line[i + 1] == '"')
                field.Append(line[i++]);
            else
                quoted = !quoted;
        fields.Add(field.ToString());
        return [.. fields];
    }
}
