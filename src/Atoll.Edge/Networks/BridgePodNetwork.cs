using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Atoll.Edge.Native;

namespace Atoll.Edge.Networks;

/// <summary>
/// A network namespace and an address on the node's bridge for each pod, made with <c>ip</c> and <c>nft</c> (see
/// docs/decisions/0002-pod-network.md for why not by CNI plugins). Leases are files; namespaces are mounts below the run
/// folder; the firewall table is derived from the leases alone. Everything can be done again at any point.
/// </summary>
public sealed class BridgePodNetwork : IPodNetwork, IDisposable
{
    private const string InPod = "eth0";
    private readonly BridgeNetworkOptions options;
    private readonly AddressPool pool;
    private readonly SemaphoreSlim gate = new(1, 1);
    private readonly string bootId = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
    private bool prepared;

    /// <summary>A network over one node's folders; it touches nothing before its first call.</summary>
    public BridgePodNetwork(BridgeNetworkOptions options)
    {
        if (options.Bridge.Length is 0 or > 15) throw new ArgumentException("A bridge's name has 1 to 15 characters.", nameof(options));
        if (options.Subnet.BaseAddress.AddressFamily != AddressFamily.InterNetwork || options.Subnet.PrefixLength is < 8 or > 29)
            throw new ArgumentException("The subnet must be an IPv4 one of /8 to /29.", nameof(options));
        this.options = options;
        pool = new AddressPool(options.Subnet);
    }

    private string Leases => Path.Join(options.StateFolder, "leases");

    private string Namespaces => Path.Join(options.RunFolder, "netns");

    /// <summary>The bridge's address: how pods reach the node.</summary>
    public IPAddress Gateway => pool.Gateway;

