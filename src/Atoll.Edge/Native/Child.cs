using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Atoll.Edge.Native;

/// <summary>What a finished program said.</summary>
internal readonly record struct ChildResult(int ExitCode, string Output, string Error)
{
    internal bool Ok => ExitCode == 0;
}

/// <summary>
/// A child process by posix_spawn, because <see cref="System.Diagnostics.Process"/> cannot hand down descriptors beyond the
/// three standard ones (conmon needs more) nor run in another thread's network namespace. Waits cost no thread (pidfd).
/// </summary>
internal sealed partial class Child : IDisposable
{
    private const int OutputLimit = 64 * 1024;
    private readonly SafeFileHandle pidfd;

    private Child(int pid, SafeFileHandle pidfd) => (Pid, this.pidfd) = (pid, pidfd);

    internal int Pid { get; }

    /// <summary>Starts a program (absolute path). <paramref name="descriptors"/> maps numbers in the child to handles here; 0, 1, 2 not named are /dev/null.</summary>
    internal static unsafe Child Start(string path, IReadOnlyList<string> args, IReadOnlyList<(int Number, SafeFileHandle Handle)> descriptors, IReadOnlyList<string> environment)
    {
        // glibc's opaque structures are 80 and 336 bytes; musl's are smaller.
        var actions = stackalloc byte[512];
        var attributes = stackalloc byte[512];
        if (FileActionsInit(actions) != 0 || AttrInit(attributes) != 0) throw new InvalidOperationException("posix_spawn could not be prepared.");
        using var vector = new StringVector([path, .. args]);
        using var env = new StringVector(environment);
        var nothing = "/dev/null\0"u8;
        try
        {
            fixed (byte* nullDevice = nothing)
            {
                for (var i = 0; i < 3; i++)
                    if (FileActionsAddOpen(actions, i, nullDevice, i == 0 ? 0 : 1, 0) != 0)
                        throw new InvalidOperationException("posix_spawn could not be prepared.");
                foreach (var (number, handle) in descriptors)
                    if (FileActionsAddDup2(actions, (int)handle.DangerousGetHandle(), number) != 0)
                        throw new InvalidOperationException("posix_spawn could not be prepared.");
                // A session of its own (0x80): a signal to the agent's group must not reach what outlives the agent. Signals
                // that .NET ignores (SIGPIPE) or blocks are set back to their defaults (0x04 | 0x08).
                var none = stackalloc byte[128];
                var all = stackalloc byte[128];
                new Span<byte>(none, 128).Clear();
                new Span<byte>(all, 128).Fill(0xff);
                _ = AttrSetSigMask(attributes, none);
                _ = AttrSetSigDefault(attributes, all);
                _ = AttrSetFlags(attributes, 0x80 | 0x04 | 0x08);
                int pid;
                var error = Spawn(&pid, vector.Pointer[0], actions, attributes, vector.Pointer, env.Pointer);
                if (error != 0) throw new System.ComponentModel.Win32Exception(error, $"{path}: {Marshal.GetPInvokeErrorMessage(error)}");
                var pidfd = Posix.OpenPid(pid) ?? throw Posix.Error("pidfd_open");
                return new Child(pid, pidfd);
            }
        }
        finally
        {
            _ = FileActionsDestroy(actions);
            _ = AttrDestroy(attributes);
        }
    }

    /// <summary>Runs a program to its end; input goes to its standard input, output and error are kept up to a limit. Cancelling kills it.</summary>
    internal static async Task<ChildResult> RunAsync(string path, IReadOnlyList<string> args, string? input, CancellationToken cancellation)
    {
        var (outRead, outWrite) = Posix.Pipe();
        var (errRead, errWrite) = Posix.Pipe();
        SafeFileHandle? inRead = null, inWrite = null;
        if (input is not null) (inRead, inWrite) = Posix.Pipe();
        using var _1 = outRead;
        using var _2 = errRead;
        using var _3 = inWrite;
        Child child;
        try
        {
            List<(int, SafeFileHandle)> descriptors = [(1, outWrite), (2, errWrite)];
            if (inRead is not null) descriptors.Add((0, inRead));
            child = Start(path, args, descriptors, BaseEnvironment);
        }
        finally
        {
            outWrite.Dispose();
            errWrite.Dispose();
            inRead?.Dispose();
        }
        using (child)
        {
            // Inputs here are a few KiB of rules, below a pipe's capacity (64 KiB): the write cannot block.
            if (inWrite is not null)
            {
                try
                {
                    Posix.Write(inWrite, Encoding.UTF8.GetBytes(input!));
                }
                catch (System.ComponentModel.Win32Exception)
                {
                    // It ended without reading all: its exit code and error say why.
                }
                inWrite.Dispose();
            }
            try
            {
                var output = ReadAsync(outRead, cancellation);
                var error = ReadAsync(errRead, cancellation);
                return new ChildResult(await child.WaitAsync(cancellation).ConfigureAwait(false), await output.ConfigureAwait(false), await error.ConfigureAwait(false));
            }
            catch (OperationCanceledException)
            {
                child.Signal(Posix.SIGKILL);
                await child.WaitAsync(CancellationToken.None).ConfigureAwait(false);
                throw;
            }
        }
    }

