using System.Runtime.InteropServices;
using System.Text;

namespace Atoll.EndToEnd.Wire;

/// <summary>A tun device: IP packets that the kernel sends there are read here, and what is written here the kernel receives.</summary>
internal sealed class Tun : IDisposable
{
    private const ulong SetInterface = 0x400454ca;
    private const short TunWithoutHeader = 0x0001 | 0x1000;
    private const int ReadWrite = 2, NonBlocking = 2048;
    private const short PollIn = 1;

    private readonly int _descriptor;

    private Tun(int descriptor) => _descriptor = descriptor;

    /// <summary>Makes the device; it may be moved to another network namespace afterwards and stays in this process's hands.</summary>
    internal static Tun Create(string name)
    {
        int descriptor = Open([.. Encoding.ASCII.GetBytes("/dev/net/tun"), 0], ReadWrite | NonBlocking);
        if (descriptor < 0)
            throw new IOException($"/dev/net/tun: {Marshal.GetLastPInvokeErrorMessage()}");
        byte[] request = new byte[40];
        Encoding.ASCII.GetBytes(name, request);
        BitConverter.TryWriteBytes(request.AsSpan(16), TunWithoutHeader);
        if (Control(descriptor, SetInterface, request) < 0)
            throw new IOException($"tun {name}: {Marshal.GetLastPInvokeErrorMessage()}");
        return new Tun(descriptor);
    }

    /// <summary>The next packet's length, or 0 when none came within a tenth of a second.</summary>
    internal int Read(byte[] packet)
    {
        PollEntry[] entries = [new PollEntry { Descriptor = _descriptor, Events = PollIn }];
        return Poll(entries, 1, 100) > 0 ? Math.Max(0, (int)ReadFrom(_descriptor, packet, packet.Length)) : 0;
    }

    internal void Write(byte[] packet, int length) => _ = WriteTo(_descriptor, packet, length);

    public void Dispose() => _ = Close(_descriptor);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int Open(byte[] path, int flags);

    [DllImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static extern int Control(int descriptor, ulong request, byte[] argument);

    [DllImport("libc", EntryPoint = "poll")]
    private static extern int Poll([In, Out] PollEntry[] entries, ulong count, int timeoutMs);

    [DllImport("libc", EntryPoint = "read")]
    private static extern nint ReadFrom(int descriptor, byte[] buffer, nint length);

    [DllImport("libc", EntryPoint = "write")]
    private static extern nint WriteTo(int descriptor, byte[] buffer, nint length);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int Close(int descriptor);
}
