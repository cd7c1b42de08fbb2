using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json;
using Atoll.Edge.Native;

namespace Atoll.Edge.Content;

/// <content>Pulling: name → manifest of this platform → configuration → missing layers → index.</content>
public sealed partial class ImageStore
{
    /// <summary>The overlay file system's own limit is 500 lower folders; image builders stop at 127.</summary>
    private const int MaxLayers = 256;

    private const int MaxIndexDepth = 3;

    /// <summary>High half of the HResult of exceptions that .NET or we make, not the system.</summary>
    private const uint ManagedError = 0x8013;
    private readonly ConcurrentDictionary<string, long> outOfReach = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SharedWork<ImagePull>> pulls = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SharedWork<bool>> layerWork = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public async Task<ImagePull> PullAsync(string reference, ImageCredential? credential, CancellationToken cancellation)
    {
        if (ImageReference.Parse(reference) is not { } parsed) return new ImagePull(null, "InvalidImageName", $"couldn't parse image name \"{reference}\": invalid reference format");
        if (parsed.Digest is not null && await FindAsync(parsed.Canonical, cancellation).ConfigureAwait(false) is { } here) return new ImagePull(here, null, null);
        // Pulls with different accounts do not share: one account's right to an image is not another's.
        var key = parsed.Canonical + "\n" + credential?.Username + "\n" + (credential is null ? "" : Digests.Of(System.Text.Encoding.UTF8.GetBytes(credential.Password)));
        return await SharedWork<ImagePull>.RunAsync(pulls, key, token => PullOneAsync(parsed, credential, token), cancellation).ConfigureAwait(false);
    }

    private async Task<ImagePull> PullOneAsync(ImageReference reference, ImageCredential? credential, CancellationToken cancellation)
    {
        var held = new List<string>();
        try
        {
            IImageSource source = reference.LayoutPath is { } folder ? new LayoutSource(folder) : new RegistrySource(http, options, reference, credential);
            var (digest, manifest, architectures) = await ResolveInTimeAsync(source, reference, cancellation).ConfigureAwait(false);
            if (Refresh(reference, digest) is { } same) return new ImagePull(same, null, null);
            var config = await ConfigAsync(source, manifest, cancellation).ConfigureAwait(false);
            if (architectures.Count == 0 && config.Architecture is { Length: > 0 } only)
            {
                architectures = [only];
                if (only != OwnArchitecture) Unsuitable(reference, architectures);
                if (only != OwnArchitecture) throw new ImageSourceException($"no match for platform linux/{OwnArchitecture}: the image is for {only}", transient: false);
            }
            Hold(config.Rootfs!.DiffIds, held);
            await Task.WhenAll(manifest.Layers.Select((layer, i) => EnsureLayerAsync(source, layer, config.Rootfs.DiffIds[i], cancellation))).ConfigureAwait(false);
            return new ImagePull(Remember(reference, digest, config, architectures), null, null);
        }
        catch (Exception e) when (e is ImageSourceException or InvalidDataException or IOException or System.ComponentModel.Win32Exception or HttpRequestException or JsonException or UnauthorizedAccessException)
        {
            return new ImagePull(null, reference.LayoutPath is null && IsOutage(e) ? "RegistryUnavailable" : "ErrImagePull", $"failed to pull image \"{reference.Canonical}\": {e.Message}");
        }
        finally
        {
            Release(held);
        }
    }

    /// <summary>
    /// Trouble of the line or the registry that passes, as against an answer. A failure to write here (a full disk) is an
    /// IOException too: it carries the system's error number, where the line's wrap a socket's or are the runtime's own.
    /// </summary>
    private static bool IsOutage(Exception e) => e switch
    {
        ImageSourceException source => source.Transient,
        HttpRequestException or EndOfStreamException => true,
        IOException io => io.InnerException is System.Net.Sockets.SocketException || (uint)io.HResult >> 16 == ManagedError,
        _ => false,
    };

