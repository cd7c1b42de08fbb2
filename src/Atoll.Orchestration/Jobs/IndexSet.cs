using System.Globalization;
using System.Text;

namespace Atoll.Orchestration.Jobs;

/// <summary>Completion indexes as a Job's status writes them: <c>1,3-5,7</c>.</summary>
internal static class IndexSet
{
    /// <summary>Reads the text; indexes outside of 0 … <paramref name="completions"/> - 1 (the Job was made smaller) are left out.</summary>
    public static SortedSet<int> Parse(string? text, int completions)
    {
        var set = new SortedSet<int>();
        foreach (string part in (text ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = part.Split('-');
            if (int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
                && int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last))
                for (int i = first; i <= last && i < completions; i++)
                    set.Add(i);
        }
        return set;
    }

    /// <summary>Writes the text; two neighbours are written with a comma, three or more as a range.</summary>
    public static string Format(SortedSet<int> set)
    {
        var text = new StringBuilder();
        int? first = null, last = null;
        foreach (int index in set.Append(int.MaxValue))
        {
            if (first is not null && index != last + 1)
            {
                text.Append(text.Length == 0 ? "" : ",").Append(first);
                if (last > first)
                    text.Append(last == first + 1 ? ',' : '-').Append(last);
                first = null;
            }
            first ??= index;
            last = index;
        }
        return text.ToString();
    }
}
