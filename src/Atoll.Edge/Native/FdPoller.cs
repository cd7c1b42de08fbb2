using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Atoll.Edge.Native;

/// <summary>
/// Waits for readiness of descriptors that .NET's sockets cannot take (pipes, pidfds, inotify), all on one thread.
/// A node has some tens of them, so poll(2) is enough, and its structure is the same on every architecture.
/// </summary>
internal sealed class FdPoller
{
    private readonly Lock gate = new();
    private readonly List<Waiter> waiters = [];
    private readonly SafeFileHandle wakeRead;
    private readonly SafeFileHandle wakeWrite;
    private bool started;

    private FdPoller() => (wakeRead, wakeWrite) = Posix.Pipe();

    /// <summary>The process's poller; its thread starts with the first wait.</summary>
    internal static FdPoller Instance { get; } = new();

    /// <summary>Completes when the descriptor is readable, at its end, or in error.</summary>
    internal async Task ReadableAsync(SafeFileHandle handle, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var waiter = new Waiter(handle);
        lock (gate)
        {
            waiters.Add(waiter);
            if (!started)
            {
                started = true;
                new Thread(Loop, 256 * 1024) { IsBackground = true, Name = "atoll-poll" }.Start();
            }
        }
        Wake();
        await using var registration = cancellation.Register(() =>
        {
            if (waiter.Done.TrySetCanceled(cancellation)) Wake();
        });
        await waiter.Done.Task.ConfigureAwait(false);
    }

    private void Wake() => Posix.Write(wakeWrite, [1]);

    private unsafe void Loop()
    {
        var fds = new Posix.PollFd[16];
        var current = new List<Waiter>();
        var drain = new byte[64];
        while (true)
        {
            lock (gate)
            {
                waiters.RemoveAll(w =>
                {
                    if (!w.Done.Task.IsCompleted) return false;
                    w.Release();
                    return true;
                });
                current.Clear();
                current.AddRange(waiters);
            }
            if (fds.Length < current.Count + 1) fds = new Posix.PollFd[current.Count * 2];
            fds[0] = new Posix.PollFd { Fd = (int)wakeRead.DangerousGetHandle(), Events = Posix.POLLIN };
            for (var i = 0; i < current.Count; i++)
                fds[i + 1] = new Posix.PollFd { Fd = current[i].Fd, Events = Posix.POLLIN };
            int ready;
            fixed (Posix.PollFd* p = fds) ready = Posix.Poll(p, (nuint)current.Count + 1, -1);
            if (ready < 0)
            {
                if (Marshal.GetLastPInvokeError() == Posix.EINTR) continue;
                throw Posix.Error("poll");
            }
            if (fds[0].Returned != 0) Posix.Read(wakeRead, drain);
            for (var i = 0; i < current.Count; i++)
            {
                if (fds[i + 1].Returned == 0) continue;
                current[i].Release();
                current[i].Done.TrySetResult();
            }
            foreach (var waiter in current)
                if (waiter.Done.Task.IsCompleted)
                    waiter.Release();
        }
    }

    /// <summary>Holds a reference on the handle while it is polled, so that its number cannot be reused meanwhile.</summary>
    private sealed class Waiter
    {
        private readonly SafeFileHandle handle;
        private int released;

        internal Waiter(SafeFileHandle handle)
        {
            this.handle = handle;
            var held = false;
            handle.DangerousAddRef(ref held);
            Fd = (int)handle.DangerousGetHandle();
        }

        internal int Fd { get; }

        internal TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        internal void Release()
        {
            if (Interlocked.Exchange(ref released, 1) == 0) handle.DangerousRelease();
        }
    }
}
