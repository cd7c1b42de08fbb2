using System.Text;
using Atoll.Link;

namespace Atoll.UnitTests.Link;

/// <summary>
/// Golden bytes: what version 1 puts on the wire, forever. A change that fails here breaks sites that are already out; add a
/// field or a frame instead.
/// </summary>
public sealed class FrameTests
{
    private const string Guid1 = "6f1c2a52-9f0e-4d5e-8a55-0d3c5e0a7d11";

    private delegate int Writer(Span<byte> destination);

    [Fact]
    public void Every_frame_has_its_golden_bytes()
    {
        Golden("01020104010705312E322E3309106F1C2A529F0E4D5E8A550D3C5E0A7D110AAC020C030F0887D61200000000001001" + "1201",
            b => Frames.Write(b, new SiteHello(1, 1, "1.2.3", new LinkSequence(Guid1, 300), new SetDigest(3, 1234567), 1, true)));
        Golden("01020104010705312E322E330F080000000000000000" + "1201" + "151668747470733A2F2F622E6578616D706C653A36343433" + "1601" + "1908613A206C6F73742E" + "1AC0C407",
            b => Frames.Write(b, new SiteHello(1, 1, "1.2.3", LinkSequence.None, default, 0, true) { Via = new ParentChoice("https://b.example:6443", ParentReason.Failover, "a: lost."), ClockMs = 123456 }));
        Golden("0202010503392E3907106F1C2A529F0E4D5E8A550D3C5E0A7D11088F4E0A010C01",
            b => Frames.Write(b, new ParentWelcome(1, "9.9", new LinkSequence(Guid1, 9999), true, true)));
        Golden("0303106F1C2A529F0E4D5E8A550D3C5E0A7D110504706F6473070B64656661756C742F7765620A070C020E0510091308EFCDAB89674523011403" + "1703616263",
            b => new BodyHead(Guid1, "pods", "default/web", "", 7, BodyEncoding.Delta, 5, 9, 0x0123456789ABCDEF, 3).Write(b, FrameType.Item, "abc"u8, out _));
        Golden("0B0307FF6E6F64652D310505" + "6E6F646573090673746174757" + "30A05100213080100000000000000140217027B7D",
            b => new BodyHead("node-1", "nodes", "", "status", 5, BodyEncoding.Plain, 0, 2, 1, 2).Write(b, FrameType.Outcome, "{}"u8, out _));
        Golden("04030178", b => Frames.WriteChunk(b, "x"u8, out _));
        Golden("050303FF75310401", b => Frames.WriteDrop(b, "u1", true));
        Golden("06022A04020708FF00000000000000", b => Frames.WriteCommit(b, 42, new SetDigest(2, 255)));
        Golden("06", b => Frames.WriteCommit(b, 0, default));
        Golden("050303FF75310614", b => Frames.WriteDrop(b, "u1", false, 20));
        int from = 0;
        Golden("070703FF753102030401", b => Frames.WriteApplied(b, FrameType.Applied, 3, true, ["u1"], ref from));
        Golden("08020804AB010601", b => Frames.WriteRangeQuery(b, new IdRange(0xABUL << 56, 8), true));
        SetDigest[] parts = new SetDigest[16];
        parts[3] = new SetDigest(2, 9);
        Golden("09060408020B080900000000000000", b => Frames.WriteRangeSplit(b, default, parts));
        from = 0;
        Golden("0A0703FF75310809", b => Frames.WriteRangeList(b, default, [new ItemVersion("u1", 9)], ref from));
        Golden("0C", b => Frames.WriteOutcomesEnd(b));
        Golden("0E0303FF75310504706F64730703642F7808050A01", b => Frames.WriteOrphan(b, new HeldItem("pods", "d/x", "u1", 5, true), true));
        Golden("11020A", b => Frames.WriteBye(b, LinkError.Superseded));
    }

