namespace Atoll.Edge.Content;

/// <summary>
/// The node's image store: OCI images from registries and OCI layout folders, verified digests, layers shared between
/// images, downloads that resume, garbage collection under a disk limit. Nothing here starts a process.
/// </summary>
public interface IImages
{
    /// <summary>The image if it is here, by reference or digest; null if not. Never asks a network.</summary>
    Task<ImageInfo?> FindAsync(string reference, CancellationToken cancellation);

    /// <summary>Fetches an image (or finds that nothing has changed). Concurrent pulls of one reference share the work.</summary>
    Task<ImagePull> PullAsync(string reference, ImageCredential? credential, CancellationToken cancellation);

    /// <summary>All images here.</summary>
    Task<IReadOnlyList<ImageInfo>> ListAsync(CancellationToken cancellation);

    /// <summary>Deletes the least recently used images that are not in use until the store is below <paramref name="targetBytes"/>; returns bytes freed.</summary>
    Task<long> CollectAsync(IReadOnlySet<string> digestsInUse, long targetBytes, CancellationToken cancellation);

    /// <summary>Bytes on disk.</summary>
    Task<long> SizeAsync(CancellationToken cancellation);

    /// <summary>For which architectures images are there, by full name: of those here, and for an hour of those that had none for this node. At most 100.</summary>
    IReadOnlyDictionary<string, IReadOnlyList<string>> Architectures => new Dictionary<string, IReadOnlyList<string>>();
}

/// <summary>User and password (or token) for one registry. Never logged.</summary>
public sealed record ImageCredential(string Username, string Password);

/// <summary>An image that is here. Layers are ready to be an overlay's lower directories, lowest first.</summary>
public sealed record ImageInfo
{
    /// <summary>Digest of the manifest (of this platform).</summary>
    public required string Digest { get; init; }

    /// <summary>References by which it is known.</summary>
    public required IReadOnlyList<string> References { get; init; }

    /// <summary>Bytes on disk, layers counted in full.</summary>
    public required long SizeBytes { get; init; }

    /// <summary>Unpacked layers, lowest first.</summary>
    public required IReadOnlyList<string> LayerPaths { get; init; }

    /// <summary>Entrypoint of the image's configuration.</summary>
    public required IReadOnlyList<string> Entrypoint { get; init; }

    /// <summary>Cmd of the image's configuration.</summary>
    public required IReadOnlyList<string> Command { get; init; }

    /// <summary>Environment as KEY=value.</summary>
    public required IReadOnlyList<string> Environment { get; init; }

    /// <summary>Working directory.</summary>
    public required string WorkingDirectory { get; init; }

    /// <summary>User.</summary>
    public required string User { get; init; }

    /// <summary>Signal that stops it, 15 when the image names none.</summary>
    public required int StopSignal { get; init; }
}

/// <summary>Outcome of a pull. Reason is Kubernetes': <c>ErrImagePull</c>, <c>InvalidImageName</c>, <c>ErrImageNeverPull</c>, …</summary>
public sealed record ImagePull(ImageInfo? Image, string? Reason, string? Message);
