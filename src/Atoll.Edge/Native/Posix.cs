using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Atoll.Edge.Native;

/// <summary>
/// The system calls that the edge needs and .NET does not offer. Each has its reason beside it; nothing else may be
/// called natively. Errors are <see cref="Win32Exception"/>s with errno's text unless the method says otherwise.
/// </summary>
internal static partial class Posix
{
    internal const int ENOENT = 2, EINTR = 4, EAGAIN = 11, EBUSY = 16, EEXIST = 17, EINVAL = 22, ENODATA = 61;
    internal const int O_RDONLY = 0, O_WRONLY = 1, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000, O_PATH = 0x200000;
    internal const int SIGKILL = 9, SIGTERM = 15, SIGWINCH = 28;
    internal const ulong MS_RDONLY = 1, MS_NODEV = 4, MS_BIND = 4096, MS_REC = 16384, MS_PRIVATE = 1 << 18;
    internal const int MNT_DETACH = 2;
    internal const int CLONE_FS = 0x200, CLONE_NEWNET = 0x40000000;
    internal const short POLLIN = 1, POLLOUT = 4;

    /// <summary>Readiness of pipes and pidfds without a thread for each (see <see cref="FdPoller"/>).</summary>
    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    internal static unsafe partial int Poll(PollFd* fds, nuint count, int timeoutMs);

