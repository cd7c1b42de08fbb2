using System.IO.Pipelines;
using System.Net.WebSockets;
using Atoll.Api.Objects;
using Atoll.Api.Streams;

namespace Atoll.Kube.Streaming.Exec;

/// <summary>
/// Kubernetes' channel protocols over WebSocket: every message begins with the number of its channel. v4 sends the
/// status as JSON, v5 adds channel 255, whose one byte names a channel that its sender has closed. The base64 variants
/// use text messages, a digit and then base64.
/// </summary>
internal sealed class WebSocketExecTransport : ExecTransport
{
    /// <summary>Subprotocols that are served.</summary>
    public static readonly string[] Protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io"];

    private const int StdinChannel = 0;
    private const int StdoutChannel = 1;
    private const int StderrChannel = 2;
    private const int ErrorChannel = 3;
    private const int ResizeChannel = 4;
    private const int CloseChannel = 255;

    private readonly ChannelSocket _socket;
    private readonly bool _json;
    private readonly bool _closeSignal;
    private readonly Pipe? _stdin;
    private readonly Stream? _stdinStream;
    private readonly CancellationTokenSource _gone = new();
    private readonly TerminalSizeReader _sizes;
    private Task _receiving = Task.CompletedTask;
    private volatile bool _stdinEnded;

    public WebSocketExecTransport(WebSocket socket, string protocol, ExecRequest request)
    {
        _socket = new ChannelSocket(socket, protocol.Contains("base64", StringComparison.Ordinal));
        _json = protocol.StartsWith('v');
        _closeSignal = protocol.StartsWith("v5", StringComparison.Ordinal);
        _sizes = new TerminalSizeReader((columns, rows) => Resize(columns, rows));
        if (request.Stdin)
        {
            _stdin = new Pipe(new PipeOptions(pauseWriterThreshold: 64 * 1024, resumeWriterThreshold: 32 * 1024, useSynchronizationContext: false));
            _stdinStream = _stdin.Reader.AsStream();
        }
        Stdout = request.Stdout ? new ChannelStream(_socket, StdoutChannel, _gone.Token) : null;
        Stderr = request.Stderr ? new ChannelStream(_socket, StderrChannel, _gone.Token) : null;
    }

    public override Stream? Stdin => _stdinStream;

    public override Stream? Stdout { get; }

    public override Stream? Stderr { get; }

    public override CancellationToken Gone => _gone.Token;

    public override async Task<bool> StartAsync(CancellationToken cancellation)
    {
        // An empty message on the first output tells the client that the streams stand, as Kubernetes does.
        await _socket.SendAsync(Stdout is not null ? StdoutChannel : Stderr is not null ? StderrChannel : ErrorChannel, default, cancellation).ConfigureAwait(false);
        _receiving = ReceiveAsync();
        return true;
    }

    public override async Task FinishAsync(ApiStatus status)
    {
        EndStdin();
        byte[] bytes = ExecStatus.Encode(status, _json);
        if (bytes.Length > 0)
            await _socket.SendAsync(ErrorChannel, bytes, _gone.Token).ConfigureAwait(false);
        await _socket.CloseOutputAsync(_gone.Token).ConfigureAwait(false);
    }

    public override async Task LingerAsync(TimeSpan longest, TimeProvider time)
    {
        // Wakes a receiver that waits for a process which no longer reads.
        if (_stdinStream is not null)
            await _stdinStream.DisposeAsync().ConfigureAwait(false);
        try
        {
            await _receiving.WaitAsync(longest, time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // Cut off by disposal.
        }
    }

    public override async ValueTask DisposeAsync()
    {
        await _gone.CancelAsync().ConfigureAwait(false);
        EndStdin();
        _socket.Dispose();
        await _receiving.ConfigureAwait(false);
        _gone.Dispose();
    }

    private async Task ReceiveAsync()
    {
        try
        {
            await _socket.ReceiveAsync(OnDataAsync, _gone.Token).ConfigureAwait(false);
        }
        catch (Exception end) when (end is WebSocketException or OperationCanceledException or IOException or ObjectDisposedException)
        {
            // The client is gone, as below.
        }
        EndStdin();
        await _gone.CancelAsync().ConfigureAwait(false);
    }

    private async ValueTask OnDataAsync(int channel, ReadOnlyMemory<byte> data)
    {
        if (channel == StdinChannel && _stdin is not null && !_stdinEnded)
        {
            try
            {
                await _stdin.Writer.WriteAsync(data, _gone.Token).ConfigureAwait(false);
            }
            catch (InvalidOperationException) when (_stdinEnded)
            {
                // The process ended between the check and the write: its input goes nowhere.
            }
        }
        else if (channel == ResizeChannel)
        {
            _sizes.Feed(data.Span);
        }
        else if (channel == CloseChannel && _closeSignal && data.Length > 0 && data.Span[0] == StdinChannel)
        {
            EndStdin();
        }
    }

    private void EndStdin()
    {
        // A reader that is in the middle of a write gets what was written, then the end.
        _stdinEnded = true;
        _stdin?.Writer.Complete();
    }
}
