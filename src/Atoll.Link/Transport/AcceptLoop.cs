using System.Threading.Channels;

namespace Atoll.Link;

/// <summary>Hands each stream that the other side opens to its handler; a stream whose handler ends is closed, one that fails is aborted.</summary>
internal static class AcceptLoop
{
    public static async Task RunAsync(ChannelReader<LinkStream> accepted, Func<LinkStream, CancellationToken, Task>? handler, CancellationToken cancellation)
    {
        await foreach (LinkStream stream in accepted.ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
        {
            if (handler is null)
                stream.Abort();
            else
                _ = HandleAsync(stream, handler, cancellation);
        }
    }

    private static async Task HandleAsync(LinkStream stream, Func<LinkStream, CancellationToken, Task> handler, CancellationToken cancellation)
    {
        await Task.Yield();
        try
        {
            await handler(stream, cancellation).ConfigureAwait(false);
        }
        catch (Exception)
        {
            // The other side sees its stream fail; that is the report.
            stream.Abort();
        }
        finally
        {
            await stream.DisposeAsync().ConfigureAwait(false);
        }
    }
}