    /// <summary>The environment of every helper program: nothing of the agent's own.</summary>
    internal static IReadOnlyList<string> BaseEnvironment { get; } = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"];

    /// <summary>First of the usual folders that has the program, or null.</summary>
    internal static string? Find(string program)
    {
        if (program.Contains('/', StringComparison.Ordinal)) return File.Exists(program) ? program : null;
        foreach (var folder in (string[])["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
        {
            var path = Path.Join(folder, program);
            if (File.Exists(path)) return path;
        }
        return null;
    }

    internal void Signal(int signal) => Posix.Signal(pidfd, signal);

    /// <summary>Waits for the end; 128 + signal when it was killed.</summary>
    internal async Task<int> WaitAsync(CancellationToken cancellation)
    {
        await FdPoller.Instance.ReadableAsync(pidfd, cancellation).ConfigureAwait(false);
        return Reap();
    }

    /// <summary>Reads a pipe to its end, keeping up to a limit.</summary>
    internal static async Task<string> ReadAsync(SafeFileHandle pipe, CancellationToken cancellation)
    {
        var bytes = new MemoryStream();
        var buffer = new byte[4096];
        while (true)
        {
            await FdPoller.Instance.ReadableAsync(pipe, cancellation).ConfigureAwait(false);
            var n = Posix.Read(pipe, buffer);
            if (n == 0) return Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
            if (bytes.Length < OutputLimit) bytes.Write(buffer, 0, n);
        }
    }

    public void Dispose() => pidfd.Dispose();

    private unsafe int Reap()
    {
        int status;
        while (WaitPid(Pid, &status, 0) < 0)
            if (Marshal.GetLastPInvokeError() != Posix.EINTR)
                throw Posix.Error("waitpid");
        return (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f);
    }

    [LibraryImport("libc", EntryPoint = "posix_spawn")]
    private static unsafe partial int Spawn(int* pid, byte* path, byte* actions, byte* attributes, byte** args, byte** environment);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_init")]
    private static unsafe partial int FileActionsInit(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_destroy")]
    private static unsafe partial int FileActionsDestroy(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_adddup2")]
    private static unsafe partial int FileActionsAddDup2(byte* actions, int from, int to);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_addopen")]
    private static unsafe partial int FileActionsAddOpen(byte* actions, int fd, byte* path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_init")]
    private static unsafe partial int AttrInit(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_destroy")]
    private static unsafe partial int AttrDestroy(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setflags")]
    private static unsafe partial int AttrSetFlags(byte* attributes, short flags);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigmask")]
    private static unsafe partial int AttrSetSigMask(byte* attributes, byte* set);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigdefault")]
    private static unsafe partial int AttrSetSigDefault(byte* attributes, byte* set);

    [LibraryImport("libc", EntryPoint = "waitpid", SetLastError = true)]
    private static unsafe partial int WaitPid(int pid, int* status, int options);

    /// <summary>A null-terminated array of C strings.</summary>
    private sealed unsafe class StringVector : IDisposable
    {
        private readonly int count;

        internal StringVector(IReadOnlyList<string> values)
        {
            count = values.Count;
            Pointer = (byte**)NativeMemory.AllocZeroed((nuint)(count + 1), (nuint)sizeof(byte*));
            for (var i = 0; i < count; i++) Pointer[i] = (byte*)Marshal.StringToCoTaskMemUTF8(values[i]);
        }

        internal byte** Pointer { get; }

        public void Dispose()
        {
            for (var i = 0; i < count; i++) Marshal.FreeCoTaskMem((nint)Pointer[i]);
            NativeMemory.Free(Pointer);
        }
    }
}