    /// <summary>With an image of that name here the registry gets little time, and none for a while after it gave no answer.</summary>
    private async Task<(string Digest, ImageManifest Manifest, IReadOnlyList<string> Architectures)> ResolveInTimeAsync(IImageSource source, ImageReference reference, CancellationToken cancellation)
    {
        bool here;
        lock (gate) here = Find(reference.Canonical) is not null;
        if (reference.LayoutPath is not null || !here) return await ResolveAsync(source, reference, cancellation).ConfigureAwait(false);
        if (outOfReach.TryGetValue(reference.Registry, out var since) && time.GetElapsedTime(since) < options.OutOfReachMemory) throw new ImageSourceException($"{reference.Registry} did not answer a moment ago", transient: true);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var timer = time.CreateTimer(_ => patience.Cancel(), null, options.RefreshPatience, Timeout.InfiniteTimeSpan);
        try
        {
            var resolved = await ResolveAsync(source, reference, patience.Token).ConfigureAwait(false);
            outOfReach.TryRemove(reference.Registry, out _);
            return resolved;
        }
        catch (Exception e) when (e is OperationCanceledException && !cancellation.IsCancellationRequested || IsOutage(e))
        {
            outOfReach[reference.Registry] = time.GetTimestamp();
            throw e is ImageSourceException ? e : new ImageSourceException($"{reference.Registry} does not answer", transient: true);
        }
    }

    /// <summary>The image that the name already means here: nothing to fetch.</summary>
    private ImageInfo? Refresh(ImageReference reference, string digest)
    {
        lock (gate)
            return images.TryGetValue(digest, out var image) && image.References.Contains(reference.Canonical) ? Info(images[digest] = image with { UsedAt = time.GetUtcNow() }) : null;
    }

    /// <summary>Follows an index to the manifest of this platform. Whatever is named by digest is checked against it.</summary>
    private async Task<(string Digest, ImageManifest Manifest, IReadOnlyList<string> Architectures)> ResolveAsync(IImageSource source, ImageReference reference, CancellationToken cancellation)
    {
        var name = reference.Digest ?? reference.Tag!;
        List<string> architectures = [];
        for (var depth = 0; depth < MaxIndexDepth; depth++)
        {
            var bytes = await TwiceAsync(() => source.ManifestAsync(name, cancellation), cancellation).ConfigureAwait(false);
            var digest = Digests.Of(bytes);
            if (ImageReference.IsDigest(name) && digest != name) throw new ImageSourceException($"the manifest's digest is {digest}, not {name}", transient: false);
            var manifest = ImageManifest.Parse(bytes);
            if (manifest.Manifests.Count == 0)
            {
                if (manifest.Config is null || manifest.Layers.Count is 0 or > MaxLayers) throw new ImageSourceException($"the manifest is no image of 1 to {MaxLayers} layers", transient: false);
                return (digest, manifest, architectures);
            }
            var architecture = OwnArchitecture;
            architectures = [.. manifest.Manifests.Where(m => m.Platform?.Os == "linux").Select(m => m.Platform!.Architecture ?? "").Where(a => a.Length > 0).Distinct().Order(StringComparer.Ordinal)];
            if (architectures.Count > 0 && !architectures.Contains(architecture)) Unsuitable(reference, architectures);
            var match = manifest.Manifests.FirstOrDefault(m => m.Platform is { Os: "linux" } p && p.Architecture == architecture)
                // An entry without a platform is an index of one image that suits any.
                ?? manifest.Manifests.FirstOrDefault(m => m.Platform is null && manifest.Manifests.Count == 1)
                ?? throw new ImageSourceException($"no match for platform linux/{architecture} in the index", transient: false);
            name = ImageReference.IsDigest(match.Digest) ? match.Digest : throw new ImageSourceException($"\"{match.Digest}\" is no digest that is supported (sha256)", transient: false);
        }
        throw new ImageSourceException("indexes are nested too deep", transient: false);
    }

