using Atoll.Api.Objects;

namespace Atoll.Api.Streams;

/// <summary>
/// What logs, exec, attach and port-forward ask of the node that runs a pod, free of any wire protocol. The API server
/// speaks Kubernetes' protocols (WebSocket channels, SPDY/3.1) towards the client; node control implements this.
/// </summary>
public interface IPodStreams
{
    /// <summary>
    /// Copies a container's log to <paramref name="output"/> until its end, or, with follow, until the container ends or
    /// the call is cancelled. Returns null, or why there is no log (nothing was written then).
    /// </summary>
    Task<ApiStatus?> LogsAsync(KubeObject pod, LogRequest request, Stream output, CancellationToken cancellation);

    /// <summary>Why exec, or attach, cannot be (no such container, none that runs), or null: asked before the client is told that it can. What fails at the start is told by the start.</summary>
    ApiStatus? Refusal(KubeObject pod, ExecRequest request, bool attach);

    /// <summary>Starts a command in a running container.</summary>
    Task<StreamStart<IProcessStreams>> ExecAsync(KubeObject pod, ExecRequest request, CancellationToken cancellation);

    /// <summary>Attaches to the main process of a running container.</summary>
    Task<StreamStart<IProcessStreams>> AttachAsync(KubeObject pod, ExecRequest request, CancellationToken cancellation);

    /// <summary>Opens a TCP connection to a port inside the pod's network namespace.</summary>
    Task<StreamStart<Stream>> PortForwardAsync(KubeObject pod, int port, CancellationToken cancellation);
}

/// <summary>A started stream, or why there is none.</summary>
public readonly record struct StreamStart<T>(T? Value, ApiStatus? Error) where T : class
{
    /// <summary>A success.</summary>
    public static implicit operator StreamStart<T>(T value) => new(value, null);

    /// <summary>A failure.</summary>
    public static implicit operator StreamStart<T>(ApiStatus error) => new(null, error);
}

/// <summary>A started process's streams. Disposing ends the streams (not the container).</summary>
public interface IProcessStreams : IAsyncDisposable
{
    /// <summary>Standard input, or null when it was not asked for. Disposing it closes the process's input.</summary>
    Stream? Stdin { get; }

    /// <summary>Standard output (and error, with a terminal), or null.</summary>
    Stream? Stdout { get; }

    /// <summary>Standard error, or null.</summary>
    Stream? Stderr { get; }

    /// <summary>Sets the terminal's size in characters.</summary>
    void Resize(int columns, int rows);

    /// <summary>Ends with the process's exit code (128 + signal for a killed one).</summary>
    Task<int> ExitCode { get; }
}

/// <summary>Which part of a log.</summary>
public sealed record LogRequest
{
    /// <summary>Container; null when the pod has one.</summary>
    public string? Container { get; init; }

    /// <summary>Go on with new lines.</summary>
    public bool Follow { get; init; }

    /// <summary>The instance before the last restart.</summary>
    public bool Previous { get; init; }

    /// <summary>Prefix each line with its time in RFC 3339 with nanoseconds.</summary>
    public bool Timestamps { get; init; }

    /// <summary>Only the last lines; null is all.</summary>
    public long? TailLines { get; init; }

    /// <summary>Only lines of the last seconds.</summary>
    public long? SinceSeconds { get; init; }

    /// <summary>Only lines at or after this time.</summary>
    public DateTimeOffset? SinceTime { get; init; }

    /// <summary>At most so many bytes.</summary>
    public long? LimitBytes { get; init; }
}

/// <summary>What to run or attach to.</summary>
public sealed record ExecRequest
{
    /// <summary>Container; null when the pod has one.</summary>
    public string? Container { get; init; }

    /// <summary>Argument vector; empty for attach.</summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    /// <summary>Standard input wanted.</summary>
    public bool Stdin { get; init; }

    /// <summary>Standard output wanted.</summary>
    public bool Stdout { get; init; }

    /// <summary>Standard error wanted.</summary>
    public bool Stderr { get; init; }

    /// <summary>A terminal wanted (then no separate standard error).</summary>
    public bool Tty { get; init; }
}
