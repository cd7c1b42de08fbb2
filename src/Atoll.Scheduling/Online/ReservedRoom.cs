namespace Atoll.Scheduling.Online;

/// <summary>What is left of the reservations while a plan is made.</summary>
internal sealed class ReservedRoom
{
    private readonly Dictionary<string, long[]> _left = new(StringComparer.Ordinal), _asked = new(StringComparer.Ordinal);
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

    /// <summary>The same, were some pods of its node gone: what they took of it is its own again.</summary>
    public long[] LeftOf(string name, Func<PodRow, bool>? gone)
    {
        ReservedRow reserved = _snapshot.Reserved[name];
        if (gone is null || _snapshot.RowOf(reserved.Node) is not (>= 0 and int row))
            return LeftOf(name);
        long[] left = _snapshot.LeftOf(reserved, row, gone), asked = _asked.GetValueOrDefault(name) ?? [];
        for (int r = 0; r < Math.Min(left.Length, asked.Length); r++)
            left[r] = Math.Max(0, left[r] - asked[r]);
        return left;
    }

    /// <summary>A pod of such demand takes so much of a reservation, or gives it back (sign −1).</summary>
    public void Count(string name, long[] taken, long[] demand, int sign)
    {
        long[] left = [.. LeftOf(name)], asked = _asked.GetValueOrDefault(name) ?? [];
        for (int r = 0; r < left.Length; r++)
            left[r] -= sign * taken[r];
        _left[name] = left;
        FairShares.Sum(ref asked, demand, sign);
        _asked[name] = asked;
    }

    /// <summary>What a pod with such requests would take of a reservation; null when that is nothing.</summary>
    public long[]? TakenOf(string name, long[] requests, Func<PodRow, bool>? gone = null)
    {
        long[] left = LeftOf(name, gone), taken = new long[left.Length];
        bool any = false;
        for (int r = 0; r < Math.Min(left.Length, requests.Length); r++)
        {
            taken[r] = Math.Min(left[r], requests[r]);
            any |= taken[r] > 0;
        }
        return any ? taken : null;
    }
}
