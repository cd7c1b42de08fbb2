using System.IO.Pipelines;
using System.Net.Sockets;
using Atoll.Api.Streams;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>
/// The streams of an attached or exec'd process. One loop parts the monitor's packets into output and error; a reader that
/// does not read holds it up (and so, in the end, the process): nothing is buffered beyond a pipe's threshold.
/// </summary>
internal sealed class MonitorStreams : IProcessStreams
{
    private const int PacketBytes = 32 * 1024;
    private static readonly PipeOptions Bounded = new(pauseWriterThreshold: 64 * 1024, resumeWriterThreshold: 32 * 1024, useSynchronizationContext: false);

    private readonly MonitorSocket socket;
    private readonly Action<int, int> resize;
    private readonly Pipe? output;
    private readonly Pipe? error;
    private readonly CancellationTokenSource closing = new();
    private readonly Task pumping;

    internal MonitorStreams(MonitorSocket socket, ExecRequest request, bool tty, bool hasStdin, Action<int, int> resize, Task<int> exit)
    {
        (this.socket, this.resize) = (socket, resize);
        output = request.Stdout ? new Pipe(Bounded) : null;
        error = request.Stderr && !tty ? new Pipe(Bounded) : null;
        Stdin = request.Stdin && hasStdin ? new InputStream(socket) : null;
        Stdout = output?.Reader.AsStream();
        Stderr = error?.Reader.AsStream();
        pumping = PumpAsync();
        ExitCode = AfterOutputAsync(exit);
    }

    public Stream? Stdin { get; }

    public Stream? Stdout { get; }

    public Stream? Stderr { get; }

    public Task<int> ExitCode { get; }

    /// <summary>What a monitor's control FIFO understands.</summary>
    internal static byte[] ResizeLine(int columns, int rows) =>
        System.Text.Encoding.ASCII.GetBytes($"1 {Math.Clamp(rows, 0, 1000)} {Math.Clamp(columns, 0, 1000)}\n");

    public void Resize(int columns, int rows) => resize(columns, rows);

    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync().ConfigureAwait(false);
        socket.Dispose();
        await pumping.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        closing.Dispose();
    }

    private async Task PumpAsync()
    {
        var buffer = new byte[PacketBytes];
        Exception? failure = null;
        try
        {
            while (await socket.ReceiveAsync(buffer, closing.Token).ConfigureAwait(false) is > 0 and var n)
            {
                var pipe = buffer[0] == 3 ? error : output;
                if (pipe is not null && n > 1) await pipe.Writer.WriteAsync(buffer.AsMemory(1, n - 1), closing.Token).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            failure = new IOException("The stream was closed.", e);
        }
        if (output is not null) await output.Writer.CompleteAsync(failure).ConfigureAwait(false);
        if (error is not null) await error.Writer.CompleteAsync(failure).ConfigureAwait(false);
    }

    private async Task<int> AfterOutputAsync(Task<int> exit)
    {
        var code = await exit.ConfigureAwait(false);
        await pumping.ConfigureAwait(false);
        return code;
    }

    private sealed class InputStream(MonitorSocket socket) : Stream
    {
        private int closed;

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => WriteAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            try
            {
                await socket.SendAsync(buffer, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                throw new IOException("The process's standard input is closed.", e);
            }
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing && Interlocked.Exchange(ref closed, 1) == 0) socket.CloseInput();
            base.Dispose(disposing);
        }
    }
}
