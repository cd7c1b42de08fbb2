using System.Buffers;

namespace Atoll.Kube.Streaming.Spdy;

/// <summary>Frame types of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00 section 2.6, with 3.1's session window).</summary>
internal enum SpdyFrameType
{
    /// <summary>Not a control frame: a piece of a stream's data.</summary>
    Data = 0,
    SynStream = 1,
    SynReply = 2,
    RstStream = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    Headers = 8,
    WindowUpdate = 9,
}

/// <summary>Why a stream was reset (section 2.6.3).</summary>
internal enum SpdyStatus : uint
{
    ProtocolError = 1,
    InvalidStream = 2,
    RefusedStream = 3,
    Cancel = 5,
    InternalError = 6,
    FlowControlError = 7,
    StreamInUse = 8,
    StreamAlreadyClosed = 9,
}

/// <summary>
/// One decoded frame. A data frame may come in several pieces (so that no peer can make us hold a large frame); only the
/// last piece carries <see cref="Fin"/>. <see cref="Payload"/> is valid until the decoder's input is advanced.
/// </summary>
internal readonly struct SpdyFrame
{
    public SpdyFrameType Type { get; init; }

    /// <summary>The sender sends no more on this stream.</summary>
    public bool Fin { get; init; }

    /// <summary>SYN_STREAM: the receiver will not send on this stream.</summary>
    public bool Unidirectional { get; init; }

    /// <summary>Stream, or 0 for the session.</summary>
    public uint StreamId { get; init; }

    /// <summary>Status of RST_STREAM and GOAWAY, id of PING, delta of WINDOW_UPDATE.</summary>
    public uint Value { get; init; }

    /// <summary>Data, a compressed header block, or the entries of SETTINGS.</summary>
    public ReadOnlySequence<byte> Payload { get; init; }
}

/// <summary>Sizes of the wire format and the limits that we put on it.</summary>
internal static class SpdyLimits
{
    /// <summary>Bytes before a frame's payload.</summary>
    public const int HeaderBytes = 8;

    /// <summary>The longest control frame taken (a header block or SETTINGS); a longer one ends the connection.</summary>
    public const int ControlFrameBytes = 32 * 1024;

    /// <summary>The most that one header block may expand to.</summary>
    public const int HeaderBlockBytes = 64 * 1024;

    /// <summary>The most names in one header block.</summary>
    public const int HeaderCount = 128;

    /// <summary>The longest data frame that we send.</summary>
    public const int DataFrameBytes = 32 * 1024;

    /// <summary>Window of streams and of the session until a peer says otherwise.</summary>
    public const int DefaultWindowBytes = 64 * 1024;

    /// <summary>SETTINGS id of the initial window.</summary>
    public const uint InitialWindowSetting = 7;
}
