using System.IO.Pipelines;
using Atoll.Link;

namespace Atoll.UnitTests.Link;

/// <summary>Two multiplexers joined by pipes that hold no more than 4 KiB.</summary>
internal sealed class MuxPair : IAsyncDisposable
{
    private readonly Task _running;

    public MuxPair()
    {
        Pipe up = new(new PipeOptions(pauseWriterThreshold: 4096, resumeWriterThreshold: 2048));
        Pipe down = new(new PipeOptions(pauseWriterThreshold: 4096, resumeWriterThreshold: 2048));
        SiteLine = new GatedStream(up.Writer.AsStream());
        Site = new Multiplexer(new DuplexPipe(down.Reader.AsStream(), SiteLine), isSite: true, new NoSession(), SiteTraffic, TimeProvider.System);
        Parent = new Multiplexer(new DuplexPipe(up.Reader.AsStream(), down.Writer.AsStream()), isSite: false, new NoSession(), new LinkTraffic(), TimeProvider.System);
        _running = Task.WhenAll(Site.RunAsync(CancellationToken.None), Parent.RunAsync(CancellationToken.None));
    }

    public Multiplexer Site { get; }

    public Multiplexer Parent { get; }

    public GatedStream SiteLine { get; }

    public LinkTraffic SiteTraffic { get; } = new();

    public async ValueTask DisposeAsync()
    {
        await Site.DisposeAsync();
        await Parent.DisposeAsync();
        await _running.WaitAsync(TimeSpan.FromSeconds(20));
    }
}

internal sealed class NoSession : IMuxSession
{
    public bool Ended => false;

    public int WriteFrame(Span<byte> destination, int preferredBytes, bool yielding) => 0;

    public void OnFrame(ReadOnlyMemory<byte> frame)
    {
    }

    public void OnActivity()
    {
    }
}

/// <summary>A line that can be told to take nothing for a while.</summary>
internal sealed class GatedStream(Stream inner) : Stream
{
    private volatile TaskCompletionSource _gate = CompletedGate();

    /// <summary>Called by the writer's own loop before each write: what it sees is in step with the line.</summary>
    public Action? Writing { get; set; }

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public new void Close() => _gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Open() => _gate.TrySetResult();

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        await _gate.Task.WaitAsync(cancellationToken);
        Writing?.Invoke();
        await inner.WriteAsync(buffer, cancellationToken);
    }

    public override void Flush() => inner.Flush();

    public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            inner.Dispose();
        base.Dispose(disposing);
    }

    private static TaskCompletionSource CompletedGate()
    {
        TaskCompletionSource gate = new();
        gate.SetResult();
        return gate;
    }
}

/// <summary>One stream of two halves.</summary>
internal sealed class DuplexPipe(Stream read, Stream write) : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => read.ReadAsync(buffer, cancellationToken);

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => write.WriteAsync(buffer, cancellationToken);

    public override void Flush() => write.Flush();

    public override Task FlushAsync(CancellationToken cancellationToken) => write.FlushAsync(cancellationToken);

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            read.Dispose();
            write.Dispose();
        }
        base.Dispose(disposing);
    }
}
