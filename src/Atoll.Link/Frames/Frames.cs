namespace Atoll.Link;

/// <summary>Type byte of a session frame. Numbers are on the wire and never change; an unknown one is skipped.</summary>
internal enum FrameType : byte
{
    /// <summary>Site: who it is and what it holds.</summary>
    Hello = 1,

    /// <summary>Parent: the answer.</summary>
    Welcome = 2,

    /// <summary>Parent: an object, or its first part.</summary>
    Item = 3,

    /// <summary>Either: the next part of the item or outcome begun last.</summary>
    Chunk = 4,

    /// <summary>Parent: an identity to remove, or to mark as orphan.</summary>
    Drop = 5,

    /// <summary>Parent: the end of a batch.</summary>
    Commit = 6,

    /// <summary>Site: a batch is durable.</summary>
    Applied = 7,

    /// <summary>Parent: a question about a range of identities.</summary>
    RangeQuery = 8,

    /// <summary>Site: digests of a range's sixteen parts.</summary>
    RangeSplit = 9,

    /// <summary>Site: the identities and versions in a range.</summary>
    RangeList = 10,

    /// <summary>Site: an outcome, or its first part.</summary>
    Outcome = 11,

    /// <summary>Site: the end of a batch of outcomes.</summary>
    OutcomesEnd = 12,

    /// <summary>Parent: a batch of outcomes is durable.</summary>
    OutcomesApplied = 13,

    /// <summary>Site: one orphan that it keeps.</summary>
    Orphan = 14,

    /// <summary>Either: is somebody there?</summary>
    Ping = 15,

    /// <summary>Either: yes.</summary>
    Pong = 16,

    /// <summary>Either: the session ends, and why.</summary>
    Bye = 17,
}

/// <summary>How a body travels.</summary>
[Flags]
internal enum BodyEncoding
{
    Plain = 0,

    /// <summary>The payload is compressed.</summary>
    Compressed = 1,

    /// <summary>The payload (after expansion) is a delta against an earlier version.</summary>
    Delta = 2,
}

/// <summary>Head of an <see cref="FrameType.Item"/> or <see cref="FrameType.Outcome"/>: everything but the payload.</summary>
internal readonly record struct BodyHead(
    string Uid, string Kind, string Name, string Operation, long Version, BodyEncoding Encoding, long Base, int Length, ulong Hash, int PayloadLength)
{
    /// <summary>Writes the head with as much of the payload as fits; returns the frame's length and how much was taken.</summary>
    public int Write(Span<byte> destination, FrameType type, ReadOnlySpan<byte> payload, out int taken)
    {
        FrameWriter writer = new(destination, type);
        writer.Uid(1, Uid);
        writer.Text(2, Kind);
        writer.Text(3, Name);
        writer.Text(4, Operation);
        writer.Number(5, Version);
        writer.Number(6, (long)Encoding);
        writer.Number(7, Base);
        writer.Number(8, Length);
        writer.Fixed(9, Hash);
        writer.Number(10, PayloadLength);
        taken = Math.Min(payload.Length, writer.Room);
        writer.Bytes(11, payload[..taken]);
        return writer.Length;
    }

    public static bool TryRead(ReadOnlySpan<byte> frame, out BodyHead head, out ReadOnlySpan<byte> first)
    {
        FrameReader reader = new(frame);
        head = new BodyHead("", "", "", "", 0, 0, 0, 0, 0, 0);
        first = default;
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1: head = head with { Uid = reader.Uid() }; break;
                case 2: head = head with { Kind = reader.Text(LinkLimits.MaxKindLength) }; break;
                case 3: head = head with { Name = reader.Text(LinkLimits.MaxNameLength) }; break;
                case 4: head = head with { Operation = reader.Text(LinkLimits.MaxKindLength) }; break;
                case 5: head = head with { Version = reader.Long }; break;
                case 6: head = head with { Encoding = (BodyEncoding)reader.Int(3) }; break;
                case 7: head = head with { Base = reader.Long }; break;
                case 8: head = head with { Length = reader.Int(LinkLimits.MaxBodyBytes) }; break;
                case 9: head = head with { Hash = reader.Fixed() }; break;
                case 10: head = head with { PayloadLength = reader.Int(LinkLimits.MaxBodyBytes) }; break;
                case 11: first = reader.Data; break;
                default: break;
            }
        }
        return !reader.Failed && head.Uid.Length > 0 && head.Version > 0 && first.Length <= head.PayloadLength;
    }
}

