using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Atoll.EndToEnd.Sites;

namespace Atoll.EndToEnd.Wire;

/// <summary>
/// A weak line between a site's network namespace and this machine: two tun devices with this process between them, so that real
/// TCP connections of real processes, end to end, see delay, jitter, a rate with a modem's queue, a dead direction, a cut
/// or damaged contents; loss by the kernel itself (<see cref="LoseAsync"/>), or made here where it cannot. It is a second way to
/// the centre, under an address of its own (<see cref="CentreAddress"/>).
/// </summary>
internal sealed class WeakLine : IAsyncDisposable
{
    private const int Mtu = 1400;

    private readonly Tun _site, _centre;
    private readonly List<Thread> _threads = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly string _name, _siteNamespace;
    private readonly List<Process> _losing = [];

    private WeakLine(Tun site, Tun centre, string name, string siteNamespace, string centreAddress) =>
        (_site, _centre, _name, _siteNamespace, CentreAddress) = (site, centre, name, siteNamespace, centreAddress);

    /// <summary>The centre's address at the other end.</summary>
    internal string CentreAddress { get; }

    /// <summary>From the site to the centre.</summary>
    internal LineWay Up { get; } = new(1);

    /// <summary>From the centre to the site.</summary>
    internal LineWay Down { get; } = new(2);

    /// <summary>Lays a line to a namespace; <paramref name="number"/> (0-250) keeps addresses apart.</summary>
    internal static async Task<WeakLine> LayAsync(string siteNamespace, int number)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"weak{number}"), near = $"{name}c", far = $"{name}s", net = string.Create(CultureInfo.InvariantCulture, $"10.209.{number}");
        Tun centre = Tun.Create(near), site = Tun.Create(far);
        await Programs.OkAsync("ip", "link", "set", far, "netns", siteNamespace);
        await ConfigureAsync([], near, $"{net}.1", $"{net}.2");
        await ConfigureAsync(["-n", siteNamespace], far, $"{net}.2", $"{net}.1");
        var line = new WeakLine(site, centre, name, siteNamespace, $"{net}.1");
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

    /// <summary>
    /// Has the kernel lose a share of the packets (0 to 1) from now on: nftables drops them by chance as they arrive at either end, of
    /// which neither TCP sees more than of one that was lost on the way. False, with nothing changed, where this kernel cannot. Each
    /// table belongs to a process that reads from this one: they are gone as soon as it is, however it ends.
    /// </summary>
    internal async Task<bool> LoseAsync(double share)
    {
        string rule = string.Create(CultureInfo.InvariantCulture, $"numgen random mod 1000 < {share * 1000:0} counter drop");
        foreach (bool atCentre in (bool[])[true, false])
        {
            Process nft = Programs.Start("nsenter", [NetworkOf(atCentre), "nft", "-i"]);
            _losing.Add(nft);
            Task<string?> refused = nft.StandardError.ReadLineAsync();
            await nft.StandardInput.WriteLineAsync($"add table inet {_name} {{ flags owner; chain in {{ type filter hook input priority -300; iifname \"{_name}{(atCentre ? 'c' : 's')}\" {rule}; }}; }}");
            await nft.StandardInput.FlushAsync();
            await Until.TrueAsync("the kernel loses packets, or says why not", 10, async () => refused.IsCompleted || await LostAsync(atCentre) is not null);
            if (await LostAsync(atCentre) is null)
            {
                StopLosing();
                return false;
            }
        }
        return true;
    }

    /// <summary>How many packets the kernel has lost of those that arrived at an end, or null when it loses none by <see cref="LoseAsync"/>.</summary>
    internal async Task<int?> LostAsync(bool atCentre)
    {
        Outcome listed = await Programs.RunAsync("nsenter", [NetworkOf(atCentre), "nft", "list", "table", "inet", _name]);
        Match counted = Regex.Match(listed.Output, "counter packets ([0-9]+)", RegexOptions.CultureInvariant);
        return counted.Success ? int.Parse(counted.Groups[1].Value, CultureInfo.InvariantCulture) : null;
    }

    private string NetworkOf(bool centre) => centre ? "--net=/proc/self/ns/net" : $"--net=/run/netns/{_siteNamespace}";

    private void StopLosing()
    {
        foreach (Process nft in _losing)
        {
            nft.Kill();
            nft.WaitForExit();
            nft.Dispose();
        }
        _losing.Clear();
    }

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
        StopLosing();
        await _stop.CancelAsync();
        foreach (Thread thread in _threads)
            thread.Join();
        // With the last descriptor the device goes, wherever it was moved.
        _site.Dispose();
        _centre.Dispose();
        _stop.Dispose();
    }
}
