using System.Security.Cryptography;
using Atoll.Edge.Native;

namespace Atoll.Edge.Content;

/// <content>Downloading one blob: resumed, checked, tried again.</content>
public sealed partial class ImageStore
{
    private const int BufferBytes = 64 * 1024;

    /// <summary>Fetches a blob into a file that holds exactly its bytes, going on where an earlier try (of an earlier process, too) stopped.</summary>
    private async Task<string> DownloadAsync(IImageSource source, ImageDescriptor blob, CancellationToken cancellation)
    {
        if (!ImageReference.IsDigest(blob.Digest)) throw new ImageSourceException($"\"{blob.Digest}\" is no digest that is supported (sha256)", transient: false);
        if (blob.Size is < 0 || blob.Size > options.MaxLayerBytes) throw new ImageSourceException($"the layer {blob.Digest} of {blob.Size} bytes is larger than the limit of {options.MaxLayerBytes}", transient: false);
        var path = Path.Join(Blobs, blob.Digest[7..]);
        var corrupt = false;
        for (var attempt = 1; ; attempt++)
        {
            var before = File.Exists(path) ? new FileInfo(path).Length : 0;
            try
            {
                await FetchAsync(source, blob, path, cancellation).ConfigureAwait(false);
                return path;
            }
            catch (InvalidDataException) when (!corrupt)
            {
                // Wrong bytes: a proxy's or disk's fault is cured by fetching all again, once; a registry's is not.
                corrupt = true;
                File.Delete(path);
            }
            catch (Exception e) when (e is IOException or HttpRequestException or ImageSourceException { Transient: true } && attempt < options.DownloadTries)
            {
                // A try that got further does not count against a weak line.
                if (File.Exists(path) && new FileInfo(path).Length > before) attempt = 0;
                await Task.Delay(options.RetryDelay * Math.Pow(2, Math.Max(0, attempt - 1)), time, cancellation).ConfigureAwait(false);
            }
        }
    }

    private async Task FetchAsync(IImageSource source, ImageDescriptor blob, string path, CancellationToken cancellation)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite);
        var length = RandomAccess.GetLength(file);
        if (length > blob.Size) throw new InvalidDataException($"the layer {blob.Digest} is longer than its {blob.Size} bytes");
        var buffer = new byte[BufferBytes];
        for (long offset = 0; offset < length;)
        {
            var n = RandomAccess.Read(file, buffer, offset);
            hash.AppendData(buffer, 0, n);
            offset += n;
        }
        if (length < blob.Size) await ReceiveAsync(source, blob, file, length, hash, buffer, cancellation).ConfigureAwait(false);
        var digest = "sha256:" + Convert.ToHexStringLower(hash.GetHashAndReset());
        if (digest != blob.Digest)
        {
            RandomAccess.SetLength(file, 0);
            throw new InvalidDataException($"the layer's digest is {digest}, not {blob.Digest}");
        }
    }

    private async Task ReceiveAsync(IImageSource source, ImageDescriptor blob, Microsoft.Win32.SafeHandles.SafeFileHandle file, long offset, IncrementalHash hash, byte[] buffer, CancellationToken cancellation)
    {
        await using var stream = await source.BlobAsync(blob.Digest, offset, cancellation).ConfigureAwait(false);
        if (stream.Offset != offset)
        {
            // The registry has no ranges: begin again.
            RandomAccess.SetLength(file, 0);
            hash.GetHashAndReset();
            offset = 0;
        }
        while (true)
        {
            int n;
            using (var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation))
            using (time.CreateTimer(_ => silence.Cancel(), null, options.ReadTimeout, Timeout.InfiniteTimeSpan))
                try
                {
                    n = await stream.Content.ReadAsync(buffer, silence.Token).ConfigureAwait(false);
                }
                catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
                {
                    throw new IOException($"the registry sent nothing for {options.ReadTimeout.TotalSeconds:0} s");
                }
            if (n == 0) break;
            if (offset + n > blob.Size) throw new InvalidDataException($"the layer {blob.Digest} is longer than its {blob.Size} bytes");
            RandomAccess.Write(file, buffer.AsSpan(0, n), offset);
            hash.AppendData(buffer, 0, n);
            offset += n;
        }
        if (offset < blob.Size) throw new IOException($"the layer {blob.Digest} ended after {offset} of {blob.Size} bytes");
    }

    /// <summary>A small document is asked for twice: one lost packet fails no pull, and a registry that is away is told of soon; the pod's own back-off does the rest.</summary>
    private async Task<T> TwiceAsync<T>(Func<Task<T>> work, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
            try
            {
                return await work().ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or HttpRequestException or ImageSourceException { Transient: true } && attempt < 2)
            {
                await Task.Delay(options.RetryDelay, time, cancellation).ConfigureAwait(false);
            }
    }
}
