using System.Buffers;
using System.Buffers.Text;
using System.Net.WebSockets;

namespace Atoll.Kube.Streaming;

/// <summary>A WebSocket whose messages begin with a channel number, in binary or in base64. Messages may be of any size: they are passed on in pieces.</summary>
internal sealed class ChannelSocket(WebSocket socket, bool base64) : IDisposable
{
    private const int PieceBytes = 16 * 1024;
    private readonly SemaphoreSlim _send = new(1, 1);

    /// <summary>Sends one message. The token ends the whole connection when it is cancelled in the middle.</summary>
    public async ValueTask SendAsync(int channel, ReadOnlyMemory<byte> data, CancellationToken cancellation)
    {
        int length = 1 + (base64 ? Base64.GetMaxEncodedToUtf8Length(data.Length) : data.Length);
        byte[] message = ArrayPool<byte>.Shared.Rent(length);
        await _send.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            message[0] = (byte)(base64 ? '0' + channel : channel);
            if (base64)
                Base64.EncodeToUtf8(data.Span, message.AsSpan(1), out _, out _);
            else
                data.CopyTo(message.AsMemory(1));
            await socket.SendAsync(message.AsMemory(0, length), base64 ? WebSocketMessageType.Text : WebSocketMessageType.Binary, endOfMessage: true, cancellation).ConfigureAwait(false);
        }
        finally
        {
            _send.Release();
            ArrayPool<byte>.Shared.Return(message);
        }
    }

    /// <summary>Says that we send no more.</summary>
    public async Task CloseOutputAsync(CancellationToken cancellation)
    {
        await _send.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (socket.State is WebSocketState.Open or WebSocketState.CloseReceived)
                await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, cancellation).ConfigureAwait(false);
        }
        finally
        {
            _send.Release();
        }
    }

    /// <summary>Passes on messages until the client closes. The next piece is read when the sink has taken the one before.</summary>
    public async Task ReceiveAsync(Func<int, ReadOnlyMemory<byte>, ValueTask> sink, CancellationToken cancellation)
    {
        int channel = -1;
        byte[] left = new byte[4];
        int leftLength = 0;
        while (true)
        {
            // Waits without a buffer, so that an idle session holds none.
            ValueWebSocketReceiveResult result = await socket.ReceiveAsync(Memory<byte>.Empty, cancellation).ConfigureAwait(false);
            if (result.MessageType == WebSocketMessageType.Close)
                return;
            byte[] piece = ArrayPool<byte>.Shared.Rent(PieceBytes);
            try
            {
                while (!result.EndOfMessage)
                {
                    left.AsSpan(0, leftLength).CopyTo(piece);
                    result = await socket.ReceiveAsync(piece.AsMemory(leftLength, PieceBytes - leftLength), cancellation).ConfigureAwait(false);
                    if (result.MessageType == WebSocketMessageType.Close)
                        return;
                    (int start, int end) = (0, leftLength + result.Count);
                    if (channel < 0 && end > 0)
                        (channel, start) = (base64 ? piece[0] - '0' : piece[0], 1);
                    (int count, leftLength) = base64 ? Decode(piece.AsSpan(start, end - start), left) : (end - start, 0);
                    if (count > 0)
                        await sink(channel, piece.AsMemory(start, count)).ConfigureAwait(false);
                }
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(piece);
            }
            (channel, leftLength) = (-1, 0);
        }
    }

    public void Dispose()
    {
        socket.Abort();
        socket.Dispose();
    }

    /// <summary>Decodes whole groups in place; what is left of the last waits for the next piece.</summary>
    private static (int Count, int Left) Decode(Span<byte> text, Span<byte> left)
    {
        int whole = text.Length / 4 * 4;
        text[whole..].CopyTo(left);
        int rest = text.Length - whole;
        if (Base64.DecodeFromUtf8InPlace(text[..whole], out int count) != OperationStatus.Done)
            throw new IOException("The message is not base64.");
        return (count, rest);
    }
}

/// <summary>Writes to one channel.</summary>
internal sealed class ChannelStream(ChannelSocket socket, int channel, CancellationToken gone) : WriteOnlyStream
{
    private const int MessageBytes = 32 * 1024;

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        while (!buffer.IsEmpty)
        {
            int count = Math.Min(buffer.Length, MessageBytes);
            await socket.SendAsync(channel, buffer[..count], gone).ConfigureAwait(false);
            buffer = buffer[count..];
        }
    }
}