    /// <summary>Pipes that a child inherits at a chosen number (conmon's start and sync pipes).</summary>
    [LibraryImport("libc", EntryPoint = "pipe2", SetLastError = true)]
    private static unsafe partial int Pipe2(int* fds, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static unsafe partial nint Read(int fd, byte* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static unsafe partial nint Write(int fd, byte* buffer, nuint count);

    /// <summary>FIFOs opened without blocking, directories (fsync), O_PATH.</summary>
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenCore(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FsyncCore(int fd);

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int KillCore(int pid, int signal);

    /// <summary>pidfd_open (434) and pidfd_send_signal (424): the numbers are the same on every architecture; glibc has wrappers only since 2.36.</summary>
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long Syscall(long number, long a, long b, long c, long d);

    [LibraryImport("libc", EntryPoint = "mount", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MountCore(string source, string target, string? type, ulong flags, string? data);

    [LibraryImport("libc", EntryPoint = "umount2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int UmountCore(string target, int flags);

    [LibraryImport("libc", EntryPoint = "unshare", SetLastError = true)]
    private static partial int UnshareCore(int flags);

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static partial int SetnsCore(int fd, int type);

    [LibraryImport("libc", EntryPoint = "chdir", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChdirCore(string path);

    /// <summary>Plain rmdir: .NET's looks into a folder first, and a cgroup's files cannot be deleted.</summary>
    [LibraryImport("libc", EntryPoint = "rmdir", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int RmdirCore(string path);

    [LibraryImport("libc", EntryPoint = "inotify_init1", SetLastError = true)]
    private static partial int InotifyInit(int flags);

    [LibraryImport("libc", EntryPoint = "inotify_add_watch", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int InotifyAddWatch(int fd, string path, uint mask);

    /// <summary>Ownership of links themselves; .NET cannot change owners at all.</summary>
    [LibraryImport("libc", EntryPoint = "lchown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int LchownCore(string path, uint uid, uint gid);

    /// <summary>Device nodes, FIFOs and overlay whiteouts.</summary>
    [LibraryImport("libc", EntryPoint = "mknod", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MknodCore(string path, uint mode, ulong device);

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int LinkCore(string existing, string path);

    [LibraryImport("libc", EntryPoint = "lsetxattr", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int LsetxattrCore(string path, string name, byte* value, nuint size, int flags);

    /// <summary>Times of links themselves, to the nanosecond.</summary>
    [LibraryImport("libc", EntryPoint = "utimensat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int UtimensatCore(int folder, string path, long* times, int flags);

    /// <summary>One call makes a whole unpacked layer durable, instead of an fsync for each of its files.</summary>
    [LibraryImport("libc", EntryPoint = "syncfs", SetLastError = true)]
    private static partial int SyncfsCore(int fd);

    internal static void ChangeOwner(string path, uint uid, uint gid)
    {
        if (LchownCore(path, uid, gid) != 0) throw Error("chown " + path);
    }

    internal static void MakeNode(string path, uint mode, uint major, uint minor)
    {
        var device = (minor & 0xffUL) | ((major & 0xfffUL) << 8) | ((minor & ~0xffUL) << 12) | ((major & ~0xfffUL) << 32);
        if (MknodCore(path, mode, device) != 0) throw Error("mknod " + path);
    }

    internal static void Link(string existing, string path)
    {
        if (LinkCore(existing, path) != 0) throw Error("link " + path);
    }

    internal static unsafe void SetAttribute(string path, string name, ReadOnlySpan<byte> value)
    {
        fixed (byte* p = value)
            if (LsetxattrCore(path, name, p, (nuint)value.Length, 0) != 0)
                throw Error($"setxattr {name} {path}");
    }

    /// <summary>Sets the time of last change (and access) of a path, of a link itself when it is one.</summary>
    internal static unsafe void SetTime(string path, long seconds, long nanoseconds)
    {
        const int atCwd = -100, noFollow = 0x100;
        var times = stackalloc long[4] { seconds, nanoseconds, seconds, nanoseconds };
        if (UtimensatCore(atCwd, path, times, noFollow) != 0) throw Error("utimensat " + path);
    }

    /// <summary>Writes everything of the file system that holds the folder to its disk.</summary>
    internal static void SyncFileSystem(string path)
    {
        using var handle = Open(path, O_RDONLY);
        if (SyncfsCore((int)handle.DangerousGetHandle()) != 0) throw Error("syncfs " + path);
    }

    internal static Win32Exception Error(string what) => new(Marshal.GetLastPInvokeError(), $"{what}: {Marshal.GetLastPInvokeErrorMessage()}");

    internal static unsafe (SafeFileHandle Read, SafeFileHandle Write) Pipe()
    {
        var fds = stackalloc int[2];
        if (Pipe2(fds, O_CLOEXEC) != 0) throw Error("pipe2");
        return (new SafeFileHandle(fds[0], true), new SafeFileHandle(fds[1], true));
    }

    /// <summary>Reads what is there; 0 at the end.</summary>
    internal static unsafe int Read(SafeFileHandle handle, Span<byte> buffer)
    {
        fixed (byte* p = buffer)
            while (true)
            {
                var n = Read((int)handle.DangerousGetHandle(), p, (nuint)buffer.Length);
                if (n >= 0) return (int)n;
                if (Marshal.GetLastPInvokeError() != EINTR) throw Error("read");
            }
    }

    internal static unsafe void Write(SafeFileHandle handle, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* p = bytes)
        {
            var done = 0;
            while (done < bytes.Length)
            {
                var n = Write((int)handle.DangerousGetHandle(), p + done, (nuint)(bytes.Length - done));
                if (n >= 0) done += (int)n;
                else if (Marshal.GetLastPInvokeError() != EINTR) throw Error("write");
            }
        }
    }

    internal static SafeFileHandle Open(string path, int flags)
    {
        var fd = OpenCore(path, flags | O_CLOEXEC, 0);
        return fd >= 0 ? new SafeFileHandle(fd, true) : throw Error("open " + path);
    }

    /// <summary>Makes the names in a folder durable.</summary>
    internal static void SyncFolder(string path)
    {
        using var handle = Open(path, O_RDONLY);
        if (FsyncCore((int)handle.DangerousGetHandle()) != 0) throw Error("fsync " + path);
    }

    /// <summary>False when there is no such process.</summary>
    internal static bool Kill(int pid, int signal) => pid > 0 && KillCore(pid, signal) == 0;

    /// <summary>A descriptor that becomes readable when the process ends, or null when there is no such process.</summary>
    internal static SafeFileHandle? OpenPid(int pid)
    {
        var fd = Syscall(434, pid, 0, 0, 0);
        return fd >= 0 ? new SafeFileHandle((nint)fd, true) : null;
    }

    /// <summary>Signals exactly the process that the descriptor stands for, never one that got its number later.</summary>
    internal static bool Signal(SafeFileHandle pidfd, int signal) => Syscall(424, (long)pidfd.DangerousGetHandle(), signal, 0, 0) == 0;

    internal static void Mount(string source, string target, string? type, ulong flags, string? data)
    {
        if (MountCore(source, target, type, flags, data) != 0) throw Error($"mount {target}");
    }

    /// <summary>Unmounts; a path that is no mount is fine. Falls back to a lazy unmount when it is busy.</summary>
    internal static void Unmount(string target)
    {
        if (UmountCore(target, 0) == 0) return;
        var errno = Marshal.GetLastPInvokeError();
        if (errno is EINVAL or ENOENT) return;
        if (errno == EBUSY && UmountCore(target, MNT_DETACH) == 0) return;
        throw Error("umount " + target);
    }

    internal static void Unshare(int flags)
    {
        if (UnshareCore(flags) != 0) throw Error("unshare");
    }

    internal static void SetNamespace(SafeFileHandle ns, int type)
    {
        if (SetnsCore((int)ns.DangerousGetHandle(), type) != 0) throw Error("setns");
    }

    /// <summary>Removes an empty folder; one that is not there is fine, false when it is in use.</summary>
    internal static bool RemoveFolder(string path) => RmdirCore(path) == 0 || Marshal.GetLastPInvokeError() == ENOENT;

    internal static void ChangeFolder(string path)
    {
        if (ChdirCore(path) != 0) throw Error("chdir " + path);
    }

    /// <summary>An inotify descriptor that tells of names that appear in a folder.</summary>
    internal static SafeFileHandle WatchFolder(string path)
    {
        const uint closeWrite = 0x8, movedTo = 0x80, create = 0x100;
        var fd = InotifyInit(O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) throw Error("inotify_init1");
        var handle = new SafeFileHandle(fd, true);
        if (InotifyAddWatch(fd, path, closeWrite | movedTo | create) < 0)
        {
            handle.Dispose();
            throw Error("inotify_add_watch " + path);
        }
        return handle;
    }

    /// <summary>Runs code on a thread of its own that ends with it: for state that belongs to a thread (namespaces, working folder).</summary>
    internal static Task<T> OnThread<T>(Func<T> code)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                done.SetResult(code());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        }, 256 * 1024)
        { IsBackground = true, Name = "atoll-ns" };
        thread.Start();
        return done.Task;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct PollFd
    {
        public int Fd;
        public short Events;
        public short Returned;
    }
}
