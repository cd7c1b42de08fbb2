using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Atoll.Kube.Streaming.Spdy;

namespace Atoll.Kube.Streaming.PortForward;

/// <summary>
/// <c>portforward.k8s.io</c> over SPDY/3.1. For every connection the client opens two streams with the same
/// <c>requestID</c>: <c>error</c> (which we write to only when the connection fails) and <c>data</c>. The end of the
/// error stream is what tells kubectl that a connection is over, so it follows the end of the pod's data at once.
/// </summary>
internal sealed class SpdyPortForward(SpdyConnection connection, KubeObject pod, IPodStreams streams, TimeProvider time)
{
    /// <summary>The one stream protocol.</summary>
    public const string Protocol = "portforward.k8s.io";

    /// <summary>How long the second stream of a pair may take.</summary>
    public static readonly TimeSpan PairTimeout = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<string, Pair> _pairs = new();
    private readonly ConcurrentDictionary<Pair, Task> _active = new();

    /// <summary>Runs until the client closes the connection.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        Task running = connection.RunAsync(cancellation);
        while (await connection.AcceptStreamAsync(CancellationToken.None).ConfigureAwait(false) is { } stream)
            await TakeAsync(stream).ConfigureAwait(false);
        await running.ConfigureAwait(false);
        await Task.WhenAll(_active.Values).ConfigureAwait(false);
    }

    private async Task TakeAsync(SpdyStream stream)
    {
        string type = stream.Headers.GetValueOrDefault("streamType", "");
        bool valid = type is "error" or "data"
            && ushort.TryParse(stream.Headers.GetValueOrDefault("port"), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) && port > 0;
        Pair? pair = valid ? PairOf(stream, type) : null;
        if (pair is null || !pair.Take(stream, type))
        {
            stream.Reset(SpdyStatus.ProtocolError);
            return;
        }
        try
        {
            await stream.ReplyAsync(connection.Closed).ConfigureAwait(false);
        }
        catch (Exception end) when (end is IOException or OperationCanceledException or ObjectDisposedException or System.Net.WebSockets.WebSocketException)
        {
            return;
        }
        if (!pair.IsComplete)
            return;
        _pairs.TryRemove(pair.Id, out _);
        _active[pair] = Task.CompletedTask;
        _active[pair] = ServeAsync(pair);
        if (pair.IsOver)
            _active.TryRemove(pair, out _);
    }

    /// <summary>The pair that a stream belongs to. Clients older than requestID open the error stream just before the data stream.</summary>
    private Pair PairOf(SpdyStream stream, string type)
    {
        string id = stream.Headers.GetValueOrDefault("requestID", "");
        if (id.Length == 0)
            id = "#" + (type == "error" ? stream.Id : stream.Id - 2).ToString(CultureInfo.InvariantCulture);
        if (_pairs.TryGetValue(id, out Pair? known))
            return known;
        var pair = new Pair(id);
        _pairs[id] = pair;
        pair.Timeout = time.CreateTimer(static state =>
        {
            var (self, late) = ((SpdyPortForward, Pair))state!;
            if (self._pairs.TryRemove(KeyValuePair.Create(late.Id, late)))
                late.Reset(SpdyStatus.Cancel);
        }, (this, pair), PairTimeout, Timeout.InfiniteTimeSpan);
        return pair;
    }

    private async Task ServeAsync(Pair pair)
    {
        // Off the accepting loop: opening may take a while.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        pair.Timeout?.Dispose();
        SpdyStream data = pair.Data!, error = pair.Error!;
        int port = int.Parse(data.Headers["port"], CultureInfo.InvariantCulture);
        CancellationToken closed = connection.Closed;
        error.Discard();
        try
        {
            (Stream? target, string why) = await ForwardedConnection.OpenAsync(streams, pod, port, closed).ConfigureAwait(false);
            if (target is null)
            {
                data.Discard();
                await error.WriteAsync(Encoding.UTF8.GetBytes(why), closed).ConfigureAwait(false);
                await error.CompleteAsync(closed).ConfigureAwait(false);
                await data.CompleteAsync(closed).ConfigureAwait(false);
                return;
            }
            await using (target.ConfigureAwait(false))
                await RelayAsync(target, data, error, closed).ConfigureAwait(false);
        }
        catch (Exception end) when (end is OperationCanceledException or IOException or ObjectDisposedException or System.Net.WebSockets.WebSocketException)
        {
            pair.Reset(SpdyStatus.Cancel);
        }
        finally
        {
            pair.IsOver = true;
            _active.TryRemove(pair, out _);
        }
    }

    private static async Task RelayAsync(Stream target, SpdyStream data, SpdyStream error, CancellationToken closed)
    {
        Task up = UploadAsync(target, data, closed);
        if (await ForwardedConnection.CopyAsync(target, data, closed).ConfigureAwait(false))
            await data.CompleteAsync(closed).ConfigureAwait(false);
        else
            data.Reset(SpdyStatus.Cancel);
        await error.CompleteAsync(closed).ConfigureAwait(false);
        await up.ConfigureAwait(false);
    }

    private static async Task UploadAsync(Stream target, SpdyStream data, CancellationToken closed)
    {
        if (await ForwardedConnection.CopyAsync(data, target, closed).ConfigureAwait(false))
        {
            ForwardedConnection.EndInput(target);
            return;
        }
        // The client reset the connection or the pod closed it: end the other direction as well.
        data.Discard();
        await target.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>The two streams of one connection.</summary>
    private sealed class Pair(string id)
    {
        public string Id => id;

        public SpdyStream? Data { get; private set; }

        public SpdyStream? Error { get; private set; }

        public ITimer? Timeout { get; set; }

        public bool IsOver { get; set; }

        public bool IsComplete => Data is not null && Error is not null;

        public bool Take(SpdyStream stream, string type)
        {
            if (type == "data" ? Data is not null : Error is not null)
                return false;
            if (type == "data")
                Data = stream;
            else
                Error = stream;
            return true;
        }

        public void Reset(SpdyStatus why)
        {
            Timeout?.Dispose();
            Data?.Reset(why);
            Error?.Reset(why);
        }
    }
}
