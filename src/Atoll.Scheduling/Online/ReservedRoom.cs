namespace Atoll.Scheduling.Online;

/// <summary>What is left of the reservations while a plan is made.</summary>
internal sealed class ReservedRoom
{
    private readonly Dictionary<string, long[]> _left = new(StringComparer.Ordinal);
    private readonly Snapshot _snapshot;

    public ReservedRoom(Snapshot snapshot) => _snapshot = snapshot;

    public bool IsEmpty => _snapshot.Reserved.IsEmpty;

    /// <summary>The reservations that pods of a group may use, with their rows, by name; null for none.</summary>
    public (string Name, int Row)[]? For(PodGroup pods)
    {
        List<(string Name, int Row)>? found = null;
        foreach (ReservedRow reserved in _snapshot.Reserved.Values)
            if (reserved.IsFor(pods) && _snapshot.RowOf(reserved.Node) is >= 0 and int row)
                (found ??= []).Add((reserved.Name, row));
        found?.Sort(static (a, b) => string.CompareOrdinal(a.Name, b.Name));
        return found?.ToArray();
    }

    public long[] LeftOf(string name) => _left.GetValueOrDefault(name) ?? _snapshot.Reserved[name].Left;

    /// <summary>What a pod takes of a reservation, or gives back to it (sign −1).</summary>
    public void Count(string name, long[] taken, int sign)
    {
        long[] left = [.. LeftOf(name)];
        for (int r = 0; r < left.Length; r++)
            left[r] -= sign * taken[r];
        _left[name] = left;
    }

    /// <summary>What a pod with such requests would take of a reservation; null when that is nothing.</summary>
    public long[]? TakenOf(string name, long[] requests)
    {
        long[] left = LeftOf(name), taken = new long[left.Length];
        bool any = false;
        for (int r = 0; r < Math.Min(left.Length, requests.Length); r++)
        {
            taken[r] = Math.Min(left[r], requests[r]);
            any |= taken[r] > 0;
        }
        return any ? taken : null;
    }
}
