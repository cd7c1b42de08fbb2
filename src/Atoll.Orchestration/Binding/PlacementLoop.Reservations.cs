using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Binding;

/// <summary>
/// Reservations: each is planned as the pod that stands for it, and its node is written into its status instead of a binding. From
/// then on, and from the moment the plan is taken over, its room counts as used for everybody but its owners.
/// </summary>
internal sealed partial class PlacementLoop
{
    private readonly Dictionary<string, KubeObject> _reservations = new(StringComparer.Ordinal);

    private void ReservationChanged(KubeObject? old, KubeObject? now)
    {
        lock (_lock)
        {
            if (old is not null && old.Uid != now?.Uid)
                Forget(old);
            if (now is not null)
                Take(now);
        }
        Wake();
    }

    private void Take(KubeObject reservation)
    {
        ReservationStatus? status = reservation.View(ApiJson.Default.Reservation).Status;
        bool placed = !string.IsNullOrEmpty(status?.NodeName);
        // A copy that does not show its node yet says nothing new.
        if (!placed && _assumed.Contains(reservation.Uid) && status?.Phase != "Expired")
            return;
        if (placed || status?.Phase == "Expired" || reservation.IsDeleting)
        {
            _assumed.Remove(reservation.Uid);
            _queue.Remove(reservation.Uid);
            _reservations.Remove(reservation.Uid);
        }
        else
        {
            _reservations[reservation.Uid] = reservation;
            _queue.Offer(Snapshot.PodFor(reservation));
        }
        if (_snapshot.UpsertReservation(reservation))
            _queue.Happened(ClusterEvents.Reservations | ClusterEvents.PodGone);
    }

    private void Forget(KubeObject reservation)
    {
        _assumed.Remove(reservation.Uid);
        _queue.Remove(reservation.Uid);
        _reservations.Remove(reservation.Uid);
        if (_snapshot.RemoveReservation(reservation.Name))
            _queue.Happened(ClusterEvents.Reservations | ClusterEvents.PodGone);
    }

    private async Task CarryOutAsync(Placement placement, KubeObject reservation, CancellationToken cancellation)
    {
        if (await _outcome.ReserveAsync(reservation, placement, cancellation).ConfigureAwait(false) || placement.Node is null)
            return;
        lock (_lock)
        {
            Forget(reservation);
            if (_cluster.Of(Api.Objects.Kinds.Reservation).ByUid(reservation.Uid) is not { } now)
                return;
            Take(now);
            if (_reservations.ContainsKey(now.Uid))
                _queue.Refused(Snapshot.PodFor(now), _cluster.Now);
        }
        Wake();
    }
}
