using System.Net.Sockets;
using Atoll.Api.Objects;
using Atoll.Api.Streams;

namespace Atoll.Kube.Streaming.PortForward;

/// <summary>The pod's side of one forwarded connection.</summary>
internal static class ForwardedConnection
{
    /// <summary>Opens it; else says why in the words that the client's error stream gets.</summary>
    public static async Task<(Stream? Pod, string Error)> OpenAsync(IPodStreams streams, KubeObject pod, int port, CancellationToken cancellation)
    {
        string why;
        try
        {
            StreamStart<Stream> start = await streams.PortForwardAsync(pod, port, cancellation).ConfigureAwait(false);
            if (start.Value is not null)
                return (start.Value, "");
            why = start.Error?.Message ?? "the node gave no reason";
        }
        catch (IOException broken)
        {
            why = broken.Message;
        }
        catch (SocketException refused)
        {
            why = refused.Message;
        }
        return (null, $"error forwarding port {port} to pod {pod.Name}, uid {pod.Uid}: {why}");
    }

    /// <summary>Copies until the end of <paramref name="from"/>. False when either side broke.</summary>
    public static async Task<bool> CopyAsync(Stream from, Stream to, CancellationToken cancellation)
    {
        // An idle connection holds little; one that fills its buffer gets a larger one.
        byte[] buffer = new byte[4 * 1024];
        try
        {
            int count;
            while ((count = await from.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0)
            {
                await to.WriteAsync(buffer.AsMemory(0, count), cancellation).ConfigureAwait(false);
                await to.FlushAsync(cancellation).ConfigureAwait(false);
                if (count == buffer.Length && count < 32 * 1024)
                    buffer = new byte[32 * 1024];
            }
            return true;
        }
        catch (Exception end) when (end is IOException or SocketException or OperationCanceledException or ObjectDisposedException or System.Net.WebSockets.WebSocketException)
        {
            return false;
        }
    }

    /// <summary>Tells the pod that the client sends no more, where its stream can say so.</summary>
    public static void EndInput(Stream pod)
    {
        if (pod is not NetworkStream network)
            return;
        try
        {
            network.Socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception closed) when (closed is SocketException or ObjectDisposedException)
        {
            // The pod closed first.
        }
    }
}