    /// <inheritdoc/>
    public async Task<PodNetworkResult> AttachAsync(PodNetworkSpec spec, CancellationToken cancellation)
    {
        if (!IsName(spec.PodUid)) return new PodNetworkResult(null, [], $"\"{spec.PodUid}\" is no pod uid");
        await gate.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            await PrepareAsync(cancellation).ConfigureAwait(false);
            var all = ReadLeases();
            var lease = all.FirstOrDefault(l => l.PodUid == spec.PodUid);
            if (lease is not null && lease.ReadyInBoot == bootId && IsMounted(spec.PodUid)) return new PodNetworkResult(NamespacePath(spec.PodUid), [lease.Address], null);
            if (Conflict(spec, all) is { } conflict) return new PodNetworkResult(null, [], conflict);
            var address = lease?.Address ?? pool.Next(all.Select(l => l.Address).ToHashSet())?.ToString();
            if (address is null) return new PodNetworkResult(null, [], $"no free address in {options.Subnet}");
            lease = new PodLease { PodUid = spec.PodUid, Address = address, HostPorts = spec.HostPorts };
            lease.Write(LeasePath(spec.PodUid));
            try
            {
                await MakeAsync(lease, cancellation).ConfigureAwait(false);
                if (spec.HostPorts.Count > 0) await WriteFirewallAsync(cancellation).ConfigureAwait(false);
                (lease with { ReadyInBoot = bootId }).Write(LeasePath(spec.PodUid));
            }
            catch
            {
                await RemoveAsync(lease).ConfigureAwait(false);
                throw;
            }
            return new PodNetworkResult(NamespacePath(spec.PodUid), [address], null);
        }
        catch (Exception e) when (e is IOException or System.ComponentModel.Win32Exception or UnauthorizedAccessException or ArgumentException)
        {
            return new PodNetworkResult(null, [], e.Message);
        }
        finally
        {
            gate.Release();
        }
    }

    /// <inheritdoc/>
    public async Task DetachAsync(string podUid, CancellationToken cancellation)
    {
        if (!IsName(podUid)) return;
        await gate.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            var lease = PodLease.Read(LeasePath(podUid));
            if (lease is null && !File.Exists(NamespacePath(podUid))) return;
            await RemoveAsync(lease ?? new PodLease { PodUid = podUid, Address = "" }).ConfigureAwait(false);
        }
        finally
        {
            gate.Release();
        }
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListAsync(CancellationToken cancellation)
    {
        var uids = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var lease in ReadLeases()) uids.Add(lease.PodUid);
        if (Directory.Exists(Namespaces))
            foreach (var file in Directory.EnumerateFiles(Namespaces)) uids.Add(Path.GetFileName(file));
        return Task.FromResult<IReadOnlyList<string>>([.. uids]);
    }

    /// <inheritdoc/>
    public async Task RepairAsync(CancellationToken cancellation)
    {
        await gate.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            var leases = ReadLeases().FindAll(l => l.ReadyInBoot == bootId && IsMounted(l.PodUid));
            if (leases.Count == 0) return;
            prepared = false; // A firewall's restart flushes every table: ours is written again, as a whole.
            await PrepareAsync(cancellation).ConfigureAwait(false);
            var links = await Child.RunAsync(Tool("ip"), ["-o", "link", "show"], null, cancellation).ConfigureAwait(false);
            foreach (var lease in leases)
            {
                var veth = Veth(lease.PodUid);
                var line = links.Output.Split('\n').FirstOrDefault(l => l.Contains($": {veth}@", StringComparison.Ordinal));
                if (line is null)
                    await WireAsync(lease, cancellation).ConfigureAwait(false);
                else if (!line.Contains($" master {options.Bridge} ", StringComparison.Ordinal))
                    await IpAsync($"link set dev {veth} master {options.Bridge}\nlink set dev {veth} type bridge_slave hairpin on\nlink set dev {veth} up\n", cancellation).ConfigureAwait(false);
            }
        }
        finally
        {
            gate.Release();
        }
    }

    /// <inheritdoc/>
    public async Task<Stream> ConnectAsync(string podUid, int port, CancellationToken cancellation)
    {
        var path = NamespacePath(podUid);
        if (!IsName(podUid) || !File.Exists(path)) throw new IOException($"pod {podUid} has no network namespace on this node");
        var addresses = new List<IPAddress> { IPAddress.Loopback };
        if (PodLease.Read(LeasePath(podUid)) is { } lease) addresses.Add(IPAddress.Parse(lease.Address));
        SocketException? failure = null;
        foreach (var address in addresses)
        {
            // A socket belongs for ever to the namespace of the thread that made it.
            var socket = await Posix.OnThread(() =>
            {
                using var ns = Posix.Open(path, Posix.O_RDONLY);
                Posix.SetNamespace(ns, Posix.CLONE_NEWNET);
                return new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            }).ConfigureAwait(false);
            try
            {
                await socket.ConnectAsync(new IPEndPoint(address, port), cancellation).ConfigureAwait(false);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch (SocketException e)
            {
                failure = e;
                socket.Dispose();
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
        throw new IOException($"dial tcp 127.0.0.1:{port}: {failure!.Message}", failure);
    }

    /// <summary>Removes every pod's network, the bridge and the firewall table: nothing of this node stays on the machine.</summary>
    public async Task CleanupAsync(CancellationToken cancellation)
    {
        foreach (var uid in await ListAsync(cancellation).ConfigureAwait(false)) await DetachAsync(uid, cancellation).ConfigureAwait(false);
        await gate.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            prepared = false;
            await NftAsync(FirewallTable.Remove(options.Node), cancellation).ConfigureAwait(false);
            if (await BridgeOwnerAsync(cancellation).ConfigureAwait(false) is { } owner && (owner.Length == 0 || owner == options.Node))
                await DeleteLinkAsync(options.Bridge).ConfigureAwait(false);
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>Frees what the object holds; pods keep their networks.</summary>
    public void Dispose() => gate.Dispose();

    private async Task PrepareAsync(CancellationToken cancellation)
    {
        if (prepared) return;
        AtomicFile.CreateFolder(Leases);
        AtomicFile.CreateFolder(Namespaces);
        var owner = await BridgeOwnerAsync(cancellation).ConfigureAwait(false);
        if (owner is null)
            await IpAsync($"link add name {options.Bridge} type bridge forward_delay 0\n", cancellation).ConfigureAwait(false);
        else if (owner.Length > 0 && owner != options.Node)
            throw new IOException($"the bridge {options.Bridge} belongs to node {owner}: a machine (or network namespace) holds one node; reset that one, or run this one elsewhere");
        await IpAsync($"link set dev {options.Bridge} alias {options.Node}\naddress replace {pool.Gateway}/{options.Subnet.PrefixLength} dev {options.Bridge}\nlink set dev {options.Bridge} up\n", cancellation).ConfigureAwait(false);
        await File.WriteAllTextAsync("/proc/sys/net/ipv4/ip_forward", "1", cancellation).ConfigureAwait(false);
        // A host port must answer on 127.0.0.1 too; the table's loopback chain keeps pods off the node's own loopback.
        await File.WriteAllTextAsync($"/proc/sys/net/ipv4/conf/{options.Bridge}/route_localnet", "1", cancellation).ConfigureAwait(false);
        await WriteFirewallAsync(cancellation).ConfigureAwait(false);
        prepared = true;
    }

    /// <summary>The node whose bridge this is, as its alias says: null without a bridge, empty when nobody claimed it.</summary>
    private async Task<string?> BridgeOwnerAsync(CancellationToken cancellation)
    {
        // The listing asks the kernel for this thread's namespace: /sys shows that of whoever mounted it.
        var links = await Child.RunAsync(Tool("ip"), ["-o", "link", "show", "type", "bridge"], null, cancellation).ConfigureAwait(false);
        foreach (var line in links.Output.Split('\n'))
            if (line.Contains($": {options.Bridge}:", StringComparison.Ordinal))
                return line.IndexOf(" alias ", StringComparison.Ordinal) is > 0 and var at ? line[(at + " alias ".Length)..].Trim() : "";
        return null;
    }

    private async Task MakeAsync(PodLease lease, CancellationToken cancellation)
    {
        var path = NamespacePath(lease.PodUid);
        await TearDownAsync(lease.PodUid).ConfigureAwait(false);
        await Posix.OnThread(() =>
        {
            File.Create(path).Dispose();
            Posix.Unshare(Posix.CLONE_NEWNET);
            Posix.Mount("/proc/thread-self/ns/net", path, null, Posix.MS_BIND, null);
            return true;
        }).ConfigureAwait(false);
        await WireAsync(lease, cancellation).ConfigureAwait(false);
    }

    /// <summary>Leads from the pod's namespace, which is there, to the bridge.</summary>
    private async Task WireAsync(PodLease lease, CancellationToken cancellation)
    {
        var path = NamespacePath(lease.PodUid);
        var veth = Veth(lease.PodUid);
        await IpAsync($"link add name {veth} type veth peer name {InPod} netns {path}\nlink set dev {veth} master {options.Bridge}\nlink set dev {veth} type bridge_slave hairpin on\nlink set dev {veth} up\n", cancellation).ConfigureAwait(false);
        var inside = await Posix.OnThread(() =>
        {
            using var ns = Posix.Open(path, Posix.O_RDONLY);
            Posix.SetNamespace(ns, Posix.CLONE_NEWNET);
            // The child is started here, in the pod's namespace; only the wait for it goes on elsewhere.
            return IpAsync($"link set dev lo up\naddress add {lease.Address}/{options.Subnet.PrefixLength} dev {InPod}\nlink set dev {InPod} up\nroute add default via {pool.Gateway}\n", cancellation);
        }).ConfigureAwait(false);
        await inside.ConfigureAwait(false);
    }

    private async Task RemoveAsync(PodLease lease)
    {
        await TearDownAsync(lease.PodUid).ConfigureAwait(false);
        // The state folder may have gone by hand, with the namespaces, which are in the run folder, still there.
        if (File.Exists(LeasePath(lease.PodUid))) File.Delete(LeasePath(lease.PodUid));
        if (lease.HostPorts.Count > 0) await WriteFirewallAsync(CancellationToken.None).ConfigureAwait(false);
    }

    private async Task TearDownAsync(string uid)
    {
        // The pair goes first: a namespace that a process still holds would keep its end for as long.
        await DeleteLinkAsync(Veth(uid)).ConfigureAwait(false);
        var path = NamespacePath(uid);
        if (!File.Exists(path)) return; // A reboot took it, and the folder as well.
        Posix.Unmount(path);
        File.Delete(path);
    }

    private static async Task DeleteLinkAsync(string name)
    {
        var gone = await Child.RunAsync(Tool("ip"), ["link", "delete", "dev", name], null, CancellationToken.None).ConfigureAwait(false);
        if (!gone.Ok && !gone.Error.Contains("Cannot find device", StringComparison.Ordinal)) throw new IOException($"ip link delete {name}: {gone.Error.Trim()}");
    }

    private Task WriteFirewallAsync(CancellationToken cancellation) => NftAsync(FirewallTable.Write(options, ReadLeases()), cancellation);

    private static string? Conflict(PodNetworkSpec spec, List<PodLease> others)
    {
        foreach (var port in spec.HostPorts)
        {
            if (port.Host is < 1 or > 65535 || port.Container is < 1 or > 65535) return $"host port {port.Host}:{port.Container} is out of range";
            if (!string.IsNullOrEmpty(port.HostIp) && (!IPAddress.TryParse(port.HostIp, out var ip) || ip.AddressFamily != AddressFamily.InterNetwork)) return $"host IP \"{port.HostIp}\" is no IPv4 address";
            foreach (var other in others)
                if (other.PodUid != spec.PodUid && other.HostPorts.Any(p => p.Host == port.Host && p.Protocol.Equals(port.Protocol, StringComparison.OrdinalIgnoreCase) && (Any(p.HostIp) || Any(port.HostIp) || p.HostIp == port.HostIp)))
                    return $"host port {port.Host}/{port.Protocol} is taken by pod {other.PodUid}";
        }
        return null;

        static bool Any(string? ip) => string.IsNullOrEmpty(ip) || ip == "0.0.0.0";
    }

    private List<PodLease> ReadLeases()
    {
        var all = new List<PodLease>();
        if (!Directory.Exists(Leases)) return all;
        foreach (var file in Directory.EnumerateFiles(Leases, "*.json"))
            if (PodLease.Read(file) is { } lease)
                all.Add(lease);
        return all;
    }

    /// <summary>A namespace's file is a mount; without one (a reboot with the run folder on disk) it is only an empty file.</summary>
    private bool IsMounted(string uid)
    {
        var path = NamespacePath(uid);
        return File.ReadLines("/proc/self/mountinfo").Any(l => l.Split(' ', 6)[4] == path);
    }

    private static async Task IpAsync(string batch, CancellationToken cancellation)
    {
        var result = await Child.RunAsync(Tool("ip"), ["-batch", "-"], batch, cancellation).ConfigureAwait(false);
        if (!result.Ok) throw new IOException("ip: " + result.Error.Trim());
    }

    private static async Task NftAsync(string rules, CancellationToken cancellation)
    {
        var result = await Child.RunAsync(Tool("nft"), ["-f", "-"], rules, cancellation).ConfigureAwait(false);
        if (!result.Ok) throw new IOException("nft: " + result.Error.Trim());
    }

    private static string Tool(string name) => Child.Find(name) ?? throw new IOException($"{name} is not installed");

    private static bool IsName(string uid) => uid.Length is > 0 and <= 63 && uid.All(c => char.IsAsciiLetterOrDigit(c) || c == '-');

    /// <summary>An interface's name has 15 characters at most: a digest of the uid, which is unique on the machine.</summary>
    private static string Veth(string uid) => "at" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(uid)))[..12];

    private string NamespacePath(string uid) => Path.Join(Namespaces, uid);

    private string LeasePath(string uid) => Path.Join(Leases, uid + ".json");
}
