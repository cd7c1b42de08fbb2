using System.Diagnostics;
using System.Globalization;
using Atoll.EndToEnd.Sites;

namespace Atoll.EndToEnd.Wire;

/// <summary>
/// A weak line between a site's network namespace and this machine: two tun devices with this process between them, so that real
/// TCP connections of real processes, end to end, see delay, jitter, a rate with a modem's queue, loss, a dead direction, a cut
/// or damaged contents. It is a second way to the centre, under an address of its own (<see cref="CentreAddress"/>).
/// </summary>
internal sealed class WeakLine : IAsyncDisposable
{
    private const int Mtu = 1400;

    private readonly Tun _site, _centre;
    private readonly List<Thread> _threads = [];
    private readonly CancellationTokenSource _stop = new();

    private WeakLine(Tun site, Tun centre, string centreAddress) => (_site, _centre, CentreAddress) = (site, centre, centreAddress);

    /// <summary>The centre's address at the other end.</summary>
    internal string CentreAddress { get; }

    /// <summary>From the site to the centre.</summary>
    internal LineWay Up { get; } = new(1);

    /// <summary>From the centre to the site.</summary>
    internal LineWay Down { get; } = new(2);

    /// <summary>Lays a line to a namespace; <paramref name="number"/> (0-250) keeps addresses apart.</summary>
    internal static async Task<WeakLine> LayAsync(string siteNamespace, int number)
    {
        string near = string.Create(CultureInfo.InvariantCulture, $"weak{number}c"), far = string.Create(CultureInfo.InvariantCulture, $"weak{number}s"), net = string.Create(CultureInfo.InvariantCulture, $"10.209.{number}");
        Tun centre = Tun.Create(near), site = Tun.Create(far);
        await Programs.OkAsync("ip", "link", "set", far, "netns", siteNamespace);
        await ConfigureAsync([], near, $"{net}.1", $"{net}.2");
        await ConfigureAsync(["-n", siteNamespace], far, $"{net}.2", $"{net}.1");
        var line = new WeakLine(site, centre, $"{net}.1");
        line.Run(site, centre, line.Up);
        line.Run(centre, site, line.Down);
        return line;

        static async Task ConfigureAsync(string[] where, string device, string address, string peer)
        {
            await Programs.OkAsync("ip", [.. where, "addr", "add", address, "peer", peer, "dev", device]);
            await Programs.OkAsync("ip", [.. where, "link", "set", device, "mtu", Mtu.ToString(CultureInfo.InvariantCulture), "up"]);
        }
    }

    /// <summary>Treats both directions alike.</summary>
    internal void Set(WaySettings settings) => (Up.Settings, Down.Settings) = (settings, settings);

    // One thread takes packets in and one gives them out when their time has come.
    private void Run(Tun from, Tun to, LineWay way)
    {
        var waiting = new Queue<(double At, byte[] Packet)>();
        var clock = Stopwatch.StartNew();
        Start(() =>
        {
            byte[] buffer = new byte[65_536];
            while (!_stop.IsCancellationRequested)
            {
                int length = from.Read(buffer);
                if (length > 0 && way.Send(buffer.AsSpan(0, length), clock.Elapsed.TotalMilliseconds) is { } at)
                    lock (waiting)
                    {
                        waiting.Enqueue((at, buffer.AsSpan(0, length).ToArray()));
                        Monitor.Pulse(waiting);
                    }
            }
        });
        Start(() =>
        {
            while (!_stop.IsCancellationRequested)
            {
                (double At, byte[] Packet) next;
                lock (waiting)
                {
                    double early = waiting.TryPeek(out next) ? next.At - clock.Elapsed.TotalMilliseconds : 100;
                    if (early > 0)
                    {
                        Monitor.Wait(waiting, (int)Math.Clamp(Math.Ceiling(early), 1, 100));
                        continue;
                    }
                    waiting.Dequeue();
                }
                to.Write(next.Packet, next.Packet.Length);
            }
        });
    }

    private void Start(ThreadStart body)
    {
        var thread = new Thread(body) { IsBackground = true };
        _threads.Add(thread);
        thread.Start();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (Thread thread in _threads)
            thread.Join();
        // With the last descriptor the device goes, wherever it was moved.
        _site.Dispose();
        _centre.Dispose();
        _stop.Dispose();
    }
}
