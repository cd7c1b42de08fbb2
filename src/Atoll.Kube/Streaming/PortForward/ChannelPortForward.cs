using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Net.WebSockets;
using System.Text;
using Atoll.Api.Objects;
using Atoll.Api.Streams;

namespace Atoll.Kube.Streaming.PortForward;

/// <summary>
/// Port-forward over WebSocket channels, as the C#, Java and JavaScript clients do it: the ports are in the query, port i has the
/// channels 2i (data) and 2i+1 (error), and each channel begins with the port as two bytes, little-endian. One
/// connection for each port, all behind one WebSocket: a port that is not read holds up the others.
/// </summary>
internal sealed class ChannelPortForward(ChannelSocket socket, KubeObject pod, IPodStreams streams, IReadOnlyList<int> ports)
{
    /// <summary>Most ports of one request.</summary>
    public const int MaxPorts = 32;

    private readonly Pipe[] _input = [.. ports.Select(_ => new Pipe(new PipeOptions(pauseWriterThreshold: 64 * 1024, resumeWriterThreshold: 32 * 1024, useSynchronizationContext: false)))];

    /// <summary>Runs until the client closes or every port is done.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var gone = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task all = Task.WhenAll(Enumerable.Range(0, ports.Count).Select(i => ServeAsync(i, gone.Token)));
        try
        {
            Task receiving = socket.ReceiveAsync(OnDataAsync, gone.Token);
            if (await Task.WhenAny(receiving, all).ConfigureAwait(false) == all)
                await socket.CloseOutputAsync(gone.Token).ConfigureAwait(false);
            await receiving.ConfigureAwait(false);
        }
        catch (Exception end) when (end is WebSocketException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The client is gone.
        }
        await gone.CancelAsync().ConfigureAwait(false);
        await all.ConfigureAwait(false);
    }

    private async ValueTask OnDataAsync(int channel, ReadOnlyMemory<byte> data)
    {
        if (channel >= 0 && channel % 2 == 0 && channel / 2 < _input.Length)
            await _input[channel / 2].Writer.WriteAsync(data).ConfigureAwait(false);
    }

    private async Task ServeAsync(int index, CancellationToken gone)
    {
        int data = 2 * index, error = data + 1;
        byte[] port = new byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(port, (ushort)ports[index]);
        try
        {
            await socket.SendAsync(data, port, gone).ConfigureAwait(false);
            await socket.SendAsync(error, port, gone).ConfigureAwait(false);
            (Stream? target, string why) = await ForwardedConnection.OpenAsync(streams, pod, ports[index], gone).ConfigureAwait(false);
            if (target is null)
            {
                await socket.SendAsync(error, Encoding.UTF8.GetBytes(why), gone).ConfigureAwait(false);
                return;
            }
            await using (target.ConfigureAwait(false))
            {
                using var over = CancellationTokenSource.CreateLinkedTokenSource(gone);
                Task up = ForwardedConnection.CopyAsync(_input[index].Reader.AsStream(), target, over.Token);
                await ForwardedConnection.CopyAsync(target, new ChannelStream(socket, data, gone), over.Token).ConfigureAwait(false);
                await over.CancelAsync().ConfigureAwait(false);
                await up.ConfigureAwait(false);
            }
        }
        catch (Exception end) when (end is WebSocketException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The client is gone.
        }
        finally
        {
            // What still comes for this port is dropped.
            await _input[index].Reader.CompleteAsync().ConfigureAwait(false);
        }
    }
}
