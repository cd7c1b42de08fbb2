using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Atoll.Link.Members;
using Atoll.Store;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Members;

/// <summary>
/// The agent's part in the site's beats: hears those of every node's supervisor, keeps the supervisor of this node informed, and,
/// where there is none, sends this node's beats itself (then an agent that stays away is a dead node).
/// </summary>
internal sealed class LanBeats(SiteLead lead, IStore store, IPEndPoint address, string state, string run, TimeProvider time, ILogger log)
{
    /// <summary>Set in the environment of an agent that a supervisor started.</summary>
    public const string SupervisedVariable = "ATOLL_SUPERVISED";

    private byte[] _key = [];

    /// <summary>Runs until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var socket = new Socket(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(address);
        await Api.Resources.Parts.RunAsync([HearAsync(socket, cancellation), InformAsync(socket, cancellation)]);
    }

    /// <summary>Makes the site's key if there is none; only a leader may.</summary>
    public static async Task EnsureKeyAsync(IStore store, CancellationToken cancellation)
    {
        if (await store.GetAsync(SiteRecords.BeatKey, cancellation) is null)
            await SiteRecords.WriteAsync(store, cancellation, new StoreWrite(SiteRecords.BeatKey, RandomNumberGenerator.GetBytes(32)));
    }

    private async Task HearAsync(Socket socket, CancellationToken cancellation)
    {
        byte[] buffer = new byte[BeatPacket.MaxBytes + 1];
        var anywhere = new IPEndPoint(address.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any, 0);
        while (true)
        {
            SocketReceiveFromResult received;
            try
            {
                received = await socket.ReceiveFromAsync(buffer, SocketFlags.None, anywhere, cancellation);
            }
            catch (SocketException)
            {
                // Too large, or an answer that nobody wanted.
                continue;
            }
            if (BeatPacket.TryRead(buffer.AsSpan(0, received.ReceivedBytes), _key, out string name, out ulong counter) && lead.Beat(name, counter) && lead.Prolong(name) is { } position)
                await SendAsync(socket, BeatPacket.WriteAnswer(name, counter, position, _key), (IPEndPoint)received.RemoteEndPoint, log, cancellation);
        }
    }

    private async Task InformAsync(Socket socket, CancellationToken cancellation)
    {
        bool supervised = Environment.GetEnvironmentVariable(SupervisedVariable) == "1";
        SupervisorFile? written = null;
        ulong counter = (ulong)time.GetUtcNow().ToUnixTimeMilliseconds();
        while (true)
        {
            if (_key.Length == 0 && await store.GetAsync(SiteRecords.BeatKey, cancellation) is { } entry)
                _key = entry.Value.ToArray();
            string[] peers = [.. lead.Members.Nodes.Concat(lead.Members.Former ?? []).Select(m => m.Address).Append(lead.Self.Address).Distinct(StringComparer.Ordinal)];
            if (_key.Length > 0 && (written is null || !written.Peers.SequenceEqual(peers)))
            {
                written = new SupervisorFile(lead.Self.Name, Convert.ToBase64String(_key), peers, lead.DeadAfter.TotalSeconds, run, lead.IdentityLease.TotalSeconds);
                written.Write(state);
            }
            if (!supervised && _key.Length > 0)
                await SendAsync(socket, lead.Self.Name, counter++, _key, peers, log, cancellation);
            await Task.Delay(lead.DeadAfter / 4, time, cancellation);
        }
    }

    /// <summary>Sends one beat to everybody.</summary>
    public static async Task SendAsync(Socket socket, string node, ulong counter, byte[] key, IReadOnlyList<string> peers, ILogger? log, CancellationToken cancellation)
    {
        byte[] packet = BeatPacket.Write(node, counter, key);
        foreach (string peer in peers)
            if (IPEndPoint.TryParse(peer, out IPEndPoint? to))
                await SendAsync(socket, packet, to, log, cancellation);
    }

    private static async Task SendAsync(Socket socket, byte[] packet, IPEndPoint to, ILogger? log, CancellationToken cancellation)
    {
        try
        {
            await socket.SendToAsync(packet, SocketFlags.None, to, cancellation);
        }
        catch (SocketException e)
        {
            log?.LogDebug("No datagram to {Peer}: {Reason}", to, e.Message);
        }
    }
}
