using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Threading.Channels;

namespace Atoll.Kube.Streaming.Spdy;

/// <summary>
/// One SPDY/3.1 connection over a byte stream, client or server. <see cref="RunAsync"/> reads until the connection ends.
///
/// Memory is bounded on both sides. Writers wait for the transport, and for the peer's windows when the peer has any: a
/// peer shows that it keeps windows by sending SETTINGS or WINDOW_UPDATE, and is answered with ours. Kubernetes' own library does neither and
/// ignores ours, so for it a full stream buffer stops reading from the transport, which is TCP's own back-pressure.
///
/// The reading loop never waits for a write (both ends would wait for each other): what it has to answer goes through a
/// bounded queue, and a peer that fills that queue is cut off.
/// </summary>
internal sealed class SpdyConnection : IAsyncDisposable
{
    private readonly Stream _transport;
    private readonly SemaphoreSlim _write = new(1, 1);
    private readonly SpdyHeaderWriter _headerWriter = new();
    private readonly SpdyHeaderReader _headerReader = new();
    private readonly ConcurrentDictionary<uint, SpdyStream> _streams = new();
    private readonly Channel<SpdyStream> _accepted = Channel.CreateUnbounded<SpdyStream>(new UnboundedChannelOptions { SingleWriter = true });
    private readonly Channel<byte[]> _control;
    private readonly CancellationTokenSource _closed = new();
    private readonly SpdyWindow _sessionWindow = new(SpdyLimits.DefaultWindowBytes);
    private readonly Lock _gate = new();
    private TaskCompletionSource? _room;
    private volatile bool _peerHasWindows;
    private int _peerInitialWindow = SpdyLimits.DefaultWindowBytes;
    private long _unread;
    private long _sessionUnannounced;
    private uint _lastPeerStream;
    private uint _nextStream;
    private uint _pingId;
    private bool _goneAway;

    public SpdyConnection(Stream transport, SpdyOptions options)
    {
        _transport = transport;
        Options = options;
        _nextStream = options.IsServer ? 2u : 1u;
        _pingId = _nextStream;
        if (_peerHasWindows = options.FlowControl)
            _sessionWindow.Enforce();
        _control = Channel.CreateBounded<byte[]>(new BoundedChannelOptions(options.MaxQueuedControlFrames) { SingleReader = true });
    }

    public SpdyOptions Options { get; }

    /// <summary>Cancelled when the connection has ended, for whatever reason.</summary>
    public CancellationToken Closed => _closed.Token;

    /// <summary>Why we ended the connection, when the peer broke the protocol.</summary>
    public string? ProtocolError { get; private set; }

    /// <summary>Streams that are not finished in both directions.</summary>
    public int OpenStreams => _streams.Count;

    /// <summary>Bytes that arrived and nobody has read yet.</summary>
    public long UnreadBytes => Interlocked.Read(ref _unread);

