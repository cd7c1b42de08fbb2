using System.Buffers;
using System.Text;

namespace Atoll.Link;

/// <summary>Sending: what goes out next is decided at the last moment.</summary>
internal sealed partial class Multiplexer
{
    /// <summary>Returns when all bytes are on their way (or copied into the burst that is).</summary>
    internal async Task WriteAsync(LinkStream stream, ReadOnlyMemory<byte> data, CancellationToken cancellation)
    {
        TaskCompletionSource written = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            LinkStream.SendState outgoing = stream.Outgoing;
            if (outgoing.Failure is { } failure)
                throw new IOException("The stream is closed.", failure);
            if (outgoing.Ended || outgoing.EndDue)
                throw new InvalidOperationException("The writing side of the stream was completed.");
            (outgoing.Data, outgoing.Written) = (data, written);
            Schedule(stream);
        }
        Wake();
        using CancellationTokenRegistration registration = cancellation.UnsafeRegister(static (state, token) =>
        {
            (Multiplexer mux, LinkStream stream, TaskCompletionSource written) = ((Multiplexer, LinkStream, TaskCompletionSource))state!;
            mux.CancelWrite(stream, written, token);
        }, (this, stream, written));
        await written.Task.ConfigureAwait(false);
    }

    internal void EndWrites(LinkStream stream)
    {
        lock (_lock)
        {
            if (stream.Outgoing.Ended || stream.Outgoing.EndDue || stream.Outgoing.Failure is not null)
                return;
            stream.Outgoing.EndDue = true;
            Schedule(stream);
        }
        Wake();
    }

    internal void Abort(LinkStream stream)
    {
        lock (_lock)
        {
            if (stream.Outgoing.Failure is null && _failure is null)
            {
                stream.Outgoing.ResetDue = true;
                stream.Incoming.Stopped = true;
                Schedule(stream);
            }
            Break(stream, new IOException("The stream was aborted."));
        }
        Wake();
    }

    internal void Close(LinkStream stream)
    {
        lock (_lock)
        {
            if (_failure is null && stream.Outgoing.Failure is null)
            {
                stream.Outgoing.EndDue |= !stream.Outgoing.Ended;
                stream.Outgoing.StopDue |= !stream.Incoming.Ended && !stream.Incoming.Stopped;
                Schedule(stream);
            }
            stream.Incoming.Stopped = true;
            stream.Received.Complete();
            Forget(stream);
        }
        Wake();
    }

    private void CancelWrite(LinkStream stream, TaskCompletionSource written, CancellationToken token)
    {
        lock (_lock)
        {
            if (stream.Outgoing.Written == written)
            {
                // Part of it may be sent: the stream cannot go on in order.
                (stream.Outgoing.Data, stream.Outgoing.Written) = (default, null);
                stream.Outgoing.ResetDue = true;
                stream.Outgoing.Failure = new OperationCanceledException(token);
                stream.Incoming.Stopped = true;
                Schedule(stream);
            }
        }
        Wake();
        written.TrySetCanceled(token);
    }

    private void Schedule(LinkStream stream)
    {
        if (stream.Outgoing.Scheduled || !Due(stream))
            return;
        stream.Outgoing.Scheduled = true;
        _ready[(int)stream.Class].Enqueue(stream);
    }

    private static bool Due(LinkStream stream)
    {
        LinkStream.SendState outgoing = stream.Outgoing;
        return outgoing.OpenDue || outgoing.EndDue || outgoing.StopDue || outgoing.ResetDue || outgoing.CreditToGive > 0
            || (outgoing.Data.Length > 0 && outgoing.Credit > 0);
    }

    private async Task WriteLineAsync(CancellationToken cancellation)
    {
        using CancellationTokenRegistration stopping = cancellation.UnsafeRegister(static wake => ((WakeSignal)wake!).Set(), _wake);
        while (true)
        {
            byte[] burst = ArrayPool<byte>.Shared.Rent(BurstBytes + LinkLimits.MaxFrameBytes + MuxFrame.MaxHeader);
            try
            {
                int length = Fill(burst);
                while (length > 0)
                {
                    await _line.WriteAsync(burst.AsMemory(0, length), cancellation).ConfigureAwait(false);
                    await _line.FlushAsync(cancellation).ConfigureAwait(false);
                    length = Fill(burst);
                }
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(burst);
            }
            if (_session.Ended)
                return;
            await _wake.WaitAsync().ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Fills a burst by priority; a lower class gets in only when a higher one has nothing, and then only one frame of it.</summary>
    private int Fill(Span<byte> burst)
    {
        long now = NowUs;
        int used = FillFromSession(LinkClass.Session, burst, WriteReports(burst), BurstBytes, now);
        for (int of = 1; of < 4 && used < BurstBytes / 2; of++)
        {
            if (of == (int)LinkClass.Telemetry)
                used = FillFromSession(LinkClass.Telemetry, burst, used, Math.Min(BurstBytes / 2, used + ArrivalWindow.Least / 2), now);
            if (used < BurstBytes / 2)
                used += FillFromStreams((LinkClass)of, burst[used..], now);
        }
        return used;
    }

    /// <summary>Appends session frames to what is used of a burst, until that much is; returns how much is used then.</summary>
    private int FillFromSession(LinkClass of, Span<byte> burst, int used, int until, long now)
    {
        ArrivalWindow window = _windows[(int)of];
        Span<byte> header = stackalloc byte[MuxFrame.MaxHeader];
        while (used < until)
        {
            int preferred;
            lock (_lock)
                preferred = window.Open ? window.FrameBytes : 0;
            int length = preferred > 0 ? _session.WriteFrame(burst.Slice(used + MuxFrame.MaxHeader, LinkLimits.MaxFrameBytes), preferred, yielding: of == LinkClass.Telemetry) : 0;
            if (length == 0)
                break;
            // The frame was written behind the longest header; now that its length is known it moves up to its own.
            int headerLength = MuxFrame.WriteHeader(header, MuxFrameType.Session, of, 0, length);
            burst.Slice(used + MuxFrame.MaxHeader, length).CopyTo(burst[(used + headerLength)..]);
            header[..headerLength].CopyTo(burst[used..]);
            used += headerLength + length;
            lock (_lock)
                Account(of, headerLength + length, now);
        }
        return used;
    }

    private int FillFromStreams(LinkClass of, Span<byte> burst, long now)
    {
        ArrivalWindow window = _windows[(int)of];
        Queue<LinkStream> ready = _ready[(int)of];
        int used = 0;
        lock (_lock)
        {
            // Closed window: small frames that carry no data still pass.
            for (int turns = ready.Count; turns > 0 && used < BurstBytes / 2; turns--)
            {
                LinkStream stream = ready.Dequeue();
                stream.Outgoing.Scheduled = false;
                int length = WriteStream(stream, burst[used..], window.Open ? window.FrameBytes : 0);
                if (length > 0)
                    Account(of, length, now);
                used += length;
                Schedule(stream);
                Forget(stream);
            }
        }
        return used;
    }

    private int WriteStream(LinkStream stream, Span<byte> burst, int dataLimit)
    {
        LinkStream.SendState outgoing = stream.Outgoing;
        int used = 0;
        if (outgoing.OpenDue)
        {
            outgoing.OpenDue = false;
            used = WriteHeader(burst, MuxFrameType.Open, stream, Encoding.UTF8.GetByteCount(stream.Metadata));
            used += Encoding.UTF8.GetBytes(stream.Metadata, burst[used..]);
        }
        if (outgoing.ResetDue)
        {
            (outgoing.ResetDue, outgoing.EndDue, outgoing.StopDue, outgoing.CreditToGive) = (false, false, false, 0);
            (outgoing.Ended, outgoing.Data) = (true, default);
            return used + WriteHeader(burst[used..], MuxFrameType.Reset, stream, 0);
        }
        if (outgoing.CreditToGive > 0)
        {
            used += WriteNumber(burst[used..], MuxFrameType.Credit, stream.Class, stream.Id, outgoing.CreditToGive);
            outgoing.CreditToGive = 0;
        }
        if (outgoing.StopDue)
        {
            outgoing.StopDue = false;
            used += WriteHeader(burst[used..], MuxFrameType.Stop, stream, 0);
        }
        int count = (int)Math.Min(Math.Min(outgoing.Data.Length, outgoing.Credit), dataLimit);
        if (count > 0)
        {
            used += WriteHeader(burst[used..], MuxFrameType.Data, stream, count);
            outgoing.Data.Span[..count].CopyTo(burst[used..]);
            used += count;
            outgoing.Credit -= count;
            outgoing.Data = outgoing.Data[count..];
            if (outgoing.Data.Length == 0)
            {
                outgoing.Written?.TrySetResult();
                outgoing.Written = null;
            }
        }
        if (outgoing.EndDue && outgoing.Data.Length == 0)
        {
            (outgoing.EndDue, outgoing.Ended) = (false, true);
            used += WriteHeader(burst[used..], MuxFrameType.End, stream, 0);
        }
        return used;
    }

    private int WriteReports(Span<byte> burst)
    {
        int used = 0;
        for (int of = 0; of < 4; of++)
        {
            long arrived = Interlocked.Read(ref _arrived[of]);
            if (arrived - _reported[of] < ReportAfter)
                continue;
            _reported[of] = arrived;
            int length = WriteNumber(burst[used..], MuxFrameType.Arrived, (LinkClass)of, 0, arrived);
            _traffic.AddSent((LinkClass)of, length);
            used += length;
        }
        return used;
    }

    private void Account(LinkClass of, int bytes, long now)
    {
        _windows[(int)of].Sent(bytes, now, Probe.Resent);
        _traffic.AddSent(of, bytes);
    }

    private static int WriteHeader(Span<byte> burst, MuxFrameType type, LinkStream stream, int length) =>
        MuxFrame.WriteHeader(burst, type, stream.Class, stream.Id, length);

    private static int WriteNumber(Span<byte> burst, MuxFrameType type, LinkClass of, uint stream, long value)
    {
        Span<byte> number = stackalloc byte[10];
        int length = 0;
        MuxFrame.WriteVarint(number, ref length, (ulong)value);
        int used = MuxFrame.WriteHeader(burst, type, of, stream, length);
        number[..length].CopyTo(burst[used..]);
        return used + length;
    }
}
