namespace Atoll.Scheduling.Online;

/// <summary>
/// What is decided about claims and not yet in their objects: by bindings on their way, and by the plan that is being made. A claim is
/// decided once, whoever of its pods comes first; a volume goes to one claim.
/// </summary>
internal sealed class VolumeBook(Snapshot snapshot)
{
    private Dictionary<string, ClaimDecision> _decided = new(StringComparer.Ordinal), _before = [];
    private HashSet<string> _taken = TakenIn(snapshot), _takenBefore = [];

    /// <summary>What was decided about a claim, or null.</summary>
    public ClaimDecision? Of(string claim) => _decided.GetValueOrDefault(claim) ?? snapshot.DecidedClaims.GetValueOrDefault(claim);

    /// <summary>True when a volume was given to a claim, by the plan or by a binding on its way.</summary>
    public bool IsTaken(string volume) => _taken.Contains(volume);

    /// <summary>A pod of the claim was placed on a node.</summary>
    public void Decide(VolumeChoice choice, string node)
    {
        _decided[choice.Claim] = new ClaimDecision(choice.Volume, node);
        if (choice.Volume is not null)
            _taken.Add(choice.Volume);
    }

    private static HashSet<string> TakenIn(Snapshot snapshot)
    {
        var taken = new HashSet<string>(StringComparer.Ordinal);
        foreach (ClaimDecision decision in snapshot.DecidedClaims.Values)
            if (decision.Volume is not null)
                taken.Add(decision.Volume);
        return taken;
    }

    /// <summary>From here on what is decided can be taken back.</summary>
    public void Mark() => (_before, _takenBefore) = (new(_decided, StringComparer.Ordinal), new(_taken, StringComparer.Ordinal));

    /// <summary>Takes back what was decided since <see cref="Mark"/>.</summary>
    public void Undo() => (_decided, _taken) = (new(_before, StringComparer.Ordinal), new(_takenBefore, StringComparer.Ordinal));
}

/// <summary>The volume of a claim, or (null) that one is made, and the node of the pod that decided it.</summary>
internal sealed record ClaimDecision(string? Volume, string Node);