    [Fact]
    public void Frames_read_back_what_was_written()
    {
        byte[] buffer = new byte[LinkLimits.MaxFrameBytes];
        SiteHello hello = new(1, 2, "1.2.3", new LinkSequence(Guid1, long.MaxValue), new SetDigest(3, ulong.MaxValue), 4, true);
        Assert.True(Frames.TryRead(buffer.AsSpan(0, Frames.Write(buffer, hello)), out SiteHello readHello));
        Assert.Equal(hello, readHello);
        foreach (string uid in new[] { Guid1, Guid1.ToUpperInvariant(), "a", "fifteen-letters", "sixteen-letters-", new string('é', 128) })
        {
            BodyHead head = new(uid, "pods", "default/ü", "op", 7, BodyEncoding.Delta, 5, 9, 77, 3);
            int length = head.Write(buffer, FrameType.Item, "abc"u8, out int taken);
            Assert.Equal(3, taken);
            Assert.True(BodyHead.TryRead(buffer.AsSpan(0, length), out BodyHead read, out ReadOnlySpan<byte> first));
            Assert.Equal(head, read);
            Assert.Equal("abc"u8, first);
        }
    }

    [Fact]
    public void Unknown_fields_are_skipped()
    {
        byte[] frame = [(byte)FrameType.Commit, 2, 42, 4, 2, 7, 8, 255, 0, 0, 0, 0, 0, 0, 0, 60, 9, 63, 2, 1, 2];
        Assert.True(Frames.TryReadCommit(frame, out long revision, out SetDigest digest));
        Assert.Equal((42, new SetDigest(2, 255)), (revision, digest));
    }

    /// <summary>What an agent or a parent of the next version may say beyond what this one knows: read, and ignored.</summary>
    [Fact]
    public void A_newer_side_with_more_fields_and_versions_is_understood()
    {
        byte[] more = Convert.FromHexString("7C09" + "7F03010203");
        Assert.True(Frames.TryRead((byte[])[.. Convert.FromHexString("01020104030705322E302E3009106F1C2A529F0E4D5E8A550D3C5E0A7D110AAC02"), .. more], out SiteHello hello));
        Assert.Equal((1, 3, "2.0.0", 300L), (hello.OldestVersion, hello.NewestVersion, hello.Software, hello.Sequence.Revision));
        Assert.True(Frames.TryRead((byte[])[.. Convert.FromHexString("0202010503392E3907106F1C2A529F0E4D5E8A550D3C5E0A7D11088F4E"), .. more], out ParentWelcome welcome));
        Assert.Equal((1, 9999L), (welcome.Version, welcome.Sequence.Revision));
    }

    [Fact]
    public void Readers_survive_any_bytes()
    {
        Random random = new(11);
        byte[] frame = new byte[64];
        for (int i = 0; i < 100_000; i++)
        {
            random.NextBytes(frame);
            ReadOnlySpan<byte> some = frame.AsSpan(0, 1 + random.Next(63));
            Frames.TryRead(some, out SiteHello _);
            Frames.TryRead(some, out ParentWelcome _);
            BodyHead.TryRead(some, out _, out _);
            Frames.TryReadDrop(some, out _, out _, out _);
            Frames.TryReadApplied(some, [], out _, out _, out _);
            Frames.TryReadRangeQuery(some, out _, out _);
            Frames.TryReadRangeSplit(some, new SetDigest[16], out _);
            Frames.TryReadRangeList(some, [], out _, out _);
            Frames.TryReadOrphan(some, out _, out _);
            Frames.ReadBye(some);
        }
    }

    [Fact]
    public void A_delta_gives_back_the_exact_bytes_or_nothing()
    {
        Random random = new(5);
        for (int i = 0; i < 3000; i++)
        {
            byte[] from = new byte[random.Next(3000)];
            random.NextBytes(from);
            List<byte> changed = [.. from];
            for (int edits = random.Next(5); edits > 0 && changed.Count > 0; edits--)
            {
                int at = random.Next(changed.Count);
                if (random.Next(2) == 0)
                    changed.InsertRange(at, Encoding.UTF8.GetBytes($"edit {random.Next()}"));
                else
                    changed.RemoveRange(at, Math.Min(random.Next(50), changed.Count - at));
            }
            byte[] to = [.. changed];
            if (Delta.Make(from, to, to.Length / 2) is not { } delta)
                continue;
            Assert.Equal(to, Delta.Apply(from, delta, to.Length));
            delta[random.Next(delta.Length)] ^= (byte)(1 + random.Next(255));
            // Damaged: anything but a crash; the hash of the body tells.
            Delta.Apply(from, delta, to.Length);
        }
    }

    private static void Golden(string hex, Writer write)
    {
        byte[] buffer = new byte[LinkLimits.MaxFrameBytes];
        Assert.Equal(hex, Convert.ToHexString(buffer, 0, write(buffer)));
    }
}
