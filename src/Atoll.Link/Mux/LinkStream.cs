using System.IO.Pipelines;

namespace Atoll.Link;

/// <summary>
/// One stream of a link: duplex, with half-close and its own back-pressure in both directions. A reader that stops holds at
/// most its window of bytes and delays nobody else. Disposing ends the writing side in order and tells the other side that
/// nothing more is read.
/// </summary>
public sealed class LinkStream : Stream
{
    private readonly Multiplexer _mux;
    private readonly Pipe _received = new(new PipeOptions(pauseWriterThreshold: 0, resumeWriterThreshold: 0, useSynchronizationContext: false));
    private readonly SemaphoreSlim _writing = new(1, 1);
    private int _reading;
    private bool _disposed;

    internal LinkStream(Multiplexer mux, uint id, LinkClass of, string metadata)
    {
        (_mux, Id, Class, Metadata) = (mux, id, of, metadata);
        Outgoing = new SendState();
        Incoming = new ReceiveState();
    }

    /// <summary>Class of traffic.</summary>
    public LinkClass Class { get; }

    /// <summary>What the opener said that the stream is for.</summary>
    public string Metadata { get; }

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    internal uint Id { get; }

    /// <summary>Guarded by the multiplexer's lock.</summary>
    internal SendState Outgoing { get; }

    /// <summary>Guarded by the multiplexer's lock.</summary>
    internal ReceiveState Incoming { get; }

    internal PipeWriter Received => _received.Writer;

    /// <inheritdoc/>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.Length == 0)
            return 0;
        Interlocked.Increment(ref _reading);
        try
        {
            return await ReadReceivedAsync(buffer, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _reading);
        }
    }

    private async ValueTask<int> ReadReceivedAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        ReadResult result = await _received.Reader.ReadAsync(cancellationToken).ConfigureAwait(false);
        int taken = 0;
        foreach (ReadOnlyMemory<byte> part in result.Buffer)
        {
            int count = Math.Min(part.Length, buffer.Length - taken);
            part.Span[..count].CopyTo(buffer.Span[taken..]);
            taken += count;
            if (taken == buffer.Length)
                break;
        }
        _received.Reader.AdvanceTo(result.Buffer.GetPosition(taken));
        _mux.Consumed(this, taken);
        return taken;
    }

    /// <inheritdoc/>
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.Length == 0)
            return;
        await _writing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            await _mux.WriteAsync(this, buffer, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <summary>Says that nothing more is written (half-close); reading goes on.</summary>
    public void CompleteWrites() => _mux.EndWrites(this);

    /// <summary>Ends both directions at once, in disorder: the other side's reads fail.</summary>
    public void Abort() => _mux.Abort(this);

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => WriteAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && !_disposed)
        {
            _disposed = true;
            _mux.Close(this);
            // Gives the buffers back; a read that is still under way keeps them.
            if (Volatile.Read(ref _reading) == 0)
                _received.Reader.Complete();
        }
        base.Dispose(disposing);
    }

    /// <summary>What waits to be sent on a stream.</summary>
    internal sealed class SendState
    {
        public ReadOnlyMemory<byte> Data;
        public TaskCompletionSource? Written;
        public Exception? Failure;
        public long Credit = Multiplexer.FirstCredit;
        public int CreditToGive;
        public bool OpenDue;
        public bool EndDue;
        public bool StopDue;
        public bool ResetDue;
        public bool Ended;
        public bool Scheduled;
    }

    /// <summary>What may still come on a stream.</summary>
    internal sealed class ReceiveState
    {
        public long Allowed = Multiplexer.FirstCredit;
        public int Unreported;
        public bool Ended;
        public bool Stopped;
    }
}