/// <summary>Part of the space of identities: those whose hash begins with these bits.</summary>
/// <param name="Prefix">The leading bits, in the high end of the number; the rest is zero.</param>
/// <param name="Bits">How many bits; 0 is everything, at most 60, always a multiple of 4.</param>
internal readonly record struct IdRange(ulong Prefix, int Bits)
{
    public bool Contains(ulong hash) => Bits == 0 || hash >> (64 - Bits) == Prefix >> (64 - Bits);

    public IdRange Part(int index) => new(Prefix | ((ulong)index << (60 - Bits)), Bits + 4);

    public int PartOf(ulong hash) => (int)(hash >> (60 - Bits)) & 15;
}

/// <summary>The small frames: one writer and one reader each.</summary>
internal static class Frames
{
    private static readonly ParentChoice s_unsaid = new("", ParentReason.Preferred, "");

    public static FrameType TypeOf(ReadOnlySpan<byte> frame) => frame.Length == 0 ? 0 : (FrameType)frame[0];

    public static int Write(Span<byte> destination, SiteHello hello)
    {
        FrameWriter writer = new(destination, FrameType.Hello);
        writer.Number(1, hello.OldestVersion);
        writer.Number(2, hello.NewestVersion);
        writer.Text(3, hello.Software);
        if (hello.Sequence.Incarnation.Length > 0)
            writer.Uid(4, hello.Sequence.Incarnation);
        writer.Number(5, hello.Sequence.Revision);
        writer.Number(6, hello.Digest.Count);
        writer.Fixed(7, hello.Digest.Hash);
        writer.Number(8, hello.Orphans);
        writer.Flag(9, hello.HasBodies);
        if (hello.Via is { } via)
        {
            writer.Text(10, via.Address);
            writer.Number(11, (int)via.Reason);
            writer.Text(12, via.Detail);
        }
        writer.Number(13, hello.ClockMs);
        return writer.Length;
    }

