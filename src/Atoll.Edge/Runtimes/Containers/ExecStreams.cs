using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>A command in an instance, with a monitor of its own that knows its exact exit code. When the client leaves, the command is killed.</summary>
internal sealed class ExecStreams : IProcessStreams
{
    private readonly Conmon.ConmonSession session;
    private readonly MonitorStreams streams;
    private readonly string bundle;
    private readonly ProcessIdentity process;
    private readonly CancellationTokenSource closing = new();

    private ExecStreams(Conmon.ConmonSession session, MonitorSocket socket, ExecRequest request, string bundle, int pid)
    {
        (this.session, this.bundle) = (session, bundle);
        process = ProcessIdentity.Of(pid);
        streams = new MonitorStreams(socket, request, request.Tty, hasStdin: true, ResizeTerminal, ExitAsync());
    }

    public Stream? Stdin => streams.Stdin;

    public Stream? Stdout => streams.Stdout;

    public Stream? Stderr => streams.Stderr;

    public Task<int> ExitCode => streams.ExitCode;

    internal static async Task<StreamStart<IProcessStreams>> StartAsync(Conmon conmon, OciRuntime runtime, string id, string bundle, string file, ExecRequest request, CancellationToken cancellation)
    {
        var session = conmon.Exec(runtime, id, bundle, file, request.Tty, request.Stdin);
        MonitorSocket? socket = null;
        try
        {
            await session.AttachableAsync(cancellation).ConfigureAwait(false);
            socket = await MonitorSocket.ConnectAsync(bundle, cancellation).ConfigureAwait(false);
            session.Go();
            var started = await session.ReadAsync(cancellation).ConfigureAwait(false);
            if (started.Data > 0) return new ExecStreams(session, socket, request, bundle, started.Data);
            socket.Dispose();
            session.Dispose();
            Directory.Delete(bundle, recursive: true);
            return ApiStatus.InternalError("error executing command in container: " + OciRuntime.Clean(started.Message ?? "no reason given"));
        }
        catch
        {
            socket?.Dispose();
            session.Dispose();
            throw;
        }
    }

    public void Resize(int columns, int rows) => streams.Resize(columns, rows);

    public async ValueTask DisposeAsync()
    {
        if (!ExitCode.IsCompleted && process.Alive) Posix.Kill(process.Pid, Posix.SIGKILL);
        await closing.CancelAsync().ConfigureAwait(false);
        await streams.DisposeAsync().ConfigureAwait(false);
        await ((Task)ExitCode).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        session.Dispose();
        closing.Dispose();
        try
        {
            Directory.Delete(bundle, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Its instance was removed meanwhile.
        }
    }

    private async Task<int> ExitAsync()
    {
        var end = await session.ReadAsync(closing.Token).ConfigureAwait(false);
        return end.Data >= 0 ? end.Data : ContainerRuntime.UnknownExitCode;
    }

    private void ResizeTerminal(int columns, int rows)
    {
        try
        {
            using var fifo = Posix.Open(Path.Join(bundle, "ctl"), Posix.O_WRONLY | Posix.O_NONBLOCK);
            Posix.Write(fifo, MonitorStreams.ResizeLine(columns, rows));
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // The command has just ended: there is no terminal to size.
        }
    }
}
