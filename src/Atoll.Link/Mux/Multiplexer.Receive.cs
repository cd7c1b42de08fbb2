using System.Text;

namespace Atoll.Link;

/// <summary>Receiving, from a side that is not trusted with our memory.</summary>
internal sealed partial class Multiplexer
{
    internal void Consumed(LinkStream stream, int bytes)
    {
        bool due = false;
        lock (_lock)
        {
            LinkStream.ReceiveState incoming = stream.Incoming;
            incoming.Unreported += bytes;
            if (incoming.Unreported >= StreamWindow / 2 && !incoming.Ended && !incoming.Stopped && _failure is null)
            {
                stream.Outgoing.CreditToGive += incoming.Unreported;
                incoming.Allowed += incoming.Unreported;
                incoming.Unreported = 0;
                Schedule(stream);
                due = true;
            }
        }
        if (due)
            Wake();
    }

    private async Task ReadLineAsync(CancellationToken cancellation)
    {
        byte[] buffer = new byte[LinkLimits.MaxFrameBytes * 2];
        int filled = 0;
        while (true)
        {
            int read = await _line.ReadAsync(buffer.AsMemory(filled), cancellation).ConfigureAwait(false);
            if (read == 0)
                return;
            filled += read;
            int used = Parse(buffer.AsMemory(0, filled));
            if (used < 0)
                throw new LinkProtocolException("A multiplexer frame could not be read.");
            buffer.AsSpan(used, filled - used).CopyTo(buffer);
            filled -= used;
            if (ReportDue())
                Wake();
        }
    }

    /// <summary>Handles all whole frames; returns how many bytes they took, or -1 when it is no frame.</summary>
    private int Parse(ReadOnlyMemory<byte> bytes)
    {
        int used = 0;
        bool active = false;
        while (true)
        {
            int header = MuxFrame.TryReadHeader(bytes.Span[used..], out MuxFrameType type, out LinkClass of, out uint id, out int length);
            if (header < 0)
                return -1;
            if (header == 0 || bytes.Length - used < header + length)
                break;
            ReadOnlyMemory<byte> payload = bytes.Slice(used + header, length);
            used += header + length;
            _traffic.AddReceived(of, header + length);
            if (type != MuxFrameType.Arrived)
                Interlocked.Add(ref _arrived[(int)of], header + length);
            if (type == MuxFrameType.Session)
                _session.OnFrame(payload);
            else if (Handle(type, of, id, payload.Span))
                active = true;
            else
                return -1;
        }
        if (active)
            _session.OnActivity();
        return used;
    }

    private bool ReportDue()
    {
        for (int of = 0; of < 4; of++)
        {
            if (Interlocked.Read(ref _arrived[of]) - _reported[of] >= ReportAfter)
                return true;
        }
        return false;
    }

    private bool Handle(MuxFrameType type, LinkClass of, uint id, ReadOnlySpan<byte> payload)
    {
        switch (type)
        {
            case MuxFrameType.Open:
                return OnOpen(of, id, payload);
            case MuxFrameType.Arrived:
                int position = 0;
                if (MuxFrame.TryReadVarint(payload, ref position, out ulong total) <= 0 || total > long.MaxValue)
                    return false;
                bool sane;
                lock (_lock)
                    sane = _windows[(int)of].Arrived((long)total, NowUs, Probe);
                Wake();
                return sane;
            default:
                break;
        }
        LinkStream? stream;
        lock (_lock)
            _streams.TryGetValue(id, out stream);
        // What comes for a stream that is gone was sent before the other side knew.
        return stream is null || OnStreamFrame(stream, type, payload);
    }

    private bool OnStreamFrame(LinkStream stream, MuxFrameType type, ReadOnlySpan<byte> payload)
    {
        lock (_lock)
        {
            switch (type)
            {
                case MuxFrameType.Data:
                    stream.Incoming.Allowed -= payload.Length;
                    if (stream.Incoming.Allowed < 0 || stream.Incoming.Ended)
                        return false;
                    if (stream.Incoming.Stopped)
                        return true;
                    payload.CopyTo(stream.Received.GetSpan(payload.Length));
                    stream.Received.Advance(payload.Length);
                    // Never waits: the pipe has no threshold, the credit is the bound.
                    _ = stream.Received.FlushAsync(CancellationToken.None);
                    return true;
                case MuxFrameType.End:
                    stream.Incoming.Ended = true;
                    if (!stream.Incoming.Stopped)
                        stream.Received.Complete();
                    Forget(stream);
                    return true;
                case MuxFrameType.Stop:
                    StopWrites(stream, new IOException("The other side reads no more of the stream."));
                    Forget(stream);
                    return true;
                case MuxFrameType.Reset:
                    (stream.Incoming.Ended, stream.Outgoing.Ended) = (true, true);
                    Break(stream, new IOException("The other side aborted the stream."));
                    Forget(stream);
                    return true;
                case MuxFrameType.Credit:
                    int position = 0;
                    if (MuxFrame.TryReadVarint(payload, ref position, out ulong more) <= 0 || more > StreamWindow * 4UL)
                        return false;
                    stream.Outgoing.Credit += (long)more;
                    Schedule(stream);
                    break;
                default:
                    return true;
            }
        }
        Wake();
        return true;
    }

    private static void StopWrites(LinkStream stream, Exception reason)
    {
        LinkStream.SendState outgoing = stream.Outgoing;
        outgoing.Failure ??= reason;
        (outgoing.Ended, outgoing.EndDue, outgoing.Data) = (true, false, default);
        outgoing.Written?.TrySetException(reason);
        outgoing.Written = null;
    }

    private bool OnOpen(LinkClass of, uint id, ReadOnlySpan<byte> payload)
    {
        if (of == LinkClass.Session || payload.Length > LinkLimits.MaxMetadataBytes)
            return false;
        LinkStream stream = new(this, id, of, Encoding.UTF8.GetString(payload));
        stream.Outgoing.CreditToGive = StreamWindow - FirstCredit;
        stream.Incoming.Allowed = StreamWindow;
        lock (_lock)
        {
            if (_failure is not null)
                return true;
            // The other side's numbers have the other parity and are used once.
            if (id % 2 == _nextId % 2 || !_streams.TryAdd(id, stream))
                return false;
            bool refused = _streams.Count > LinkLimits.MaxStreams || !_accepted.Writer.TryWrite(stream);
            if (refused)
            {
                (stream.Outgoing.ResetDue, stream.Incoming.Stopped) = (true, true);
                Break(stream, new IOException("Too many streams are open on the link."));
            }
            Schedule(stream);
        }
        Wake();
        return true;
    }

    /// <summary>Drops a stream that has nothing more to do in either direction.</summary>
    private void Forget(LinkStream stream)
    {
        if (stream.Outgoing.Ended && !Due(stream) && (stream.Incoming.Ended || stream.Incoming.Stopped))
            _streams.Remove(stream.Id);
    }
}

/// <summary>The other side broke the protocol.</summary>
internal sealed class LinkProtocolException(string message) : IOException(message);
