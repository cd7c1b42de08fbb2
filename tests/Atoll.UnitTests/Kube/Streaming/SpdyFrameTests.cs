using System.Buffers;
using Atoll.Kube.Streaming.Spdy;
using CsCheck;
using ICSharpCode.SharpZipLib.Zip.Compression;

namespace Atoll.UnitTests.Kube.Streaming;

/// <summary>Frames and header blocks: what is written is read back, however the bytes are cut, and no input does harm.</summary>
public sealed class SpdyFrameTests
{
    [Fact]
    public void Every_frame_is_read_back_however_it_is_cut() =>
        Gen.Select(Frames.Array[1, 12], Gen.Int[1, 70]).Each(1000, (written, step) =>
        {
            byte[] wire = [.. written.SelectMany(w => w.Wire)];
            List<Seen> read = Decode(wire, step, out string error);
            Assert.Equal("", error);
            Assert.Equal(written.Select(w => w.Frame.ToString()), read.Select(r => r.ToString()));
        });

    [Fact]
    public void Noise_is_refused_or_read_and_never_harms() =>
        Gen.Select(Gen.Byte.Array[0, 400], Gen.Int[1, 50]).Each(1000, (noise, step) => Assert.True(Decode(noise, step, out _).Count <= noise.Length));

    [Fact]
    public void A_valid_frame_with_a_flipped_byte_is_refused_or_read() =>
        Gen.Select(Frames, Gen.Int[0, 1000], Gen.Byte).Each(1000, (frame, at, value) =>
        {
            byte[] wire = [.. frame.Wire];
            wire[at % wire.Length] = value;
            Decode(wire, 7, out _);
        });

