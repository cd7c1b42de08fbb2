using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Atoll.Kube.Streaming.Spdy;

namespace Atoll.Kube.Streaming.Exec;

/// <summary>
/// Exec and attach over SPDY/3.1: the client opens one stream for each channel and names it in the header
/// <c>streamType</c>. The versions differ in the status (JSON since v4) and in resizing (since v3).
/// </summary>
internal sealed class SpdyExecTransport(SpdyConnection connection, string protocol, ExecRequest request, TimeProvider time) : ExecTransport
{
    /// <summary>Stream protocols that are served.</summary>
    public static readonly string[] Protocols = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];

    /// <summary>How long a client may take to open its streams.</summary>
    public static readonly TimeSpan OpenTimeout = TimeSpan.FromSeconds(30);

    private readonly bool _json = protocol == "v4.channel.k8s.io";
    private readonly bool _resizes = request.Tty && protocol is "v4.channel.k8s.io" or "v3.channel.k8s.io";
    private readonly CancellationTokenSource _cut = new();
    private SpdyStream? _stdin;
    private SpdyStream? _stdout;
    private SpdyStream? _stderr;
    private SpdyStream? _error;
    private SpdyStream? _resize;
    private Task _running = Task.CompletedTask;
    private Task _resizing = Task.CompletedTask;
    private Task _refusing = Task.CompletedTask;

    public override Stream? Stdin => _stdin;

    public override Stream? Stdout => _stdout;

    public override Stream? Stderr => _stderr;

    public override CancellationToken Gone => connection.Closed;

    public override async Task<bool> StartAsync(CancellationToken cancellation)
    {
        _running = connection.RunAsync(_cut.Token);
        using var late = new CancellationTokenSource(OpenTimeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellation);
        try
        {
            while (!IsComplete)
            {
                if (await connection.AcceptStreamAsync(both.Token).ConfigureAwait(false) is not { } stream)
                    return false;
                await TakeAsync(stream, both.Token).ConfigureAwait(false);
            }
        }
        catch (Exception end) when (end is OperationCanceledException or IOException)
        {
            return false;
        }
        _resizing = ReadSizesAsync();
        _refusing = RefuseMoreAsync();
        return true;
    }

    public override async Task FinishAsync(ApiStatus status)
    {
        CancellationToken gone = connection.Closed;
        foreach (SpdyStream? output in new[] { _stdout, _stderr })
            if (output is not null)
                await output.CompleteAsync(gone).ConfigureAwait(false);
        await _error!.WriteAsync(ExecStatus.Encode(status, _json), gone).ConfigureAwait(false);
        await _error.CompleteAsync(gone).ConfigureAwait(false);
        foreach (SpdyStream? input in new[] { _stdin, _resize })
            if (input is not null)
                await input.CompleteAsync(gone).ConfigureAwait(false);
    }

    public override async Task LingerAsync(TimeSpan longest, TimeProvider time)
    {
        _stdin?.Discard();
        try
        {
            await _running.WaitAsync(longest, time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // Cut off by disposal.
        }
    }

    public override async ValueTask DisposeAsync()
    {
        await _cut.CancelAsync().ConfigureAwait(false);
        await connection.DisposeAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        await _resizing.ConfigureAwait(false);
        await _refusing.ConfigureAwait(false);
        _cut.Dispose();
    }

    private bool IsComplete =>
        _error is not null && (_stdin is not null || !request.Stdin) && (_stdout is not null || !request.Stdout)
        && (_stderr is not null || !request.Stderr) && (_resize is not null || !_resizes);

    private async Task TakeAsync(SpdyStream stream, CancellationToken cancellation)
    {
        string type = stream.Headers.GetValueOrDefault("streamType", "");
        bool taken = type switch
        {
            "error" => Take(ref _error, stream),
            "stdin" => request.Stdin && Take(ref _stdin, stream),
            "stdout" => request.Stdout && Take(ref _stdout, stream),
            "stderr" => request.Stderr && Take(ref _stderr, stream),
            "resize" => _resizes && Take(ref _resize, stream),
            _ => false,
        };
        if (!taken)
        {
            stream.Reset(SpdyStatus.RefusedStream);
            return;
        }
        if (type is not ("stdin" or "resize"))
            stream.Discard();
        await stream.ReplyAsync(cancellation).ConfigureAwait(false);
    }

    private static bool Take(ref SpdyStream? place, SpdyStream stream)
    {
        if (place is not null)
            return false;
        place = stream;
        return true;
    }

    private async Task ReadSizesAsync()
    {
        if (_resize is null)
            return;
        var sizes = new TerminalSizeReader((columns, rows) => Resize(columns, rows));
        byte[] buffer = new byte[TerminalSizeReader.LimitBytes];
        try
        {
            int count;
            while ((count = await _resize.ReadAsync(buffer, connection.Closed).ConfigureAwait(false)) > 0)
                sizes.Feed(buffer.AsSpan(0, count));
        }
        catch (Exception end) when (end is OperationCanceledException or IOException)
        {
            // The client is gone.
        }
    }

    private async Task RefuseMoreAsync()
    {
        while (await connection.AcceptStreamAsync(CancellationToken.None).ConfigureAwait(false) is { } stream)
            stream.Reset(SpdyStatus.RefusedStream);
    }
}
