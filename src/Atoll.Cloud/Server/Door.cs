using System.Buffers;
using System.IO.Pipelines;
using Atoll.Link;
using Microsoft.AspNetCore.Connections;

namespace Atoll.Cloud.Server;

/// <summary>
/// What a connection passes before TLS: its turn (<see cref="Admission"/>). Whether a site dials is read from the first bytes, where a dialler
/// names its protocols (ALPN): that decides no more than whose turn comes first.
/// </summary>
internal sealed class Door(Admission admission, TimeProvider time)
{
    /// <summary>Whoever has said nothing by then, or has not ended the handshake so long after it began, is hung up on. Longer than either side may be stopped for.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Takes one connection in, or returns without a word, which closes it.</summary>
    public async Task PassAsync(ConnectionContext connection, ConnectionDelegate goOn)
    {
        try
        {
            await admission.EnterAsync(await IsSiteAsync(connection), connection.ConnectionClosed);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            return; // It left, said nothing, or had no turn: all of them ordinary.
        }
        await goOn(connection);
    }

    private async Task<bool> IsSiteAsync(ConnectionContext connection)
    {
        using var limit = new CancellationTokenSource(Patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, connection.ConnectionClosed);
        ReadResult first = await connection.Transport.Input.ReadAsync(either.Token);
        bool isSite = Names(first.Buffer, LinkDialer.Protocol.Protocol.Span);
        // Nothing is taken out, and what was seen is at once there for TLS.
        connection.Transport.Input.AdvanceTo(first.Buffer.Start);
        return isSite;
    }

    /// <summary>True when a greeting (the first bytes of a connection) names a protocol. One that comes in pieces, which happens to few, may not be known as what it is.</summary>
    internal static bool Names(ReadOnlySequence<byte> greeting, ReadOnlySpan<byte> protocol) =>
        greeting.IsSingleSegment ? greeting.FirstSpan.IndexOf(protocol) >= 0 : greeting.ToArray().AsSpan().IndexOf(protocol) >= 0;
}
