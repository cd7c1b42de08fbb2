namespace Atoll.Link.Members;

/// <summary>
/// How the list of voters follows the nodes that are there. Each change has two steps: first both lists are in force, then, when
/// a majority of either has that, the new one alone.
/// </summary>
public static class Membership
{
    /// <summary>The next list, or null when nothing is to be changed now.</summary>
    /// <param name="self">The leader.</param>
    /// <param name="current">The list in force.</param>
    /// <param name="isHeld">True when the list in force is known to a node. A node that the centre no longer knows counts as one that does: its operator said that it is gone.</param>
    /// <param name="present">Nodes that follow this leader now, itself counted.</param>
    /// <param name="isRegistered">True for a node that the site knows; a member that is neither known nor present leaves.</param>
    /// <param name="witness">Address of the witness that the site is to have, empty for none; null leaves it as it is.</param>
    public static MemberList? Next(string self, MemberList current, Func<string, bool> isHeld, IReadOnlyList<Member> present, Func<string, bool> isRegistered, string? witness = null)
    {
        ArgumentNullException.ThrowIfNull(current);
        ArgumentNullException.ThrowIfNull(isHeld);
        ArgumentNullException.ThrowIfNull(present);
        ArgumentNullException.ThrowIfNull(isRegistered);
        if (current.Former is { } former)
            return Majority(current.Nodes, isHeld) && Majority(former, isHeld) ? new MemberList(current.Nodes, Witness: current.Witness) : null;
        var nodes = new List<Member>();
        foreach (Member node in current.Nodes)
            if (MemberList.Find(present, node.Name) is { } now)
                nodes.Add(now);
            else if (node.Name == self || isRegistered(node.Name))
                nodes.Add(node);
        foreach (Member node in present)
            if (MemberList.Find(current.Nodes, node.Name) is null && (node.Name == self || isRegistered(node.Name)))
                nodes.Add(node);
        witness = witness is null ? current.Witness : witness.Length == 0 ? null : witness;
        return nodes.SequenceEqual(current.Nodes) && witness == current.Witness ? null : new MemberList(nodes, current.Nodes, witness, current.Witness);
    }

    private static bool Majority(IReadOnlyList<Member> nodes, Func<string, bool> isHeld)
    {
        int held = 0;
        foreach (Member node in nodes)
            if (isHeld(node.Name))
                held++;
        return held >= Election.MajorityOf(nodes.Count);
    }
}
