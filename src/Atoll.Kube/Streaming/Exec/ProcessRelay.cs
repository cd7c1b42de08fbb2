using Atoll.Api.Objects;
using Atoll.Api.Streams;

namespace Atoll.Kube.Streaming.Exec;

/// <summary>
/// Moves bytes between a process and a client until one of them ends.
/// (1) The client's input goes to the process; its end closes the process's input. (2) Outputs go to the client, as fast
/// as it reads. (3) When the process has ended and all its output is sent, the status follows; of one that did not start, at once.
/// (4) A client that vanishes ends the streams. The process's streams are disposed here in every case.
/// </summary>
internal sealed class ProcessRelay(StreamStart<IProcessStreams> start, ExecTransport client, TimeProvider time)
{
    /// <summary>How long outputs may stay silent after the process ended (something it left behind holds them open) before they count as ended.</summary>
    public static readonly TimeSpan SilenceAfterExit = TimeSpan.FromSeconds(5);

    /// <summary>How long a client may take to read what was sent, after the end.</summary>
    public static readonly TimeSpan Linger = TimeSpan.FromMinutes(5);

    /// <summary>Runs to the end. <paramref name="attach"/>: the status tells of the streams only, not of the process's exit code.</summary>
    public async Task RunAsync(bool attach, CancellationToken requestAborted)
    {
        IProcessStreams? process = start.Value;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(requestAborted, client.Gone);
        CancellationToken token = ended.Token;
        Task input = Task.CompletedTask;
        try
        {
            if (!await client.StartAsync(requestAborted).ConfigureAwait(false))
                return;
            ApiStatus status = start.Error ?? ApiStatus.InternalError("the node gave no reason");
            if (process is not null)
            {
                input = CopyInputAsync(process, token);
                status = await CopyOutputsAsync(process, attach, token).ConfigureAwait(false);
            }
            await client.FinishAsync(status).ConfigureAwait(false);
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException or System.Net.WebSockets.WebSocketException or ObjectDisposedException)
        {
            // The client is gone: there is nobody to tell.
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            if (process is not null)
                await process.DisposeAsync().ConfigureAwait(false);
            await input.ConfigureAwait(false);
        }
        if (!requestAborted.IsCancellationRequested && !client.Gone.IsCancellationRequested)
            await client.LingerAsync(Linger, time).ConfigureAwait(false);
    }

    private async Task<ApiStatus> CopyOutputsAsync(IProcessStreams process, bool attach, CancellationToken token)
    {
        var stdout = new OutputCopy(process.Stdout, client.Stdout);
        var stderr = new OutputCopy(process.Stderr, client.Stderr);
        Task copies = Task.WhenAll(stdout.RunAsync(token), stderr.RunAsync(token));
        var failed = new TaskCompletionSource<int>();
        _ = copies.ContinueWith(t => failed.TrySetException(t.Exception!.InnerExceptions), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        ApiStatus status;
        try
        {
            // A failing copy means that the client is gone: do not wait for the process then.
            Task<int> first = await Task.WhenAny(process.ExitCode, failed.Task).WaitAsync(token).ConfigureAwait(false);
            int code = await first.ConfigureAwait(false);
            status = attach ? ApiStatus.Success() : ExecStatus.Of(code);
        }
        catch (Exception broken) when (process.ExitCode.IsFaulted && broken is not OperationCanceledException)
        {
            status = ApiStatus.InternalError("error executing command in container: " + broken.Message);
        }
        await DrainAsync(copies, stdout, stderr, token).ConfigureAwait(false);
        return status;
    }

    /// <summary>Waits for all output; gives up only on a source that stays silent, never on a client that reads slowly.</summary>
    private async Task DrainAsync(Task copies, OutputCopy stdout, OutputCopy stderr, CancellationToken token)
    {
        TimeSpan step = SilenceAfterExit / 10;
        int silent = 0;
        (long, long) last = (-1, -1);
        while (!copies.IsCompleted && silent < 10)
        {
            using var tick = CancellationTokenSource.CreateLinkedTokenSource(token);
            await Task.WhenAny(copies, Task.Delay(step, time, tick.Token)).ConfigureAwait(false);
            await tick.CancelAsync().ConfigureAwait(false);
            token.ThrowIfCancellationRequested();
            (long, long) now = (stdout.Progress, stderr.Progress);
            silent = now == last && !stdout.IsSending && !stderr.IsSending ? silent + 1 : 0;
            last = now;
        }
        if (copies.IsCompleted)
            await copies.ConfigureAwait(false);
    }

    private async Task CopyInputAsync(IProcessStreams process, CancellationToken token)
    {
        if (client.Stdin is not { } source)
            return;
        byte[] buffer = new byte[16 * 1024];
        Stream? sink = process.Stdin;
        try
        {
            int count;
            while ((count = await source.ReadAsync(buffer, token).ConfigureAwait(false)) > 0)
            {
                if (sink is not null && !await TryWriteAsync(sink, buffer.AsMemory(0, count), token).ConfigureAwait(false))
                {
                    // The process closed its input. Go on reading: the client may still resize, or leave.
                    await CloseAsync(sink).ConfigureAwait(false);
                    sink = null;
                }
            }
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException or ObjectDisposedException)
        {
            // The client is gone or all is over; the process's input is closed below.
        }
        if (sink is not null)
            await CloseAsync(sink).ConfigureAwait(false);
    }

    private static async Task<bool> TryWriteAsync(Stream sink, ReadOnlyMemory<byte> bytes, CancellationToken token)
    {
        try
        {
            await sink.WriteAsync(bytes, token).ConfigureAwait(false);
            await sink.FlushAsync(token).ConfigureAwait(false);
            return true;
        }
        catch (Exception closed) when (closed is IOException or ObjectDisposedException)
        {
            return false;
        }
    }

    private static async Task CloseAsync(Stream sink)
    {
        try
        {
            await sink.DisposeAsync().ConfigureAwait(false);
        }
        catch (IOException)
        {
            // Flushing to a process that does not read: it has lost its input either way.
        }
    }

    /// <summary>One output's copy, and what the end of a process wants to know of it.</summary>
    private sealed class OutputCopy(Stream? source, Stream? sink)
    {
        private const int SmallBytes = 4 * 1024;
        private const int LargeBytes = 32 * 1024;
        private long _progress;
        private volatile bool _sending;

        public long Progress => Interlocked.Read(ref _progress);

        public bool IsSending => _sending;

        public async Task RunAsync(CancellationToken token)
        {
            if (source is null)
                return;
            // An idle session holds 4 KiB; one that fills it gets more.
            byte[] buffer = new byte[SmallBytes];
            while (true)
            {
                int count = await ReadAsync(source, buffer, token).ConfigureAwait(false);
                if (count == 0)
                    return;
                Interlocked.Add(ref _progress, count);
                if (sink is not null)
                {
                    _sending = true;
                    await sink.WriteAsync(buffer.AsMemory(0, count), token).ConfigureAwait(false);
                    _sending = false;
                }
                if (count == buffer.Length && buffer.Length == SmallBytes)
                    buffer = new byte[LargeBytes];
            }
        }

        private static async ValueTask<int> ReadAsync(Stream source, byte[] buffer, CancellationToken token)
        {
            try
            {
                return await source.ReadAsync(buffer, token).ConfigureAwait(false);
            }
            catch (Exception closed) when (closed is IOException or ObjectDisposedException)
            {
                // A terminal whose last writer is gone reads as EIO: the end of the output.
                return 0;
            }
        }
    }
}
