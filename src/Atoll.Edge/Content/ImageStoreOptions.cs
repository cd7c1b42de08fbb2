namespace Atoll.Edge.Content;

/// <summary>Where images live and how they are fetched.</summary>
public sealed record ImageStoreOptions
{
    /// <summary>Folder of the store; a node's own, or shared by the nodes of a machine if one process alone writes.</summary>
    public required string Folder { get; init; }

    /// <summary>Registries (<c>host[:port]</c>) that are spoken to over plain HTTP. Loopback addresses always are.</summary>
    public IReadOnlySet<string> InsecureRegistries { get; init; } = new HashSet<string>();

    /// <summary>For a registry, base addresses that are asked before it.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<Uri>> Mirrors { get; init; } = new Dictionary<string, IReadOnlyList<Uri>>();

    /// <summary>Architecture in OCI's words; null is this machine's.</summary>
    public string? Architecture { get; init; }

    /// <summary>Layers fetched at one time.</summary>
    public int ParallelDownloads { get; init; } = 3;

    /// <summary>Tries of one layer's download without progress before a pull fails.</summary>
    public int DownloadTries { get; init; } = 5;

    /// <summary>Wait before the second try; doubled each time.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a registry may be silent.</summary>
    public TimeSpan ReadTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long a registry may take to name the image of a tag of which there is one here already: a line that swallows
    /// packets must not hold up a start. What is new then is still downloaded with full patience.
    /// </summary>
    public TimeSpan RefreshPatience { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>How long a registry that was out of reach is not asked again for an image that is here.</summary>
    public TimeSpan OutOfReachMemory { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Largest compressed layer in bytes.</summary>
    public long MaxLayerBytes { get; init; } = 8L << 30;

    /// <summary>Largest unpacked layer in bytes.</summary>
    public long MaxUnpackedBytes { get; init; } = 16L << 30;

    /// <summary>Most entries of one layer.</summary>
    public long MaxLayerEntries { get; init; } = 1_000_000;
}
