using Atoll.Api.Objects;

namespace Atoll.Kube.Streaming.Exec;

/// <summary>
/// The client's side of exec or attach, whichever protocol it speaks: input to read, outputs to write, a status at the
/// end. Disposing cuts the connection.
/// </summary>
internal abstract class ExecTransport : IAsyncDisposable
{
    /// <summary>The client's input until it ends it, or null when none was asked for.</summary>
    public abstract Stream? Stdin { get; }

    /// <summary>Standard output, or null.</summary>
    public abstract Stream? Stdout { get; }

    /// <summary>Standard error, or null.</summary>
    public abstract Stream? Stderr { get; }

    /// <summary>Cancelled when the client is gone.</summary>
    public abstract CancellationToken Gone { get; }

    /// <summary>Called with the terminal's new columns and rows; set before <see cref="StartAsync"/>.</summary>
    public Action<int, int> Resize { get; set; } = (_, _) => { };

    /// <summary>Takes the client's streams and begins reading. False when the client did not open them in time.</summary>
    public abstract Task<bool> StartAsync(CancellationToken cancellation);

    /// <summary>Sends the end of both outputs, the status, and the end of everything.</summary>
    public abstract Task FinishAsync(ApiStatus status);

    /// <summary>
    /// Waits until the client has closed, reading and dropping what it still sends: closing first, with input unread,
    /// makes the kernel reset the connection and the client lose output that it has not read yet.
    /// </summary>
    public abstract Task LingerAsync(TimeSpan longest, TimeProvider time);

    public abstract ValueTask DisposeAsync();
}
