namespace Atoll.Kube.Streaming.Spdy;

/// <summary>What one end of a connection allows and asks for.</summary>
internal sealed record SpdyOptions
{
    /// <summary>True for the end that accepted the connection: it uses even ids.</summary>
    public bool IsServer { get; init; } = true;

    /// <summary>Windows are announced and kept from the start: for a peer that is known to keep them too.</summary>
    public bool FlowControl { get; init; }

    /// <summary>What a peer with flow control may send on a stream before we read it.</summary>
    public int StreamWindowBytes { get; init; } = 256 * 1024;

    /// <summary>What may lie unread on one stream of a peer without flow control before the connection is no longer read.</summary>
    public int StreamBufferBytes { get; init; } = 1024 * 1024;

    /// <summary>What may lie unread on all streams together.</summary>
    public int ConnectionBufferBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Streams that the peer may have open.</summary>
    public int MaxStreams { get; init; } = 2048;

    /// <summary>How often to ask the peer for a sign of life, which is how a dead transport is noticed; null for never.</summary>
    public TimeSpan? KeepAlive { get; init; }

    /// <summary>Clock of the keep-alive.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Control frames that may wait for a peer that sends and does not read.</summary>
    public int MaxQueuedControlFrames { get; init; } = 4096;
}
