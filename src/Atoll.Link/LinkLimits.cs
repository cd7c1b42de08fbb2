namespace Atoll.Link;

/// <summary>Limits of the link's protocol, the same at both ends (docs/SPECIFICATION.md). What exceeds one is a protocol violation.</summary>
public static class LinkLimits
{
    /// <summary>Newest protocol version spoken.</summary>
    public const int Version = 1;

    /// <summary>Oldest protocol version still spoken.</summary>
    public const int OldestVersion = 1;

    /// <summary>Largest session frame, and largest payload of a multiplexer frame. Bodies above it are cut into chunks.</summary>
    public const int MaxFrameBytes = 4096;

    /// <summary>Largest body of an object or an outcome.</summary>
    public const int MaxBodyBytes = 3 * 1024 * 1024;

    /// <summary>Most bytes of bodies in one batch, after expansion.</summary>
    public const int MaxBatchBytes = MaxBodyBytes + 1024 * 1024;

    /// <summary>Most objects, removals or outcomes in one batch.</summary>
    public const int MaxBatchItems = 256;

    /// <summary>Most batches received and not yet applied.</summary>
    public const int MaxUnappliedBatches = 32;

    /// <summary>Most objects in one site's scope.</summary>
    public const int MaxScopeItems = 100_000;

    /// <summary>Longest UID in characters.</summary>
    public const int MaxUidLength = 128;

    /// <summary>Longest namespace/name in characters.</summary>
    public const int MaxNameLength = 320;

    /// <summary>Longest address, or detail about it, in a hello, in characters.</summary>
    public const int MaxAddressLength = 256;

    /// <summary>Longest kind key or operation in characters.</summary>
    public const int MaxKindLength = 64;

    /// <summary>Most multiplexed streams of one connection, both sides together.</summary>
    public const int MaxStreams = 256;

    /// <summary>Longest metadata of a stream in bytes of UTF-8.</summary>
    public const int MaxMetadataBytes = 1024;
}
