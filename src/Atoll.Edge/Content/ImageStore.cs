using System.Text.Json;
using Atoll.Edge.Native;

namespace Atoll.Edge.Content;

/// <summary>
/// Images on local disk: layers unpacked once, by the digest of their plain archive, and shared by every image that has
/// them. Invariants: a layer's folder appears by rename after everything in it is on disk; the index names only layers that
/// are there; every byte was checked against a digest before it was unpacked. A download that was cut goes on where it
/// stopped, also after a restart. The store speaks to a network in <see cref="PullAsync"/> alone.
/// </summary>
public sealed partial class ImageStore : IImages, IDisposable
{
    private readonly ImageStoreOptions options;
    private readonly TimeProvider time;
    private readonly HttpClient http;
    private readonly SemaphoreSlim downloads;
    private readonly Lock gate = new();
    private readonly Dictionary<string, StoredImage> images = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> layerBytes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> layersInUse = new(StringComparer.Ordinal);

    /// <summary>Opens (or makes) the store in its folder; leftovers of an interrupted unpack go, partial downloads stay.</summary>
    public ImageStore(ImageStoreOptions options, TimeProvider time, HttpMessageHandler? handler = null)
    {
        (this.options, this.time) = (options, time);
        http = new HttpClient(handler ?? new SocketsHttpHandler { PooledConnectionIdleTimeout = TimeSpan.FromSeconds(10), ConnectTimeout = TimeSpan.FromSeconds(10) }) { Timeout = options.ReadTimeout };
        downloads = new SemaphoreSlim(options.ParallelDownloads);
        foreach (var folder in (string[])[options.Folder, Layers, Blobs]) AtomicFile.CreateFolder(folder);
        if (Directory.Exists(Unpacking)) Directory.Delete(Unpacking, recursive: true);
        AtomicFile.CreateFolder(Unpacking);
        Load();
    }

    private string Layers => Path.Join(options.Folder, "layers");

    private string Blobs => Path.Join(options.Folder, "blobs");

    private string Unpacking => Path.Join(options.Folder, "unpacking");

    private string IndexFile => Path.Join(options.Folder, "index.json");

    /// <inheritdoc/>
    public Task<ImageInfo?> FindAsync(string reference, CancellationToken cancellation)
    {
        lock (gate)
        {
            var image = Find(reference);
            if (image is null) return Task.FromResult<ImageInfo?>(null);
            image = image with { UsedAt = time.GetUtcNow() };
            images[image.Digest] = image;
            return Task.FromResult<ImageInfo?>(Info(image));
        }
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<ImageInfo>> ListAsync(CancellationToken cancellation)
    {
        lock (gate) return Task.FromResult<IReadOnlyList<ImageInfo>>([.. images.Values.Select(Info)]);
    }

    /// <inheritdoc/>
    public Task<long> SizeAsync(CancellationToken cancellation)
    {
        lock (gate) return Task.FromResult(Size());
    }

    /// <inheritdoc/>
    public Task<long> CollectAsync(IReadOnlySet<string> digestsInUse, long targetBytes, CancellationToken cancellation) => Task.Run(() =>
    {
        List<string> doomed;
        long before;
        lock (gate)
        {
            before = Size();
            var needed = before;
            foreach (var image in images.Values.Where(i => !digestsInUse.Contains(i.Digest)).OrderBy(i => i.UsedAt).ToList())
            {
                if (needed <= targetBytes) break;
                images.Remove(image.Digest);
                needed = before - Unreferenced().Sum(l => layerBytes[l]);
            }
            // What no image needs goes even below the target only when space is wanted: it may be an interrupted pull's work.
            doomed = before > targetBytes ? Unreferenced() : [];
            foreach (var layer in doomed) layerBytes.Remove(layer);
            Save();
        }
        foreach (var layer in doomed)
        {
            cancellation.ThrowIfCancellationRequested();
            // Renamed first: a crash in the middle must not leave half a layer under its name.
            var away = Path.Join(Unpacking, "gone-" + layer[7..]);
            Directory.Move(LayerFolder(layer), away);
            Directory.Delete(away, recursive: true);
        }
        lock (gate)
        {
            if (before > targetBytes && layersInUse.Count == 0)
                foreach (var partial in Directory.EnumerateFiles(Blobs)) File.Delete(partial);
            return before - Size();
        }
    }, cancellation);

    /// <summary>Ends the store's connections.</summary>
    public void Dispose()
    {
        http.Dispose();
        downloads.Dispose();
    }

    private StoredImage? Find(string reference)
    {
        if (ImageReference.IsDigest(reference)) return images.GetValueOrDefault(reference);
        if (ImageReference.Parse(reference) is not { } parsed) return null;
        foreach (var image in images.Values)
            if (image.References.Contains(parsed.Canonical) || parsed.Digest == image.Digest)
                return image;
        return null;
    }

    private ImageInfo Info(StoredImage image) => new()
    {
        Digest = image.Digest,
        References = image.References,
        SizeBytes = image.DiffIds.Distinct().Sum(d => layerBytes.GetValueOrDefault(d)),
        LayerPaths = [.. image.DiffIds.Select(LayerFolder)],
        Entrypoint = image.Entrypoint,
        Command = image.Command,
        Environment = image.Environment,
        WorkingDirectory = image.WorkingDirectory,
        User = image.User,
        StopSignal = image.StopSignal,
    };

    private string LayerFolder(string diffId) => Path.Join(Layers, diffId[7..]);

    private long Size() => layerBytes.Values.Sum() + new DirectoryInfo(Blobs).EnumerateFiles().Sum(f => f.Length);

    private List<string> Unreferenced()
    {
        var needed = images.Values.SelectMany(i => i.DiffIds).ToHashSet(StringComparer.Ordinal);
        return [.. layerBytes.Keys.Where(l => !needed.Contains(l) && !layersInUse.ContainsKey(l))];
    }

    private void Load()
    {
        ImageIndex index;
        try
        {
            index = File.Exists(IndexFile) ? JsonSerializer.Deserialize(File.ReadAllBytes(IndexFile), ManifestJson.Default.ImageIndex) ?? new ImageIndex() : new ImageIndex();
        }
        catch (JsonException)
        {
            // An unreadable index costs the names, not the layers: the next pull finds them by digest.
            index = new ImageIndex();
        }
        foreach (var folder in Directory.EnumerateDirectories(Layers))
        {
            var layer = "sha256:" + Path.GetFileName(folder);
            layerBytes[layer] = index.LayerBytes.TryGetValue(layer, out var bytes) ? bytes : 0;
        }
        foreach (var image in index.Images)
            if (image.DiffIds.All(layerBytes.ContainsKey))
                images[image.Digest] = image;
    }

    private void Save()
    {
        var index = new ImageIndex { Images = [.. images.Values], LayerBytes = new Dictionary<string, long>(layerBytes) };
        AtomicFile.Write(IndexFile, JsonSerializer.SerializeToUtf8Bytes(index, ManifestJson.Default.ImageIndex), durable: true);
    }
}
