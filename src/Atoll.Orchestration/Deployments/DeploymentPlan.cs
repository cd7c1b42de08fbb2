using System.Text.Json.Nodes;
using Atoll.Api.Core;

namespace Atoll.Orchestration.Deployments;

/// <summary>A ReplicaSet to make.</summary>
internal sealed record NewReplicaSet(string Name, JsonObject Document, int Size, long Revision);

/// <summary>A ReplicaSet to change; null leaves a part as it is.</summary>
internal sealed record ReplicaSetChange(ReplicaSetState Set, int Size, IReadOnlyDictionary<string, string> Annotations, int? MinReadySeconds);

/// <summary>What to do about a Deployment now. The next change of a set or pod asks again.</summary>
/// <param name="Create">The new set, or null.</param>
/// <param name="Changes">Sets to scale or annotate, in order.</param>
/// <param name="Delete">History that is no longer kept.</param>
/// <param name="Revision">Revision to write on the Deployment, or null when it is there.</param>
/// <param name="Status">The status to show.</param>
/// <param name="After">When to look again without a change, or null.</param>
internal sealed record DeploymentPlan(
    NewReplicaSet? Create, IReadOnlyList<ReplicaSetChange> Changes, IReadOnlyList<ReplicaSetState> Delete, long? Revision, DeploymentStatus Status, TimeSpan? After);
