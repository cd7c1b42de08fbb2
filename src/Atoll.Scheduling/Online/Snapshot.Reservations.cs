using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Reservations of a snapshot: room that counts as used on its node, less what pods that belong there have taken of it. A pod
/// takes of the reservation that its annotation names; where the pod goes, that room is the reservation's again.
/// </summary>
public sealed partial class Snapshot
{
    /// <summary>By name.</summary>
    internal ImmutableDictionary<string, ReservedRow> Reserved { get; private set; } = ImmutableDictionary.Create<string, ReservedRow>(StringComparer.Ordinal);

    /// <summary>The pod that stands for a reservation while a node is looked for: it asks for the same and goes to the same nodes, displacing nobody.</summary>
    public static KubeObject PodFor(KubeObject reservation)
    {
        ArgumentNullException.ThrowIfNull(reservation);
        ReservationSpec spec = reservation.View(ApiJson.Default.Reservation).Spec;
        return KubeObject.FromView(new Pod
        {
            Metadata = new ObjectMeta { Name = reservation.Name, Uid = reservation.Uid, CreationTimestamp = reservation.Metadata.CreationTimestamp, Generation = reservation.Metadata.Generation },
            Spec = new PodSpec
            {
                NodeSelector = spec.NodeSelector, Tolerations = spec.Tolerations, PreemptionPolicy = "Never",
                Containers = [new Container { Name = "reservation", Resources = new ResourceRequirements { Requests = spec.Resources } }],
            },
        }, ApiJson.Default.Pod);
    }

    /// <summary>
    /// Takes in a Reservation: one with a node counts there until it has expired. <paramref name="node"/> overrides
    /// status.nodeName for one whose node is being written. True when something changed.
    /// </summary>
    public bool UpsertReservation(KubeObject value, string? node = null)
    {
        ArgumentNullException.ThrowIfNull(value);
        Reservation view = value.View(ApiJson.Default.Reservation);
        node ??= view.Status?.NodeName;
        if (string.IsNullOrEmpty(node) || view.Status?.Phase == "Expired")
            return RemoveReservation(value.Name);
        if (Reserved.TryGetValue(value.Name, out ReservedRow? known) && known.Node == node && known.Generation == value.Metadata.Generation && known.Uid == value.Uid)
            return false;
        RemoveReservation(value.Name);
        long[] amounts = Resources.RequestsOf(PodFor(value).View(ApiJson.Default.Pod).Spec);
        Reserved = Reserved.Add(value.Name, new ReservedRow(value.Name, value.Uid, node, value.Metadata.Generation, amounts, new long[amounts.Length], [.. view.Spec.Owners ?? []]));
        Hold(value.Name);
        return true;
    }

    /// <summary>Forgets a Reservation by its name; true when it held room.</summary>
    public bool RemoveReservation(string name)
    {
        if (!Reserved.TryGetValue(name, out ReservedRow? row))
            return false;
        Give(row, -1);
        Reserved = Reserved.Remove(name);
        return true;
    }

    // What is left of a reservation after its pods.
    private void Hold(string name)
    {
        if (!Reserved.TryGetValue(name, out ReservedRow? row))
            return;
        Give(row, -1);
        row = row with { Left = RowOf(row.Node) is >= 0 and int at ? LeftOf(row, at) : new long[row.Amounts.Length] };
        Reserved = Reserved.SetItem(name, row);
        Give(row, 1);
    }

    /// <summary>What the pods of its node's row leave of a reservation, without some of them.</summary>
    internal long[] LeftOf(ReservedRow reserved, int row, Func<PodRow, bool>? without = null)
    {
        long[] left = [.. reserved.Amounts];
        foreach (PodRow pod in PodsAt[row] ?? [])
            if (pod.Reservation == reserved.Name && without?.Invoke(pod) != true)
            {
                long[] demand = DemandOf(pod.Requests, pod.Wants?.Whole == true, row);
                for (int r = 0; r < Math.Min(left.Length, demand.Length); r++)
                    left[r] = Math.Max(0, left[r] - demand[r]);
            }
        return left;
    }

    private void Give(ReservedRow row, int sign)
    {
        if (RowOf(row.Node) is not (>= 0 and int at))
            return;
        while (Requested.Count < Resources.Count)
            Requested.Add(new());
        for (int r = 0; r < row.Left.Length; r++)
            if (row.Left[r] != 0)
                Requested[r].At(at) += sign * row.Left[r];
        Scored[0].At(at) += sign * row.Left[ResourceNames.Cpu];
        Scored[1].At(at) += sign * row.Left[ResourceNames.Memory];
    }

    // A node came, with the reservations that wait for it, or is about to go with those that it keeps.
    private void HoldAll(string node, bool gone)
    {
        foreach (ReservedRow row in Reserved.Values)
            if (row.Node == node && gone)
            {
                Give(row, -1);
                Reserved = Reserved.SetItem(row.Name, row with { Left = new long[row.Left.Length] });
            }
            else if (row.Node == node)
                Hold(row.Name);
    }
}

/// <summary>A reservation on its node.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Uid">Its identity.</param>
/// <param name="Node">The node.</param>
/// <param name="Generation">Of the document that it was read from.</param>
/// <param name="Amounts">What is kept, by column.</param>
/// <param name="Left">What of it pods have not taken.</param>
/// <param name="Owners">Whose it is.</param>
internal sealed record ReservedRow(string Name, string Uid, string Node, long? Generation, long[] Amounts, long[] Left, ReservationOwner[] Owners)
{
    /// <summary>True when pods of a group may use it.</summary>
    public bool IsFor(PodGroup pods)
    {
        foreach (ReservationOwner owner in Owners)
            if ((string.IsNullOrEmpty(owner.Namespace) || owner.Namespace == pods.Namespace) && (owner.Selector is null || owner.Selector.IsEmpty || owner.Selector.Matches(pods.Labels)))
                return true;
        return false;
    }
}
