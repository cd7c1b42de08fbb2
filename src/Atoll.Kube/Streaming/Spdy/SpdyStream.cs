using System.Buffers;
using System.IO.Pipelines;

namespace Atoll.Kube.Streaming.Spdy;

/// <summary>
/// One stream of a SPDY connection: reads what the peer sends until it finishes, writes until <see cref="CompleteAsync"/>.
/// One reader and one writer at a time. Disposing a stream that is not complete resets it and drops what was not read.
/// </summary>
internal sealed class SpdyStream : Stream
{
    private readonly SpdyConnection _connection;
    private readonly Pipe _received = new(new PipeOptions(pauseWriterThreshold: 0, resumeWriterThreshold: 0, useSynchronizationContext: false));
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _replied = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _unread;
    private long _unannounced;
    private bool _remoteDone;
    private bool _localDone;
    private bool _discarding;
    private bool _reset;

    internal SpdyStream(SpdyConnection connection, uint id, IReadOnlyDictionary<string, string> headers, int sendWindow)
    {
        _connection = connection;
        Id = id;
        Headers = headers;
        SendWindow = new SpdyWindow(sendWindow);
    }

    public uint Id { get; }

    /// <summary>What the opener said of the stream.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; }

    /// <summary>Ends when the peer has accepted the stream, or fails when it refused.</summary>
    public Task Replied => _replied.Task;

    internal SpdyWindow SendWindow { get; }

    /// <summary>Bytes that arrived and were not read.</summary>
    internal long Unread => Interlocked.Read(ref _unread);

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <summary>Accepts a stream that the peer opened. Nothing may be written before.</summary>
    public ValueTask ReplyAsync(CancellationToken cancellation) => _connection.WriteReplyAsync(this, cancellation);

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ReadResult result = await _received.Reader.ReadAsync(cancellationToken).ConfigureAwait(false);
        int count = (int)Math.Min(buffer.Length, result.Buffer.Length);
        ReadOnlySequence<byte> taken = result.Buffer.Slice(0, count);
        taken.CopyTo(buffer.Span);
        _received.Reader.AdvanceTo(taken.End);
        if (count > 0)
            Consumed(count);
        return count;
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (!buffer.IsEmpty)
        {
            if (_localDone)
                throw new IOException(_reset ? "The stream was reset." : "The stream was completed.");
            int most = Math.Min(buffer.Length, SpdyLimits.DataFrameBytes);
            int count = await SendWindow.TakeAsync(most, cancellationToken).ConfigureAwait(false);
            count = count == 0 ? 0 : await _connection.TakeSessionAsync(this, count, cancellationToken).ConfigureAwait(false);
            if (count == 0)
                throw new IOException("The stream was reset.");
            await _connection.WriteDataAsync(Id, buffer[..count], fin: false, cancellationToken).ConfigureAwait(false);
            buffer = buffer[count..];
        }
    }

    /// <summary>Says that nothing more is written. May be called more than once.</summary>
    public async ValueTask CompleteAsync(CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (_localDone)
                return;
            _localDone = true;
        }
        await _connection.WriteDataAsync(Id, default, fin: true, cancellation).ConfigureAwait(false);
        _connection.ForgetWhenDone(this);
    }

    /// <summary>Ends both directions at once.</summary>
    public void Reset(SpdyStatus why)
    {
        lock (_gate)
        {
            if (_localDone && _remoteDone)
                return;
            _localDone = _remoteDone = _reset = true;
        }
        SendWindow.Close();
        _connection.QueueReset(Id, why);
        Discard();
        EndReading(new IOException("The stream was reset."));
        _connection.ForgetWhenDone(this);
    }

    /// <summary>Drops what arrives from here on, so that an unread stream holds up nobody.</summary>
    public void Discard()
    {
        lock (_gate)
            _discarding = true;
        Consumed(long.MaxValue);
    }

    public override async ValueTask DisposeAsync()
    {
        bool open;
        lock (_gate)
            open = !_localDone;
        if (open)
            Reset(SpdyStatus.Cancel);
        else
            Discard();
        await base.DisposeAsync().ConfigureAwait(false);
    }

    internal bool IsDone
    {
        get
        {
            lock (_gate)
                return _localDone && _remoteDone;
        }
    }

    internal void OnReplied() => _replied.TrySetResult();

    /// <summary>Takes data from the wire. False when the stream no longer wants any.</summary>
    internal bool Deliver(ReadOnlySequence<byte> data)
    {
        lock (_gate)
        {
            if (_discarding || _remoteDone)
                return false;
            foreach (ReadOnlyMemory<byte> piece in data)
                _received.Writer.Write(piece.Span);
            Interlocked.Add(ref _unread, data.Length);
            // Never waits: the pipe has no threshold, the connection bounds what is unread.
            _ = _received.Writer.FlushAsync(CancellationToken.None);
            return true;
        }
    }

    internal void OnFin()
    {
        lock (_gate)
        {
            if (_remoteDone)
                return;
            _remoteDone = true;
        }
        EndReading(null);
        _connection.ForgetWhenDone(this);
    }

    /// <summary>The peer reset the stream, or the connection ended.</summary>
    internal void OnReset(string why)
    {
        lock (_gate)
        {
            _localDone = _remoteDone = _reset = true;
        }
        SendWindow.Close();
        var error = new IOException(why);
        _replied.TrySetException(error);
        _ = _replied.Task.Exception;
        Discard();
        EndReading(error);
        _connection.ForgetWhenDone(this);
    }

    private void EndReading(Exception? error)
    {
        lock (_gate)
            _received.Writer.Complete(error);
    }

    /// <summary>Gives back room for bytes that were read or dropped; never more than there were.</summary>
    private void Consumed(long count)
    {
        long announce = 0;
        lock (_gate)
        {
            count = Math.Min(count, _unread);
            if (count == 0)
                return;
            Interlocked.Add(ref _unread, -count);
            _unannounced += count;
            if (_unannounced >= _connection.Options.StreamWindowBytes / 2 && !_remoteDone)
                (announce, _unannounced) = (_unannounced, 0);
        }
        _connection.OnConsumed(Id, count, announce);
    }

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Read asynchronously.");

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("Write asynchronously.");

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