    [Theory]
    [InlineData("80020001000000000000", "version 2")]
    [InlineData("800300010000000400000001", "SynStream frame of 4 bytes")]
    [InlineData("8003000601000005000000000000", "Ping frame of 5 bytes")]
    [InlineData("0000000000000001ff", "data on stream 0")]
    [InlineData("8003000300000008000000000000000000", "RstStream on stream 0")]
    [InlineData("800300010000ffffff00", "control frame of 65535 bytes")]
    [InlineData("800300040000000400000002", "SETTINGS of 2 entries in 0 bytes")]
    public void A_broken_frame_is_named(string hex, string error)
    {
        if (hex.Length % 2 != 0)
            hex += "0";
        Decode(Convert.FromHexString(hex), 100, out string found);
        Assert.Contains(error, found, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_control_frame_is_skipped()
    {
        byte[] unknown = Convert.FromHexString("8003007700000003aabbcc");
        List<Seen> read = Decode([.. unknown, .. SpdyFrameEncoder.Ping(5)], 3, out string error);
        Assert.Equal("", error);
        Assert.Equal(SpdyFrameType.Ping, Assert.Single(read).Type);
    }

    [Fact]
    public void The_golden_bytes_of_each_frame_stay()
    {
        Assert.Equal("800300060000000400000009", Convert.ToHexString(SpdyFrameEncoder.Ping(9)), ignoreCase: true);
        Assert.Equal("80030003000000080000000500000003", Convert.ToHexString(SpdyFrameEncoder.Words(SpdyFrameType.RstStream, 5, 3)), ignoreCase: true);
        Assert.Equal("800300040000000c000000010000000700040000", Convert.ToHexString(SpdyFrameEncoder.InitialWindow(0x40000)), ignoreCase: true);
        Assert.Equal("8003000201000006000000010102", Convert.ToHexString(SpdyFrameEncoder.Block(SpdyFrameType.SynReply, 1, [1, 2], fin: true)), ignoreCase: true);
        Assert.Equal("800300010300000b00000003000000000000ff", Convert.ToHexString(SpdyFrameEncoder.SynStream(3, [0xff], fin: true, unidirectional: true)), ignoreCase: true);
    }

    [Fact]
    public void The_dictionary_is_the_one_of_the_draft()
    {
        uint a = 1, b = 0;
        foreach (byte value in SpdyDictionary.Bytes)
        {
            a = (a + value) % 65521;
            b = (b + a) % 65521;
        }
        Assert.Equal((1423, SpdyDictionary.Id), (SpdyDictionary.Bytes.Length, b << 16 | a));
    }

    [Fact]
    public void Headers_are_read_back() =>
        Gen.Dictionary(Gen.String[Gen.Char['a', 'z'], 1, 20], Gen.String[0, 300])[0, 20].Array[1, 5].Each(200, blocks =>
        {
            var writer = new SpdyHeaderWriter();
            var reader = new SpdyHeaderReader();
            foreach (Dictionary<string, string> block in blocks)
            {
                Dictionary<string, string> clean = block.ToDictionary(p => p.Key, p => new string([.. p.Value.Where(c => c != 0 && !char.IsSurrogate(c))]));
                Assert.True(reader.TryRead(new ReadOnlySequence<byte>(writer.Write(clean)), out Dictionary<string, string>? read, out string error), error);
                Assert.Equal(clean.OrderBy(p => p.Key, StringComparer.Ordinal), read.OrderBy(p => p.Key, StringComparer.Ordinal));
            }
        });

    [Fact]
    public void Headers_compressed_with_the_dictionary_are_read()
    {
        var deflater = new Deflater(9);
        deflater.SetDictionary(SpdyDictionary.Bytes);
        var reader = new SpdyHeaderReader();
        foreach (string type in new[] { "error", "stdin", "stdout" })
        {
            // One pair, "streamtype" and its value, as Kubernetes' clients send it.
            using var plain = new MemoryStream();
            plain.Write([0, 0, 0, 1, 0, 0, 0, 10]);
            plain.Write("streamtype"u8);
            plain.Write([0, 0, 0, (byte)type.Length]);
            plain.Write(System.Text.Encoding.ASCII.GetBytes(type));
            deflater.SetInput(plain.ToArray());
            deflater.Flush();
            byte[] block = new byte[1000];
            int length = deflater.Deflate(block);
            Assert.True(reader.TryRead(new ReadOnlySequence<byte>(block, 0, length), out Dictionary<string, string>? read, out string error), error);
            Assert.Equal(type, read["streamType"]);
        }
    }

    [Fact]
    public void A_header_block_that_expands_too_far_is_refused()
    {
        var deflater = new Deflater(9);
        deflater.SetDictionary(SpdyDictionary.Bytes);
        deflater.SetInput(new byte[SpdyLimits.HeaderBlockBytes * 4]);
        deflater.Flush();
        byte[] block = new byte[SpdyLimits.ControlFrameBytes];
        int length = deflater.Deflate(block);
        Assert.False(new SpdyHeaderReader().TryRead(new ReadOnlySequence<byte>(block, 0, length), out _, out string error));
        Assert.Contains("expands", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Header_noise_is_refused() =>
        Gen.Select(Gen.Byte.Array[0, 200], Gen.Bool).Each(1000, (noise, started) =>
        {
            byte[] block = started ? [.. new SpdyHeaderWriter().Write(new Dictionary<string, string>()).AsSpan(0, 6), .. noise] : noise;
            _ = new SpdyHeaderReader().TryRead(new ReadOnlySequence<byte>(block), out _, out _);
        });

    private static Gen<(byte[] Wire, Seen Frame)> Frames { get; } = Gen.OneOf(
        Gen.Select(Gen.UInt[1, int.MaxValue], Gen.Byte.Array[0, 300], Gen.Bool, (stream, data, fin) =>
        {
            byte[] wire = new byte[8 + data.Length];
            SpdyFrameEncoder.DataHead(wire, stream, data.Length, fin);
            data.CopyTo(wire, 8);
            return (wire, new Seen(SpdyFrameType.Data, stream, 0, fin, Convert.ToHexString(data)));
        }),
        Gen.Select(Gen.UInt[1, int.MaxValue], Gen.Byte.Array[0, 100], Gen.Bool, (stream, block, fin) => (SpdyFrameEncoder.SynStream(stream, block, fin, false), new Seen(SpdyFrameType.SynStream, stream, 0, fin, Convert.ToHexString(block)))),
        Gen.Select(Gen.UInt[1, int.MaxValue], Gen.Byte.Array[0, 100], Gen.Bool, (stream, block, fin) => (SpdyFrameEncoder.Block(SpdyFrameType.SynReply, stream, block, fin), new Seen(SpdyFrameType.SynReply, stream, 0, fin, Convert.ToHexString(block)))),
        Gen.Select(Gen.UInt[1, int.MaxValue], Gen.UInt, (stream, status) => (SpdyFrameEncoder.Words(SpdyFrameType.RstStream, stream, status), new Seen(SpdyFrameType.RstStream, stream, status, false, ""))),
        Gen.Select(Gen.UInt[0, int.MaxValue], Gen.UInt[0, int.MaxValue], (stream, delta) => (SpdyFrameEncoder.Words(SpdyFrameType.WindowUpdate, stream, delta), new Seen(SpdyFrameType.WindowUpdate, stream, delta, false, ""))),
        Gen.UInt.Select(id => (SpdyFrameEncoder.Ping(id), new Seen(SpdyFrameType.Ping, 0, id, false, ""))),
        Gen.UInt.Select(window => (SpdyFrameEncoder.InitialWindow(window), new Seen(SpdyFrameType.Settings, 0, 0, false, $"00000007{window:X8}"))));

    /// <summary>Feeds the decoder <paramref name="step"/> bytes at a time and joins the pieces of data frames.</summary>
    private static List<Seen> Decode(byte[] wire, int step, out string error)
    {
        var decoder = new SpdyFrameDecoder();
        var seen = new List<Seen>();
        byte[] held = [];
        string partial = "";
        error = "";
        for (int at = 0; at < wire.Length; at += step)
        {
            var input = new ReadOnlySequence<byte>([.. held, .. wire.AsSpan(at, Math.Min(step, wire.Length - at))]);
            SpdyDecode outcome;
            while ((outcome = decoder.TryRead(ref input, out SpdyFrame frame)) == SpdyDecode.Frame)
            {
                string payload = Convert.ToHexString(frame.Payload.ToArray());
                bool sameData = frame.Type == SpdyFrameType.Data && partial.Length > 0;
                if (sameData)
                    seen[^1] = seen[^1] with { Fin = frame.Fin, Payload = seen[^1].Payload + payload };
                else
                    seen.Add(new Seen(frame.Type, frame.StreamId, frame.Value, frame.Fin, payload));
                partial = frame.Type == SpdyFrameType.Data && decoder.IsInsideData ? "data" : "";
            }
            if (outcome == SpdyDecode.Invalid)
            {
                error = decoder.Error;
                return seen;
            }
            held = input.ToArray();
        }
        return seen;
    }

    private sealed record Seen(SpdyFrameType Type, uint StreamId, uint Value, bool Fin, string Payload);
}
