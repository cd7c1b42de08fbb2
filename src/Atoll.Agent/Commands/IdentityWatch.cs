using System.Net;
using System.Net.Sockets;
using Atoll.Agent.Members;
using Atoll.Edge.Runtimes.Containers;
using Atoll.Link.Members;

namespace Atoll.Agent.Commands;

/// <summary>
/// The supervisor's part in the site: beats, the answers to them, and the lease for pods with an identity that follows from these. While
/// there is none, whatever runs of such pods is ended, again and again, for the agent may be dead, or be starting one.
/// </summary>
internal sealed class IdentityWatch(string state, Action<string> say)
{
    private static readonly TimeSpan s_idle = TimeSpan.FromSeconds(2), s_sweep = TimeSpan.FromMilliseconds(250);

    private readonly Lock _lock = new();
    private readonly LeaseSentry _sentry = new(state, say);
    private SupervisorFile? _file;
    private IdentityLease? _lease;
    private IdentityContainers? _containers;

    /// <summary>Runs until cancelled.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Any, 0));
        await Task.WhenAll(KeepAsync(() => BeatAsync(socket, stop), stop), KeepAsync(() => HearAsync(socket, stop), stop), KeepAsync(() => SweepAsync(stop), stop));
    }

    // A full disk must not end the watch: the agent, which then sees no lease, holds its own.
    private async Task KeepAsync(Func<Task> loop, CancellationToken stop)
    {
        while (true)
            try
            {
                await loop();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                say($"the node's lease for pods of StatefulSets: {e.Message}");
                await Task.Delay(s_idle, TimeProvider.System, stop);
            }
    }

    /// <summary>The supervisor was asked to end: nobody watches from now on, so pods with an identity end as well. Not at a node of a site that has no others.</summary>
    public async Task LeaveAsync()
    {
        if (!HasOthers(_file))
            return;
        _sentry.Stop();
        LeaseFile.Write(_file!.Run, default);
        for (int i = 0; i < 40 && Kill("the supervisor ends") > 0; i++)
            await Task.Delay(s_sweep, TimeProvider.System);
    }

    private static bool HasOthers(SupervisorFile? file) => file is { LeaseSeconds: > 0, Peers.Count: > 1 };

    private async Task BeatAsync(Socket socket, CancellationToken stop)
    {
        // Greater than any before, also after a restart; a clock that was set back costs nothing, for the dead are believed.
        ulong counter = (ulong)TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        while (true)
        {
            if (SupervisorFile.Read(state) is { } file)
            {
                lock (_lock)
                {
                    if (_file?.LeaseSeconds != file.LeaseSeconds)
                        _lease = file.LeaseSeconds > 0 ? new IdentityLease((long)(file.LeaseSeconds * 1000), LeaseFile.Read(file.Run)) : null;
                    _file = file;
                    _lease?.Asked(counter, LeaseFile.NowMs);
                }
                if (HasOthers(file))
                    _sentry.Keep(file.Run);
                await LanBeats.SendAsync(socket, file.Node, counter++, Convert.FromBase64String(file.Key), file.Peers, null, stop);
            }
            await Task.Delay(_file is null ? s_idle : TimeSpan.FromSeconds(_file.DeadAfterSeconds / 4), TimeProvider.System, stop);
        }
    }

    private async Task HearAsync(Socket socket, CancellationToken stop)
    {
        byte[] buffer = new byte[BeatPacket.MaxBytes + 1];
        while (true)
        {
            int length;
            try
            {
                length = (await socket.ReceiveFromAsync(buffer, SocketFlags.None, new IPEndPoint(IPAddress.Any, 0), stop)).ReceivedBytes;
            }
            catch (SocketException)
            {
                // Too large, or a peer that does not listen.
                continue;
            }
            lock (_lock)
                if (_lease is not null && _file is { } file && BeatPacket.TryReadAnswer(buffer.AsSpan(0, length), Convert.FromBase64String(file.Key), out string name, out ulong counter, out LogPosition position)
                    && name == file.Node && _lease.Answered(counter, position, LeaseFile.NowMs))
                    LeaseFile.Write(file.Run, _lease.State);
        }
    }

    private async Task SweepAsync(CancellationToken stop)
    {
        while (true)
        {
            bool ended;
            lock (_lock)
                ended = _lease is not null && !_lease.Holds(LeaseFile.NowMs);
            if (ended)
                Kill("the site's leading node has not answered for so long that others may run them");
            await Task.Delay(s_sweep, TimeProvider.System, stop);
        }
    }

    private int Kill(string why)
    {
        int killed = 0;
        try
        {
            _containers ??= IdentityGuard.Containers(state, _file!.Run, _file.Node);
            killed = _containers.Kill();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            say($"pods of StatefulSets could not be looked at: {e.Message}");
            return 1;
        }
        if (killed > 0)
            say($"{killed} processes of pods of StatefulSets were ended: {why}");
        return killed;
    }
}
