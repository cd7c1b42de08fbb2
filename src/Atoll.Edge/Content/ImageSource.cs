using System.Security.Cryptography;

namespace Atoll.Edge.Content;

/// <summary>A place that images come from. Bytes are untrusted: the caller checks every digest.</summary>
internal interface IImageSource
{
    /// <summary>A manifest or index by tag or digest.</summary>
    Task<byte[]> ManifestAsync(string tagOrDigest, CancellationToken cancellation);

    /// <summary>A blob from an offset on. The source may begin at 0 instead, and says so.</summary>
    Task<BlobStream> BlobAsync(string digest, long offset, CancellationToken cancellation);
}

/// <summary>A blob's bytes and where they begin.</summary>
internal sealed record BlobStream(Stream Content, long Offset, IDisposable? Owner) : IAsyncDisposable
{
    public async ValueTask DisposeAsync()
    {
        await Content.DisposeAsync().ConfigureAwait(false);
        Owner?.Dispose();
    }
}

/// <summary>Why a source does not give what it was asked for; <see cref="Transient"/> ones are worth another try.</summary>
internal sealed class ImageSourceException(string message, bool transient) : Exception(message)
{
    internal bool Transient { get; } = transient;
}

/// <summary>An OCI image layout folder (opencontainers/image-spec, image-layout).</summary>
internal sealed class LayoutSource(string folder) : IImageSource
{
    internal const int MaxManifestBytes = 4 * 1024 * 1024;
    private const string RefName = "org.opencontainers.image.ref.name";

    public async Task<byte[]> ManifestAsync(string tagOrDigest, CancellationToken cancellation)
    {
        if (ImageReference.IsDigest(tagOrDigest)) return await ReadAsync(BlobPath(tagOrDigest), cancellation).ConfigureAwait(false);
        var index = ImageManifest.Parse(await ReadAsync(Path.Join(folder, "index.json"), cancellation).ConfigureAwait(false));
        var named = index.Manifests.Where(m => m.Annotations.GetValueOrDefault(RefName) == tagOrDigest).ToList();
        // A layout with one image needs no name for it.
        if (named.Count == 0 && tagOrDigest == "latest" && index.Manifests.Count == 1) named = [index.Manifests[0]];
        if (named.Count == 0) throw new ImageSourceException($"the OCI layout {folder} has no image named \"{tagOrDigest}\"", transient: false);
        return await ReadAsync(BlobPath(named[0].Digest), cancellation).ConfigureAwait(false);
    }

    public Task<BlobStream> BlobAsync(string digest, long offset, CancellationToken cancellation)
    {
        try
        {
            var file = new FileStream(BlobPath(digest), FileMode.Open, FileAccess.Read, FileShare.Read, 0, useAsync: false);
            file.Position = Math.Min(offset, file.Length);
            return Task.FromResult(new BlobStream(file, file.Position, null));
        }
        catch (IOException e)
        {
            throw new ImageSourceException(e.Message, transient: false);
        }
    }

    private string BlobPath(string digest) => ImageReference.IsDigest(digest)
        ? Path.Join(folder, "blobs", "sha256", digest[7..])
        : throw new ImageSourceException($"\"{digest}\" is no digest that is supported (sha256)", transient: false);

    private static async Task<byte[]> ReadAsync(string path, CancellationToken cancellation)
    {
        var file = new FileInfo(path);
        if (!file.Exists) throw new ImageSourceException($"{path} does not exist", transient: false);
        if (file.Length > MaxManifestBytes) throw new ImageSourceException($"{path} is larger than {MaxManifestBytes} bytes", transient: false);
        return await File.ReadAllBytesAsync(path, cancellation).ConfigureAwait(false);
    }
}

/// <summary>Digests in OCI's notation.</summary>
internal static class Digests
{
    internal static string Of(ReadOnlySpan<byte> bytes) => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(bytes));
}
