using System.IO.Compression;
using System.Security.Cryptography;
using Atoll.Edge.Native;

namespace Atoll.Edge.Content;

/// <summary>What an unpacked layer takes: bytes on disk.</summary>
internal readonly record struct UnpackedLayer(long Bytes, long Entries);

/// <summary>
/// Unpacks one layer into a folder of its own, as an overlay's lower directory: whiteouts become 0:0 devices, opaque markers
/// an attribute. The archive is untrusted: links are followed only inside the folder, nothing is written through a link at
/// the end of a path, <c>..</c> is refused, and sizes and counts are bounded. Nobody else writes to the folder meanwhile.
/// </summary>
internal sealed class LayerUnpacker(string root, LayerLimits limits)
{
    private const string Whiteout = ".wh.";
    private const string Opaque = ".wh..wh..opq";
    private const uint CharDevice = 0x2000, BlockDevice = 0x6000, Fifo = 0x1000;
    private readonly byte[] buffer = new byte[64 * 1024];
    private readonly Dictionary<string, (long Seconds, long Nanoseconds)> folderTimes = new(StringComparer.Ordinal);
    private (string Name, string Path)? lastParent;
    private long bytes;
    private long entries;

    /// <summary>Unpacks a compressed (gzip, zstd) or plain archive and checks the digest of its plain form.</summary>
    internal async Task<UnpackedLayer> UnpackAsync(Stream compressed, string diffId, CancellationToken cancellation)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using var plain = await DecompressAsync(compressed, cancellation).ConfigureAwait(false);
        await using var counted = new HashingStream(plain, hash, limits.MaxUnpackedBytes);
        var tar = new LayerArchive(counted);
        while (await tar.NextAsync(cancellation).ConfigureAwait(false) is { } entry)
        {
            if (++entries > limits.MaxEntries) throw new InvalidDataException($"the layer has more than {limits.MaxEntries} entries");
            await AddAsync(tar, entry, cancellation).ConfigureAwait(false);
        }
        while (await counted.ReadAsync(buffer, cancellation).ConfigureAwait(false) > 0)
        {
            // The digest covers what follows the archive's end too.
        }
        var digest = "sha256:" + Convert.ToHexStringLower(hash.GetHashAndReset());
        if (digest != diffId) throw new InvalidDataException($"the unpacked layer's digest is {digest}, not {diffId}");
        // Deepest first is not needed: setting a folder's time does not touch its parent's.
        foreach (var (folder, time) in folderTimes)
            if (Directory.Exists(folder)) Posix.SetTime(folder, time.Seconds, time.Nanoseconds);
        return new UnpackedLayer(bytes, entries);
    }

    private static async Task<Stream> DecompressAsync(Stream stream, CancellationToken cancellation)
    {
        var magic = new byte[4];
        var read = await stream.ReadAtLeastAsync(magic, 4, throwOnEndOfStream: false, cancellation).ConfigureAwait(false);
        stream.Position -= read;
        if (read >= 2 && magic[0] == 0x1f && magic[1] == 0x8b) return new GZipStream(stream, CompressionMode.Decompress, leaveOpen: true);
        if (read == 4 && magic.AsSpan().SequenceEqual((ReadOnlySpan<byte>)[0x28, 0xb5, 0x2f, 0xfd]))
        {
            var zstd = new ZstdSharp.DecompressionStream(stream, leaveOpen: true);
            // Windows above 32 MiB would cost the agent its memory budget; the common compressors stay at or below 8 MiB.
            zstd.SetParameter(ZstdSharp.Unsafe.ZSTD_dParameter.ZSTD_d_windowLogMax, 25);
            return zstd;
        }
        return new BufferedStream(stream, 64 * 1024);
    }

    private async Task AddAsync(LayerArchive tar, LayerEntry entry, CancellationToken cancellation)
    {
        var parts = entry.Name.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(p => p != ".").ToArray();
        if (parts.Contains("..")) throw new InvalidDataException($"the layer's entry \"{entry.Name}\" leaves its folder");
        if (parts.Length == 0)
        {
            if (entry.Type == '5') Finish(root, entry, isFolder: true);
            return;
        }
        var name = parts[^1];
        var parent = Parent(string.Join('/', parts[..^1]));
        if (name.StartsWith(Whiteout, StringComparison.Ordinal))
        {
            Hide(parent, name);
            return;
        }
        var path = parent + "/" + name;
        Clear(path, entry.Type == '5');
        switch (entry.Type)
        {
            case '0':
                await WriteFileAsync(tar, path, cancellation).ConfigureAwait(false);
                break;
            case '1':
                // The target's owner, mode and times are its own.
                Posix.Link(LinkTarget(entry), path);
                return;
            case '2':
                if (entry.LinkName.Length == 0) throw new InvalidDataException($"the layer's link \"{entry.Name}\" has no target");
                File.CreateSymbolicLink(path, entry.LinkName);
                lastParent = null;
                break;
            case '3' or '4' or '6':
                // A 0:0 device of the archive would be a whiteout of ours.
                if (entry.Type == '3' && entry.Major == 0 && entry.Minor == 0) return;
                Posix.MakeNode(path, entry.Type switch { '3' => CharDevice, '4' => BlockDevice, _ => Fifo }, entry.Major, entry.Minor);
                break;
            case '5':
                Directory.CreateDirectory(path);
                break;
            default:
                throw new InvalidDataException($"the layer's entry \"{entry.Name}\" has the unknown type '{entry.Type}'");
        }
        Finish(path, entry, entry.Type == '5');
    }

    private string Parent(string name)
    {
        if (lastParent is { } last && last.Name == name) return last.Path;
        var path = RootedPath.Folder(root, name) ?? throw new InvalidDataException($"the layer's path \"{name}\" is no folder");
        lastParent = (name, path);
        return path;
    }

    private static void Hide(string parent, string name)
    {
        if (name == Opaque)
        {
            Posix.SetAttribute(parent, "trusted.overlay.opaque", "y"u8);
            return;
        }
        // Other names below .wh..wh. are notes of an old union file system.
        if (name.StartsWith(Whiteout + Whiteout, StringComparison.Ordinal)) return;
        var hidden = name[Whiteout.Length..];
        if (hidden.Length == 0 || hidden is "." or "..") throw new InvalidDataException($"the layer's whiteout \"{name}\" names nothing");
        var path = parent + "/" + hidden;
        // A layer that adds and hides one name in itself means the addition.
        if (!Exists(path)) Posix.MakeNode(path, CharDevice, 0, 0);
    }

    /// <summary>Makes way for an entry: a later entry of a name replaces an earlier one, a folder joins a folder.</summary>
    private void Clear(string path, bool folder)
    {
        if (!Exists(path)) return;
        var isFolder = new FileInfo(path).LinkTarget is null && Directory.Exists(path);
        if (isFolder && folder) return;
        lastParent = null;
        if (isFolder) Directory.Delete(path, recursive: true);
        else File.Delete(path);
    }

    private static bool Exists(string path) => Path.Exists(path) || new FileInfo(path).LinkTarget is not null;

    private string LinkTarget(LayerEntry entry)
    {
        if (entry.LinkName.Split('/').Contains("..")) throw new InvalidDataException($"the layer's link \"{entry.Name}\" leaves its folder");
        var target = RootedPath.Resolve(root, entry.LinkName, followLast: false);
        if (target is null || Directory.Exists(target) && new FileInfo(target).LinkTarget is null)
            throw new InvalidDataException($"the layer's link \"{entry.Name}\" leads to nothing that can be linked");
        return target;
    }

    private async Task WriteFileAsync(LayerArchive tar, string path, CancellationToken cancellation)
    {
        // CreateNew is O_EXCL: it never follows a link.
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        long offset = 0;
        while (await tar.ReadAsync(buffer, cancellation).ConfigureAwait(false) is > 0 and var n)
        {
            RandomAccess.Write(file, buffer.AsSpan(0, n), offset);
            offset += n;
        }
        bytes += (offset + 4095) / 4096 * 4096;
    }

    /// <summary>Owner before mode (a change of owner clears setuid), attributes after the owner (it clears capabilities), time last.</summary>
    private void Finish(string path, LayerEntry entry, bool isFolder)
    {
        Posix.ChangeOwner(path, entry.Uid, entry.Gid);
        if (entry.Type != '2') File.SetUnixFileMode(path, (UnixFileMode)entry.Mode);
        foreach (var (name, value) in entry.Attributes)
            // Never the overlay's own attributes: an image must not steer the mount that shows it.
            if (name.StartsWith("security.capability", StringComparison.Ordinal) || name.StartsWith("user.", StringComparison.Ordinal) && !name.StartsWith("user.overlay.", StringComparison.Ordinal))
                Posix.SetAttribute(path, name, value);
        if (isFolder) folderTimes[path] = (entry.Seconds, entry.Nanoseconds);
        else Posix.SetTime(path, entry.Seconds, entry.Nanoseconds);
    }

    /// <summary>Hashes what is read and stops at a limit (a small archive can unpack to any size).</summary>
    private sealed class HashingStream(Stream inner, IncrementalHash hash, long limit) : Stream
    {
        private long total;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> target, CancellationToken cancellationToken = default)
        {
            var n = await inner.ReadAsync(target, cancellationToken).ConfigureAwait(false);
            hash.AppendData(target.Span[..n]);
            total += n;
            return total <= limit ? n : throw new InvalidDataException($"the layer unpacks to more than {limit} bytes");
        }

        public override int Read(byte[] target, int offset, int count) => throw new NotSupportedException();

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] source, int offset, int count) => throw new NotSupportedException();
    }
}

/// <summary>How much one layer may hold.</summary>
internal sealed record LayerLimits(long MaxUnpackedBytes, long MaxEntries);