    /// <summary>Reads frames until the peer closes, breaks the protocol, or the call is cancelled. Never throws for what the peer does.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closed.Token);
        Task control = WriteControlAsync(both.Token);
        Task keepAlive = KeepAliveAsync(both.Token);
        PipeReader reader = PipeReader.Create(_transport, new StreamPipeReaderOptions(leaveOpen: true, useZeroByteReads: true, bufferSize: 16 * 1024, minimumReadSize: 1024));
        try
        {
            // Before anything else: who answers a stream must know our windows by then.
            if (Options.FlowControl)
                foreach (byte[] frame in Windows())
                    await WriteAsync(frame, both.Token).ConfigureAwait(false);
            await ReadAsync(reader, both.Token).ConfigureAwait(false);
        }
        catch (Exception end) when (end is IOException or OperationCanceledException or System.Net.WebSockets.WebSocketException or ObjectDisposedException or InvalidOperationException)
        {
            // The transport ended; every stream is told below.
        }
        finally
        {
            await CloseAsync("The connection ended.").ConfigureAwait(false);
            await reader.CompleteAsync().ConfigureAwait(false);
            await control.ConfigureAwait(false);
            await keepAlive.ConfigureAwait(false);
        }
    }

    /// <summary>The next stream that the peer opened, or null when there will be no more.</summary>
    public async ValueTask<SpdyStream?> AcceptStreamAsync(CancellationToken cancellation)
    {
        try
        {
            return await _accepted.Reader.ReadAsync(cancellation).ConfigureAwait(false);
        }
        catch (ChannelClosedException)
        {
            return null;
        }
    }

    /// <summary>Opens a stream. Wait for <see cref="SpdyStream.Replied"/> to know that the peer took it.</summary>
    public async Task<SpdyStream> OpenStreamAsync(IReadOnlyDictionary<string, string> headers, CancellationToken cancellation)
    {
        await _write.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            // Id, compression and order on the wire go together, so all under the write lock.
            SpdyStream stream = Add(_nextStream, headers);
            _nextStream += 2;
            await _transport.WriteAsync(SpdyFrameEncoder.SynStream(stream.Id, _headerWriter.Write(headers), fin: false, unidirectional: false), _closed.Token).ConfigureAwait(false);
            await _transport.FlushAsync(_closed.Token).ConfigureAwait(false);
            return stream;
        }
        finally
        {
            _write.Release();
        }
    }

    /// <summary>Asks for a sign of life; nobody waits for it, but a dead transport fails on it.</summary>
    public void Ping()
    {
        Queue(SpdyFrameEncoder.Ping(_pingId));
        _pingId += 2;
    }

    /// <summary>Tells the peer to open no more streams.</summary>
    public void GoAway() => Queue(SpdyFrameEncoder.Words(SpdyFrameType.GoAway, _lastPeerStream, 0));

    public async ValueTask DisposeAsync()
    {
        await CloseAsync("The connection was closed.").ConfigureAwait(false);
        await _transport.DisposeAsync().ConfigureAwait(false);
    }

    private async Task KeepAliveAsync(CancellationToken cancellation)
    {
        if (Options.KeepAlive is not { } period)
            return;
        using var timer = new PeriodicTimer(period, Options.Time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellation).ConfigureAwait(false))
                Ping();
        }
        catch (OperationCanceledException)
        {
            // The connection ended.
        }
    }

    private async Task ReadAsync(PipeReader reader, CancellationToken cancellation)
    {
        var decoder = new SpdyFrameDecoder();
        while (true)
        {
            ReadResult result = await reader.ReadAsync(cancellation).ConfigureAwait(false);
            ReadOnlySequence<byte> buffer = result.Buffer;
            SpdyDecode outcome;
            while ((outcome = decoder.TryRead(ref buffer, out SpdyFrame frame)) == SpdyDecode.Frame)
                if (!await HandleAsync(frame, cancellation).ConfigureAwait(false))
                    return;
            if (outcome == SpdyDecode.Invalid)
            {
                await FailAsync(decoder.Error).ConfigureAwait(false);
                return;
            }
            reader.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted)
                return;
        }
    }

    private async ValueTask<bool> HandleAsync(SpdyFrame frame, CancellationToken cancellation)
    {
        string? error = null;
        switch (frame.Type)
        {
            case SpdyFrameType.Data:
                error = OnData(frame);
                if (error is null && !_peerHasWindows)
                    await WaitForRoomAsync(frame.StreamId, cancellation).ConfigureAwait(false);
                break;
            case SpdyFrameType.SynStream:
                error = OnSynStream(frame);
                break;
            case SpdyFrameType.SynReply or SpdyFrameType.Headers:
                if (!_headerReader.TryRead(frame.Payload, out _, out string broken))
                    error = broken;
                else if (_streams.TryGetValue(frame.StreamId, out SpdyStream? replied))
                {
                    replied.OnReplied();
                    if (frame.Fin)
                        replied.OnFin();
                }
                break;
            case SpdyFrameType.RstStream:
                if (_streams.TryGetValue(frame.StreamId, out SpdyStream? reset))
                    reset.OnReset($"The peer reset the stream (status {frame.Value}).");
                break;
            case SpdyFrameType.Settings:
                error = OnSettings(frame.Payload.ToArray());
                break;
            case SpdyFrameType.Ping when (frame.Value & 1) != (_pingId & 1):
                Queue(SpdyFrameEncoder.Ping(frame.Value));
                break;
            case SpdyFrameType.GoAway:
                _goneAway = true;
                break;
            case SpdyFrameType.WindowUpdate:
                error = OnWindowUpdate(frame);
                break;
        }
        if (error is null)
            return true;
        await FailAsync(error).ConfigureAwait(false);
        return false;
    }

    private string? OnData(SpdyFrame frame)
    {
        long length = frame.Payload.Length;
        bool known = _streams.TryGetValue(frame.StreamId, out SpdyStream? stream);
        Interlocked.Add(ref _unread, length);
        if (_peerHasWindows && Interlocked.Read(ref _unread) > Options.ConnectionBufferBytes + SpdyLimits.DefaultWindowBytes)
            return "data beyond the session window";
        if (length > 0 && (!known || !stream!.Deliver(frame.Payload)))
            OnConsumed(0, length, 0);
        if (!known)
        {
            if (frame.StreamId > _lastPeerStream && IsPeerId(frame.StreamId))
                return $"data on stream {frame.StreamId}, which was never opened";
            return null;
        }
        // Until the peer has our SETTINGS it may go by the default window, so the larger of both is the bound.
        if (_peerHasWindows && stream!.Unread > Math.Max(Options.StreamWindowBytes, SpdyLimits.DefaultWindowBytes))
            stream.Reset(SpdyStatus.FlowControlError);
        else if (frame.Fin)
            stream!.OnFin();
        return null;
    }

    private string? OnSynStream(SpdyFrame frame)
    {
        if (!_headerReader.TryRead(frame.Payload, out Dictionary<string, string>? headers, out string error))
            return error;
        if (!IsPeerId(frame.StreamId) || frame.StreamId <= _lastPeerStream)
            return $"stream {frame.StreamId} opened after {_lastPeerStream}";
        _lastPeerStream = frame.StreamId;
        if (_goneAway || _streams.Count >= Options.MaxStreams)
        {
            QueueReset(frame.StreamId, SpdyStatus.RefusedStream);
            return null;
        }
        SpdyStream stream = Add(frame.StreamId, headers);
        stream.OnReplied();
        if (frame.Fin)
            stream.OnFin();
        _accepted.Writer.TryWrite(stream);
        return null;
    }

    private string? OnSettings(byte[] entries)
    {
        for (int at = 0; at + 8 <= entries.Length; at += 8)
        {
            uint id = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(entries.AsSpan(at)) & 0xFFFFFF;
            uint value = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(entries.AsSpan(at + 4));
            if (id != SpdyLimits.InitialWindowSetting)
                continue;
            if (value > int.MaxValue)
                return $"initial window of {value} bytes";
            EnforceWindows();
            // Each stream begins with the new window or is here to get the change: none misses it.
            lock (_gate)
            {
                long change = (long)value - _peerInitialWindow;
                _peerInitialWindow = (int)value;
                foreach (SpdyStream stream in _streams.Values)
                    if (!stream.SendWindow.Add(change))
                        return "window overflow";
            }
        }
        return null;
    }

    private string? OnWindowUpdate(SpdyFrame frame)
    {
        EnforceWindows();
        if (frame.StreamId == 0)
            return _sessionWindow.Add(frame.Value) ? null : "session window overflow";
        if (_streams.TryGetValue(frame.StreamId, out SpdyStream? stream) && !stream.SendWindow.Add(frame.Value))
            stream.Reset(SpdyStatus.FlowControlError);
        return null;
    }

    private void EnforceWindows()
    {
        if (_peerHasWindows)
            return;
        _peerHasWindows = true;
        _sessionWindow.Enforce();
        foreach (SpdyStream stream in _streams.Values)
            stream.SendWindow.Enforce();
        foreach (byte[] frame in Windows())
            Queue(frame);
    }

    private byte[][] Windows() =>
    [
        SpdyFrameEncoder.InitialWindow((uint)Options.StreamWindowBytes),
        SpdyFrameEncoder.Words(SpdyFrameType.WindowUpdate, 0, (uint)(Options.ConnectionBufferBytes - SpdyLimits.DefaultWindowBytes)),
    ];

    /// <summary>Called as bytes leave our buffers: opens the windows again and wakes a reading loop that stopped.</summary>
    internal void OnConsumed(uint stream, long count, long announceStream)
    {
        long session = 0;
        TaskCompletionSource? wake;
        lock (_gate)
        {
            Interlocked.Add(ref _unread, -count);
            _sessionUnannounced += count;
            if (_sessionUnannounced >= SpdyLimits.DefaultWindowBytes / 2)
                (session, _sessionUnannounced) = (_sessionUnannounced, 0);
            (wake, _room) = (_room, null);
        }
        wake?.SetResult();
        if (!_peerHasWindows)
            return;
        if (announceStream > 0)
            Queue(SpdyFrameEncoder.Words(SpdyFrameType.WindowUpdate, stream, (uint)announceStream));
        if (session > 0)
            Queue(SpdyFrameEncoder.Words(SpdyFrameType.WindowUpdate, 0, (uint)session));
    }

    private async ValueTask WaitForRoomAsync(uint streamId, CancellationToken cancellation)
    {
        while (true)
        {
            Task wait;
            lock (_gate)
            {
                long own = _streams.TryGetValue(streamId, out SpdyStream? stream) ? stream.Unread : 0;
                if (own < Options.StreamBufferBytes && Interlocked.Read(ref _unread) < Options.ConnectionBufferBytes)
                    return;
                _room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                wait = _room.Task;
            }
            await wait.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    internal async ValueTask<int> TakeSessionAsync(SpdyStream stream, int count, CancellationToken cancellation)
    {
        int taken = await _sessionWindow.TakeAsync(count, cancellation).ConfigureAwait(false);
        if (taken < count)
            stream.SendWindow.Add(count - taken);
        return taken;
    }

    internal async ValueTask WriteDataAsync(uint stream, ReadOnlyMemory<byte> data, bool fin, CancellationToken cancellation)
    {
        int length = SpdyLimits.HeaderBytes + data.Length;
        byte[] frame = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            SpdyFrameEncoder.DataHead(frame, stream, data.Length, fin);
            data.CopyTo(frame.AsMemory(SpdyLimits.HeaderBytes));
            await WriteAsync(frame.AsMemory(0, length), cancellation).ConfigureAwait(false);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(frame);
        }
    }

    internal async ValueTask WriteReplyAsync(SpdyStream stream, CancellationToken cancellation)
    {
        await _write.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            byte[] frame = SpdyFrameEncoder.Block(SpdyFrameType.SynReply, stream.Id, _headerWriter.Write(new Dictionary<string, string>()), fin: false);
            await _transport.WriteAsync(frame, _closed.Token).ConfigureAwait(false);
            await _transport.FlushAsync(_closed.Token).ConfigureAwait(false);
        }
        finally
        {
            _write.Release();
        }
    }

    internal void QueueReset(uint stream, SpdyStatus why) => Queue(SpdyFrameEncoder.Words(SpdyFrameType.RstStream, stream, (uint)why));

    internal void ForgetWhenDone(SpdyStream stream)
    {
        if (stream.IsDone)
            _streams.TryRemove(stream.Id, out _);
    }

    private SpdyStream Add(uint id, IReadOnlyDictionary<string, string> headers)
    {
        SpdyStream stream;
        lock (_gate)
            _streams[id] = stream = new SpdyStream(this, id, headers, _peerInitialWindow);
        if (_peerHasWindows)
            stream.SendWindow.Enforce();
        if (_closed.IsCancellationRequested)
            stream.OnReset("The connection ended.");
        return stream;
    }

    private bool IsPeerId(uint id) => (id & 1) == (Options.IsServer ? 1u : 0u);

    private void Queue(byte[] frame)
    {
        if (!_control.Writer.TryWrite(frame) && !_closed.IsCancellationRequested)
        {
            ProtocolError ??= "the peer sends and does not read";
            _closed.Cancel();
        }
    }

    private async Task WriteControlAsync(CancellationToken cancellation)
    {
        try
        {
            await foreach (byte[] frame in _control.Reader.ReadAllAsync(cancellation).ConfigureAwait(false))
                await WriteAsync(frame, cancellation).ConfigureAwait(false);
        }
        catch (Exception end) when (end is IOException or OperationCanceledException or System.Net.WebSockets.WebSocketException or ObjectDisposedException or InvalidOperationException)
        {
            await _closed.CancelAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Only the wait for one's turn can be cancelled by the caller: half a frame would break every stream.</summary>
    private async ValueTask WriteAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellation)
    {
        await _write.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            await _transport.WriteAsync(frame, _closed.Token).ConfigureAwait(false);
            await _transport.FlushAsync(_closed.Token).ConfigureAwait(false);
        }
        finally
        {
            _write.Release();
        }
    }

    private async ValueTask FailAsync(string error)
    {
        ProtocolError = error;
        // Best effort and at once: who broke the protocol is told if the line is free, and cut off in any case.
        if (!_write.Wait(0, CancellationToken.None))
            return;
        try
        {
            ValueTask told = _transport.WriteAsync(SpdyFrameEncoder.Words(SpdyFrameType.GoAway, _lastPeerStream, 1), _closed.Token);
            if (told.IsCompleted)
                await told.ConfigureAwait(false);
        }
        finally
        {
            _write.Release();
        }
    }

    private async ValueTask CloseAsync(string why)
    {
        await _closed.CancelAsync().ConfigureAwait(false);
        _accepted.Writer.TryComplete();
        _control.Writer.TryComplete();
        _sessionWindow.Close();
        foreach (SpdyStream stream in _streams.Values)
            stream.OnReset(why);
        lock (_gate)
        {
            _room?.TrySetResult();
            _room = null;
        }
    }
}
