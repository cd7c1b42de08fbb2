namespace Atoll.Scheduling.Online;

/// <summary>What the scheduler thinks of one node for one pod.</summary>
/// <param name="Node">The node's name.</param>
/// <param name="Reasons">Why it will not do, in Kubernetes' words; empty when it will.</param>
/// <param name="Scores">Points by Kubernetes' name of the score, weights included; empty when the node will not do.</param>
/// <param name="Total">Sum of the scores. The highest wins; ties are drawn.</param>
public sealed record NodeVerdict(string Node, IReadOnlyList<string> Reasons, IReadOnlyDictionary<string, long> Scores, long Total);