    public static bool TryRead(ReadOnlySpan<byte> frame, out SiteHello hello)
    {
        FrameReader reader = new(frame);
        hello = new SiteHello(0, 0, "", LinkSequence.None, default, 0, false);
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1: hello = hello with { OldestVersion = reader.Int(int.MaxValue) }; break;
                case 2: hello = hello with { NewestVersion = reader.Int(int.MaxValue) }; break;
                case 3: hello = hello with { Software = reader.Text(LinkLimits.MaxKindLength) }; break;
                case 4: hello = hello with { Sequence = hello.Sequence with { Incarnation = reader.Uid() } }; break;
                case 5: hello = hello with { Sequence = hello.Sequence with { Revision = reader.Long } }; break;
                case 6: hello = hello with { Digest = hello.Digest with { Count = reader.Int(LinkLimits.MaxScopeItems) } }; break;
                case 7: hello = hello with { Digest = hello.Digest with { Hash = reader.Fixed() } }; break;
                case 8: hello = hello with { Orphans = reader.Int(LinkLimits.MaxScopeItems) }; break;
                case 9: hello = hello with { HasBodies = reader.Flag }; break;
                case 10: hello = hello with { Via = new ParentChoice(reader.Text(LinkLimits.MaxAddressLength), ParentReason.Preferred, "") }; break;
                case 11: hello = hello with { Via = (hello.Via ?? s_unsaid) with { Reason = (ParentReason)reader.Int(int.MaxValue) } }; break;
                case 12: hello = hello with { Via = (hello.Via ?? s_unsaid) with { Detail = reader.Text(LinkLimits.MaxAddressLength) } }; break;
                case 13: hello = hello with { ClockMs = reader.Long }; break;
                default: break;
            }
        }
        return !reader.Failed;
    }

    public static int Write(Span<byte> destination, ParentWelcome welcome)
    {
        FrameWriter writer = new(destination, FrameType.Welcome);
        writer.Number(1, welcome.Version);
        writer.Text(2, welcome.Software);
        writer.Uid(3, welcome.Sequence.Incarnation);
        writer.Number(4, welcome.Sequence.Revision);
        writer.Flag(5, welcome.Foreign);
        writer.Flag(6, welcome.InSync);
        return writer.Length;
    }

    public static bool TryRead(ReadOnlySpan<byte> frame, out ParentWelcome welcome)
    {
        FrameReader reader = new(frame);
        welcome = new ParentWelcome(0, "", LinkSequence.None, false, false);
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1: welcome = welcome with { Version = reader.Int(int.MaxValue) }; break;
                case 2: welcome = welcome with { Software = reader.Text(LinkLimits.MaxKindLength) }; break;
                case 3: welcome = welcome with { Sequence = welcome.Sequence with { Incarnation = reader.Uid() } }; break;
                case 4: welcome = welcome with { Sequence = welcome.Sequence with { Revision = reader.Long } }; break;
                case 5: welcome = welcome with { Foreign = reader.Flag }; break;
                case 6: welcome = welcome with { InSync = reader.Flag }; break;
                default: break;
            }
        }
        return !reader.Failed && welcome.Sequence.Incarnation.Length > 0;
    }

    public static int WriteChunk(Span<byte> destination, ReadOnlySpan<byte> payload, out int taken)
    {
        FrameWriter writer = new(destination, FrameType.Chunk);
        taken = Math.Min(payload.Length, writer.Room);
        writer.Bytes(1, payload[..taken]);
        return writer.Length;
    }

    public static bool TryReadChunk(ReadOnlySpan<byte> frame, out ReadOnlySpan<byte> payload)
    {
        FrameReader reader = new(frame);
        payload = default;
        while (reader.Next())
        {
            if (reader.Field == 1)
                payload = reader.Data;
        }
        return !reader.Failed && payload.Length > 0;
    }

    public static int WriteDrop(Span<byte> destination, string uid, bool orphan, int ahead = 0)
    {
        FrameWriter writer = new(destination, FrameType.Drop);
        writer.Uid(1, uid);
        writer.Flag(2, orphan);
        writer.Number(3, ahead);
        return writer.Length;
    }

    public static bool TryReadDrop(ReadOnlySpan<byte> frame, out string uid, out bool orphan, out int ahead)
    {
        FrameReader reader = new(frame);
        (uid, orphan, ahead) = ("", false, 0);
        while (reader.Next())
        {
            if (reader.Field == 1)
                uid = reader.Uid();
            else if (reader.Field == 2)
                orphan = reader.Flag;
            else if (reader.Field == 3)
                ahead = reader.Int(LinkLimits.MaxScopeItems);
        }
        return !reader.Failed && uid.Length > 0;
    }

    /// <summary>Revision 0: the scope is not complete with this batch, and there is no digest to verify.</summary>
    public static int WriteCommit(Span<byte> destination, long revision, SetDigest digest)
    {
        FrameWriter writer = new(destination, FrameType.Commit);
        if (revision > 0)
        {
            writer.Number(1, revision);
            writer.Number(2, digest.Count);
            writer.Fixed(3, digest.Hash);
        }
        return writer.Length;
    }

    public static bool TryReadCommit(ReadOnlySpan<byte> frame, out long revision, out SetDigest digest)
    {
        FrameReader reader = new(frame);
        (revision, digest) = (0, default);
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1: revision = reader.Long; break;
                case 2: digest = digest with { Count = reader.Int(LinkLimits.MaxScopeItems) }; break;
                case 3: digest = digest with { Hash = reader.Fixed() }; break;
                default: break;
            }
        }
        return !reader.Failed;
    }

    /// <summary>Applied (down) and OutcomesApplied (up): the batch's number, what could not be decoded, and whether the digest agreed.</summary>
    public static int WriteApplied(Span<byte> destination, FrameType type, long number, bool differs, IReadOnlyList<string> missing, ref int from)
    {
        FrameWriter writer = new(destination, type);
        while (from < missing.Count && writer.Free > LinkLimits.MaxUidLength * 3 + 32)
            writer.Uid(3, missing[from++]);
        writer.Number(1, number);
        writer.Flag(2, differs);
        writer.Flag(4, from < missing.Count);
        return writer.Length;
    }

    public static bool TryReadApplied(ReadOnlySpan<byte> frame, List<string> missing, out long number, out bool differs, out bool more)
    {
        FrameReader reader = new(frame);
        (number, differs, more) = (0, false, false);
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1: number = reader.Long; break;
                case 2: differs = reader.Flag; break;
                case 3: missing.Add(reader.Uid()); break;
                case 4: more = reader.Flag; break;
                default: break;
            }
        }
        return !reader.Failed;
    }

    public static int WriteRangeQuery(Span<byte> destination, IdRange range, bool list)
    {
        FrameWriter writer = new(destination, FrameType.RangeQuery);
        WriteRange(ref writer, range);
        writer.Flag(3, list);
        return writer.Length;
    }

    public static bool TryReadRangeQuery(ReadOnlySpan<byte> frame, out IdRange range, out bool list)
    {
        FrameReader reader = new(frame);
        (range, list) = (default, false);
        while (reader.Next())
        {
            if (reader.Field == 3)
                list = reader.Flag;
            else
                ReadRange(ref reader, ref range);
        }
        return !reader.Failed;
    }

    public static int WriteRangeSplit(Span<byte> destination, IdRange range, ReadOnlySpan<SetDigest> parts)
    {
        FrameWriter writer = new(destination, FrameType.RangeSplit);
        WriteRange(ref writer, range);
        for (int part = 0; part < parts.Length; part++)
        {
            if (parts[part].Count == 0)
                continue;
            writer.Number(3, part + 1);
            writer.Number(4, parts[part].Count);
            writer.Fixed(5, parts[part].Hash);
        }
        return writer.Length;
    }

    public static bool TryReadRangeSplit(ReadOnlySpan<byte> frame, Span<SetDigest> parts, out IdRange range)
    {
        FrameReader reader = new(frame);
        range = default;
        int part = -1;
        while (reader.Next())
        {
            if (reader.Field == 3)
                part = reader.Int(16) - 1;
            else if (reader.Field is 4 or 5 && part < 0)
                return false;
            else if (reader.Field == 4)
                parts[part] = parts[part] with { Count = reader.Int(LinkLimits.MaxScopeItems) };
            else if (reader.Field == 5)
                parts[part] = parts[part] with { Hash = reader.Fixed() };
            else
                ReadRange(ref reader, ref range);
        }
        return !reader.Failed;
    }

    /// <summary>Writes as many entries as fit; the last frame of a list has no «more» mark.</summary>
    public static int WriteRangeList(Span<byte> destination, IdRange range, IReadOnlyList<ItemVersion> entries, ref int from)
    {
        FrameWriter writer = new(destination, FrameType.RangeList);
        WriteRange(ref writer, range);
        while (from < entries.Count && writer.Free > LinkLimits.MaxUidLength * 3 + 32)
        {
            writer.Uid(3, entries[from].Uid);
            writer.Number(4, entries[from].Version);
            from++;
        }
        writer.Flag(5, from < entries.Count);
        return writer.Length;
    }

    public static bool TryReadRangeList(ReadOnlySpan<byte> frame, List<ItemVersion> entries, out IdRange range, out bool more)
    {
        FrameReader reader = new(frame);
        (range, more) = (default, false);
        string uid = "";
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 3: uid = reader.Uid(); break;
                case 4: entries.Add(new ItemVersion(uid, reader.Long)); break;
                case 5: more = reader.Flag; break;
                default: ReadRange(ref reader, ref range); break;
            }
        }
        return !reader.Failed;
    }

    public static int WriteOutcomesEnd(Span<byte> destination)
    {
        destination[0] = (byte)FrameType.OutcomesEnd;
        return 1;
    }

    public static int WriteOrphan(Span<byte> destination, HeldItem? orphan, bool more)
    {
        FrameWriter writer = new(destination, FrameType.Orphan);
        if (orphan is not null)
        {
            writer.Uid(1, orphan.Uid);
            writer.Text(2, orphan.Kind);
            writer.Text(3, orphan.Name);
            writer.Number(4, orphan.Version);
        }
        writer.Flag(5, more);
        return writer.Length;
    }

    public static bool TryReadOrphan(ReadOnlySpan<byte> frame, out HeldItem orphan, out bool more)
    {
        FrameReader reader = new(frame);
        orphan = new HeldItem("", "", "", 0, Orphan: true);
        more = false;
        while (reader.Next())
        {
            switch (reader.Field)
            {
                case 1: orphan = orphan with { Uid = reader.Uid() }; break;
                case 2: orphan = orphan with { Kind = reader.Text(LinkLimits.MaxKindLength) }; break;
                case 3: orphan = orphan with { Name = reader.Text(LinkLimits.MaxNameLength) }; break;
                case 4: orphan = orphan with { Version = reader.Long }; break;
                case 5: more = reader.Flag; break;
                default: break;
            }
        }
        return !reader.Failed;
    }

    public static int WriteBye(Span<byte> destination, LinkError error)
    {
        FrameWriter writer = new(destination, FrameType.Bye);
        writer.Number(1, (long)error);
        return writer.Length;
    }

    public static LinkError ReadBye(ReadOnlySpan<byte> frame)
    {
        FrameReader reader = new(frame);
        ulong error = 0;
        while (reader.Next())
        {
            if (reader.Field == 1)
                error = reader.Value;
        }
        return error <= (ulong)LinkError.Unreachable ? (LinkError)error : LinkError.ConnectionLost;
    }

    private static void WriteRange(ref FrameWriter writer, IdRange range)
    {
        writer.Number(1, range.Bits);
        if (range.Bits > 0)
            writer.Number(2, range.Prefix >> (64 - range.Bits));
    }

    private static void ReadRange(ref FrameReader reader, ref IdRange range)
    {
        if (reader.Field == 1)
            range = new IdRange(0, reader.Int(60) & ~3);
        else if (reader.Field == 2 && range.Bits > 0)
            range = range with { Prefix = reader.Value << (64 - range.Bits) };
    }
}
