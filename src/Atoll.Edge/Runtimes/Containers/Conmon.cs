using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Edge.Native;
using Microsoft.Win32.SafeHandles;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>
/// Starts conmon, the small monitor that owns one instance's (or one exec's) terminal, log and exit code and outlives the
/// agent. Its protocol: it waits for a byte on the start pipe, forks into a session of its own, calls the OCI runtime, and
/// says on the sync pipe <c>{"data": pid}</c> or <c>{"data": -1, "message": why}</c>.
/// </summary>
internal sealed class Conmon(string path, Cgroups cgroups, string monitorCgroup, long logCapBytes)
{
    private const int MaxMessageBytes = 64 * 1024;

    internal async Task<ConmonStart> CreateAsync(OciRuntime runtime, string id, string bundle, InstanceSpec spec, string exits, CancellationToken cancellation)
    {
        List<string> args =
        [
            .. Common(runtime, id, bundle), "-p", Path.Join(bundle, "pid"), "-P", Path.Join(bundle, "conmon.pid"),
            "-l", "k8s-file:" + spec.LogPath, "--log-size-max", logCapBytes.ToString(CultureInfo.InvariantCulture), "--exit-dir", exits, "--persist-dir", bundle,
        ];
        if (spec.Tty) args.Add("-t");
        if (spec.Stdin) args.Add("-i");
        if (spec.Stdin && !spec.StdinOnce) args.Add("--leave-stdin-open");
        using var session = Spawn(args, attach: false);
        return await session.ReadAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Starts a command in an instance; the caller must connect to <c>attach</c> in the bundle before it calls <see cref="ConmonSession.Go"/>.</summary>
    internal ConmonSession Exec(OciRuntime runtime, string id, string bundle, string process, bool tty, bool stdin)
    {
        List<string> args = [.. Common(runtime, id, bundle), "-p", Path.Join(bundle, "pid"), "-l", "none", "--exec", "--exec-attach", "--exec-process-spec", process];
        if (tty) args.Add("-t");
        if (stdin) args.Add("-i");
        return Spawn(args, attach: true);
    }

    private static List<string> Common(OciRuntime runtime, string id, string bundle) =>
    [
        "--api-version", "1", "-c", id, "-u", id, "-r", runtime.Path, "-b", bundle, "--full-attach",
        .. runtime.GlobalArgs.Select(a => "--runtime-arg=" + a),
    ];

    private ConmonSession Spawn(List<string> args, bool attach)
    {
        var (syncRead, syncWrite) = Posix.Pipe();
        var (startRead, startWrite) = Posix.Pipe();
        SafeFileHandle? attachRead = null, attachWrite = null;
        try
        {
            List<(int, SafeFileHandle)> inherited = [(Number(syncWrite), syncWrite), (Number(startRead), startRead)];
            List<string> environment = [.. Child.BaseEnvironment, "_OCI_SYNCPIPE=" + Text(syncWrite), "_OCI_STARTPIPE=" + Text(startRead)];
            if (attach)
            {
                (attachRead, attachWrite) = Posix.Pipe();
                inherited.Add((Number(attachWrite), attachWrite));
                environment.Add("_OCI_ATTACHPIPE=" + Text(attachWrite));
            }
            var child = Child.Start(path, args, inherited, environment);
            var session = new ConmonSession(child, syncRead, startWrite, attachRead);
            try
            {
                cgroups.Move(child.Pid, monitorCgroup);
                session.Go();
            }
            catch
            {
                child.Signal(Posix.SIGKILL);
                session.Dispose();
                throw;
            }
            return session;
        }
        finally
        {
            syncWrite.Dispose();
            startRead.Dispose();
            attachWrite?.Dispose();
        }
    }

    private static int Number(SafeFileHandle handle) => (int)handle.DangerousGetHandle();

    private static string Text(SafeFileHandle handle) => Number(handle).ToString(CultureInfo.InvariantCulture);

    /// <summary>The agent's ends of a monitor's pipes.</summary>
    internal sealed class ConmonSession(Child child, SafeFileHandle sync, SafeFileHandle start, SafeFileHandle? attach) : IDisposable
    {
        private readonly LineReader lines = new(sync);

        /// <summary>Lets the monitor go on.</summary>
        internal void Go() => Posix.Write(start, "\n"u8);

        /// <summary>Completes when the attach socket listens.</summary>
        internal async Task AttachableAsync(CancellationToken cancellation) => await new LineReader(attach!).NextAsync(cancellation).ConfigureAwait(false);

        /// <summary>The next thing that the monitor says: the pid at first, the exit code at an exec's end.</summary>
        internal async Task<ConmonStart> ReadAsync(CancellationToken cancellation)
        {
            var line = await lines.NextAsync(cancellation).ConfigureAwait(false);
            if (line is null) return new ConmonStart(-1, "the container monitor ended without an answer");
            var answer = JsonNode.Parse(line);
            return new ConmonStart((int?)answer?["data"] ?? -1, (string?)answer?["message"]);
        }

        public void Dispose()
        {
            sync.Dispose();
            start.Dispose();
            attach?.Dispose();
            // The launcher ends by itself after its fork; its zombie must be reaped even when nobody waits for its answer.
            _ = ReapAsync(child);
        }

        private static async Task ReapAsync(Child child)
        {
            using (child) await child.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    private sealed class LineReader(SafeFileHandle pipe)
    {
        private readonly List<byte> pending = [];

        internal async Task<string?> NextAsync(CancellationToken cancellation)
        {
            var buffer = new byte[1024];
            while (true)
            {
                var end = pending.IndexOf((byte)'\n');
                if (end >= 0)
                {
                    var line = System.Text.Encoding.UTF8.GetString(pending.GetRange(0, end).ToArray());
                    pending.RemoveRange(0, end + 1);
                    return line;
                }
                await FdPoller.Instance.ReadableAsync(pipe, cancellation).ConfigureAwait(false);
                var n = Posix.Read(pipe, buffer);
                if (n == 0 || pending.Count > MaxMessageBytes) return null;
                pending.AddRange(buffer.AsSpan(0, n));
            }
        }
    }
}

/// <summary>The pid (or exit code), or -1 with the OCI runtime's message.</summary>
internal readonly record struct ConmonStart(int Data, string? Message);