    private async Task<ImageDocument> ConfigAsync(IImageSource source, ImageManifest manifest, CancellationToken cancellation)
    {
        var descriptor = manifest.Config!;
        if (!ImageReference.IsDigest(descriptor.Digest) || descriptor.Size is < 0 or > LayoutSource.MaxManifestBytes) throw new ImageSourceException("the image's configuration has no usable digest or size", transient: false);
        var bytes = await TwiceAsync(async () =>
        {
            await using var blob = await source.BlobAsync(descriptor.Digest, 0, cancellation).ConfigureAwait(false);
            var content = new byte[descriptor.Size];
            await blob.Content.ReadExactlyAsync(content, cancellation).ConfigureAwait(false);
            return content;
        }, cancellation).ConfigureAwait(false);
        if (Digests.Of(bytes) != descriptor.Digest) throw new ImageSourceException($"the image's configuration does not have the digest {descriptor.Digest}", transient: false);
        var config = JsonSerializer.Deserialize(bytes, ManifestJson.Default.ImageDocument);
        if (config?.Rootfs?.DiffIds.Count != manifest.Layers.Count || !config.Rootfs.DiffIds.All(ImageReference.IsDigest))
            throw new ImageSourceException("the image's configuration does not name each of its layers", transient: false);
        return config;
    }

    private async Task EnsureLayerAsync(IImageSource source, ImageDescriptor layer, string diffId, CancellationToken cancellation)
    {
        lock (gate)
            if (layerBytes.ContainsKey(diffId))
                return;
        await SharedWork<bool>.RunAsync(layerWork, diffId, async token =>
        {
            await downloads.WaitAsync(token).ConfigureAwait(false);
            try
            {
                lock (gate)
                    if (layerBytes.ContainsKey(diffId))
                        return true;
                var blob = await DownloadAsync(source, layer, token).ConfigureAwait(false);
                await UnpackAsync(blob, diffId, token).ConfigureAwait(false);
                File.Delete(blob);
                return true;
            }
            finally
            {
                downloads.Release();
            }
        }, cancellation).ConfigureAwait(false);
    }

    private async Task UnpackAsync(string blob, string diffId, CancellationToken cancellation)
    {
        var folder = Path.Join(Unpacking, diffId[7..]);
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);
        File.SetUnixFileMode(folder, (UnixFileMode)0b111_101_101);
        try
        {
            UnpackedLayer unpacked;
            await using (var file = new FileStream(blob, FileMode.Open, FileAccess.Read, FileShare.Read, 64 * 1024, useAsync: false))
                unpacked = await new LayerUnpacker(folder, new LayerLimits(options.MaxUnpackedBytes, options.MaxLayerEntries)).UnpackAsync(file, diffId, cancellation).ConfigureAwait(false);
            Posix.SyncFileSystem(folder);
            lock (gate)
            {
                Directory.Move(folder, LayerFolder(diffId));
                Posix.SyncFolder(Layers);
                layerBytes[diffId] = unpacked.Bytes;
            }
        }
        catch
        {
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    private ImageInfo Remember(ImageReference reference, string digest, ImageDocument config, IReadOnlyList<string> architectures)
    {
        lock (gate)
        {
            // A tag that moved leaves its old image without that name.
            foreach (var other in images.Values.Where(i => i.Digest != digest && i.References.Contains(reference.Canonical)).ToList())
                images[other.Digest] = other with { References = [.. other.References.Where(r => r != reference.Canonical)] };
            var known = images.GetValueOrDefault(digest)?.References ?? [];
            var defaults = config.Config ?? new ImageDefaults();
            var image = new StoredImage
            {
                Digest = digest,
                References = known.Contains(reference.Canonical) ? known : [.. known, reference.Canonical],
                DiffIds = config.Rootfs!.DiffIds,
                UsedAt = time.GetUtcNow(),
                Architectures = architectures,
                Entrypoint = defaults.Entrypoint ?? [],
                Command = defaults.Cmd ?? [],
                Environment = defaults.Env ?? [],
                WorkingDirectory = defaults.WorkingDir ?? "",
                User = defaults.User ?? "",
                StopSignal = StopSignals.Parse(defaults.StopSignal),
            };
            images[digest] = image;
            unsuitable.Remove(reference.Canonical);
            Save();
            return Info(image);
        }
    }

    private void Hold(IReadOnlyList<string> layers, List<string> held)
    {
        lock (gate)
            foreach (var layer in layers)
            {
                layersInUse[layer] = layersInUse.GetValueOrDefault(layer) + 1;
                held.Add(layer);
            }
    }

    private void Release(List<string> held)
    {
        lock (gate)
            foreach (var layer in held)
                if (--layersInUse[layer] == 0)
                    layersInUse.Remove(layer);
    }
}
