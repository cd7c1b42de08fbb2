using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Atoll.Edge.Native;
using Atoll.Edge.Networks;

namespace Atoll.EndToEnd.Runtime;

/// <summary>Real bridges, namespaces and firewall tables, below names and addresses of the test's own.</summary>
public sealed class NetworkTests
{
    private const string Bridge = "attest0";

    [Fact]
    public async Task Pods_have_addresses_reach_each_other_and_host_ports_lead_to_them()
    {
        await using var bed = await RuntimeBed.OpenAsync();
        var before = await MachineAsync(bed);
        using var network = Open(bed);
        try
        {
            var server = await network.AttachAsync(new PodNetworkSpec("pod-a", "default", "a", [new HostPort(38080, 8080, "TCP", null)]), CancellationToken.None);
            Assert.Null(server.Error);
            var client = await network.AttachAsync(new PodNetworkSpec("pod-b", "default", "b", []), CancellationToken.None);
            Assert.Null(client.Error);
            Assert.NotEqual(server.Addresses[0], client.Addresses[0]);
            var taken = await network.AttachAsync(new PodNetworkSpec("pod-c", "default", "c", [new HostPort(38080, 1, "TCP", null)]), CancellationToken.None);
            Assert.Contains("38080", taken.Error);

            var spec = bed.Spec("sh", "-c", "mkdir /www; echo fine > /www/index.html; httpd -f -p 8080 -h /www") with { NetworkNamespacePath = server.NamespacePath };
            Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
            await using (var stream = await WhenUpAsync(() => network.ConnectAsync("pod-a", 8080, CancellationToken.None)))
                Assert.EndsWith("fine\n", await GetAsync(stream));

            var other = bed.Spec("sh", "-c", $"wget -qO- http://{server.Addresses[0]}:8080/; wget -qO- http://{network.Gateway}:38080/") with { NetworkNamespacePath = client.NamespacePath };
            var (ended, log) = await bed.RunAsync(other);
            Assert.Equal((0, "fine\nfine\n"), (ended.ExitCode, log));
            // From the node: by its loopback, and the pod itself by its own host port (hairpin).
            Assert.EndsWith("fine\n", await GetAsync(await DialAsync(IPAddress.Loopback, 38080)));
            Assert.EndsWith("fine\n", await GetAsync(await DialAsync(network.Gateway, 38080)));
            var (code, own, _) = await bed.ExecAsync(spec.Id, "wget", "-qO-", $"http://{network.Gateway}:38080/");
            Assert.Equal((0, "fine\n"), (code, own));

            // A new agent finds all as it was.
            using var again = Open(bed);
            Assert.Equal(["pod-a", "pod-b"], await again.ListAsync(CancellationToken.None));
            Assert.Equal(server.Addresses, (await again.AttachAsync(new PodNetworkSpec("pod-a", "default", "a", [new HostPort(38080, 8080, "TCP", null)]), CancellationToken.None)).Addresses);
            Assert.EndsWith("fine\n", await GetAsync(await again.ConnectAsync("pod-a", 8080, CancellationToken.None)));
        }
        finally
        {
            foreach (var instance in await bed.Runtime.ListAsync(CancellationToken.None)) await bed.Runtime.RemoveAsync(instance.Id, CancellationToken.None);
            await network.CleanupAsync(CancellationToken.None);
        }
        Assert.Equal(before, await MachineAsync(bed));
    }

    [Fact]
    public async Task A_network_that_a_reboot_took_is_made_again_with_its_address()
    {
        await using var bed = await RuntimeBed.OpenAsync();
        using var network = Open(bed);
        try
        {
            var first = await network.AttachAsync(new PodNetworkSpec("pod-a", "default", "a", []), CancellationToken.None);
            Assert.Null(first.Error);
            // What a reboot leaves: the lease, and (with the run folder on disk) an empty file in place of the mount.
            Posix.Unmount(first.NamespacePath!);
            await Child.RunAsync("/sbin/ip", ["link", "delete", "dev", Bridge], null, CancellationToken.None);
            using var again = Open(bed);
            var second = await again.AttachAsync(new PodNetworkSpec("pod-a", "default", "a", []), CancellationToken.None);
            Assert.Null(second.Error);
            Assert.Equal(first.Addresses, second.Addresses);
            var (ended, log) = await bed.RunAsync(bed.Spec("ip", "-o", "-4", "addr") with { NetworkNamespacePath = second.NamespacePath });
            Assert.Equal(0, ended.ExitCode);
            Assert.Contains(first.Addresses[0], log);
        }
        finally
        {
            await network.CleanupAsync(CancellationToken.None);
        }
    }

    [Fact]
    public async Task What_others_took_of_a_running_pods_network_is_brought_back()
    {
        await using var bed = await RuntimeBed.OpenAsync();
        using var network = Open(bed);
        try
        {
            var server = await network.AttachAsync(new PodNetworkSpec("pod-a", "default", "a", [new HostPort(38081, 8080, "TCP", null)]), CancellationToken.None);
            var client = await network.AttachAsync(new PodNetworkSpec("pod-b", "default", "b", []), CancellationToken.None);
            var spec = bed.Spec("sh", "-c", "mkdir /www; echo fine > /www/index.html; httpd -f -p 8080 -h /www") with { NetworkNamespacePath = server.NamespacePath };
            Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
            await using (var stream = await WhenUpAsync(() => network.ConnectAsync("pod-a", 8080, CancellationToken.None)))
                Assert.EndsWith("fine\n", await GetAsync(stream));

            Assert.True((await Child.RunAsync("/sbin/ip", ["link", "delete", "dev", Bridge], null, CancellationToken.None)).Ok);
            Assert.True((await Child.RunAsync("/sbin/ip", ["link", "delete", "dev", Veth("pod-b")], null, CancellationToken.None)).Ok);
            Assert.True((await Child.RunAsync("/usr/sbin/nft", ["delete", "table", "ip", $"atoll-{bed.Node}"], null, CancellationToken.None)).Ok);
            await network.RepairAsync(CancellationToken.None);

            Assert.EndsWith("fine\n", await GetAsync(await DialAsync(IPAddress.Loopback, 38081)));
            var (ended, log) = await bed.RunAsync(bed.Spec("sh", "-c", $"wget -qO- http://{server.Addresses[0]}:8080/") with { NetworkNamespacePath = client.NamespacePath });
            Assert.Equal((0, "fine\n"), (ended.ExitCode, log));
        }
        finally
        {
            foreach (var instance in await bed.Runtime.ListAsync(CancellationToken.None)) await bed.Runtime.RemoveAsync(instance.Id, CancellationToken.None);
            await network.CleanupAsync(CancellationToken.None);
        }
    }

    [Fact]
    public async Task Namespaces_whose_leases_are_gone_are_removed_as_often_as_asked()
    {
        await using var bed = await RuntimeBed.OpenAsync();
        var before = await MachineAsync(bed);
        using var network = Open(bed);
        var pod = await network.AttachAsync(new PodNetworkSpec("pod-a", "default", "a", []), CancellationToken.None);
        Assert.Null(pod.Error);
        // Somebody removed the node's state by hand; the run folder, with the mounts, is elsewhere.
        Directory.Delete(Path.Join(bed.Folder, "net"), recursive: true);
        using var again = Open(bed);
        await again.CleanupAsync(CancellationToken.None);
        await again.CleanupAsync(CancellationToken.None);
        Assert.False(File.Exists(pod.NamespacePath));
        Assert.Equal(before, await MachineAsync(bed));
    }

    [Fact]
    public async Task Another_node_can_neither_use_nor_remove_a_nodes_bridge()
    {
        await using var bed = await RuntimeBed.OpenAsync();
        using var network = Open(bed);
        using var other = new BridgePodNetwork(new BridgeNetworkOptions
        {
            Node = bed.Node + "-other", Bridge = Bridge, Subnet = IPNetwork.Parse("10.213.78.0/28"), StateFolder = Path.Join(bed.Folder, "net2"), RunFolder = Path.Join(bed.Folder, "run2"),
        });
        try
        {
            Assert.Null((await network.AttachAsync(new PodNetworkSpec("pod-a", "default", "a", []), CancellationToken.None)).Error);
            Assert.Contains($"belongs to node {bed.Node}:", (await other.AttachAsync(new PodNetworkSpec("pod-b", "default", "b", []), CancellationToken.None)).Error);
            await other.CleanupAsync(CancellationToken.None);
            Assert.Contains($",{Bridge},", $",{(await MachineAsync(bed)).Split('|')[0]},");
            using var again = Open(bed);
            Assert.Null((await again.AttachAsync(new PodNetworkSpec("pod-c", "default", "c", []), CancellationToken.None)).Error);
        }
        finally
        {
            await network.CleanupAsync(CancellationToken.None);
        }
        Assert.DoesNotContain(Bridge, await MachineAsync(bed));
    }

    private static BridgePodNetwork Open(RuntimeBed bed) => new(new BridgeNetworkOptions
    {
        Node = bed.Node, Bridge = Bridge, Subnet = IPNetwork.Parse("10.213.77.0/28"), StateFolder = Path.Join(bed.Folder, "net"), RunFolder = Path.Join(bed.Folder, "run"),
    });

    private static string Veth(string uid) => "at" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(uid)))[..12];

    private static async Task<string> MachineAsync(RuntimeBed bed)
    {
        var links = await Child.RunAsync("/sbin/ip", ["-br", "link"], null, CancellationToken.None);
        var tables = await Child.RunAsync("/usr/sbin/nft", ["list", "tables"], null, CancellationToken.None);
        // Other tests' pods come and go beside this one: only names that can be this test's count.
        string[] mine = [Bridge, Veth("pod-a"), Veth("pod-b"), Veth("pod-c")];
        var names = links.Output.Split('\n').Select(l => l.Split([' ', '@'])[0]).Where(n => Array.IndexOf(mine, n) >= 0).Order();
        return string.Join(',', names) + "|" + string.Join(',', tables.Output.Split('\n').Where(t => t.Contains($"atoll-{bed.Node}", StringComparison.Ordinal)).Order());
    }

    private static async Task<Stream> DialAsync(IPAddress address, int port)
    {
        var client = new TcpClient();
        await client.ConnectAsync(address, port);
        return client.GetStream();
    }

    private static async Task<Stream> WhenUpAsync(Func<Task<Stream>> connect)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
            try
            {
                return await connect();
            }
            catch (IOException) when (!limit.IsCancellationRequested)
            {
                await Task.Yield();
            }
    }

    private static async Task<string> GetAsync(Stream stream)
    {
        await stream.WriteAsync(Encoding.ASCII.GetBytes("GET / HTTP/1.0\r\n\r\n"));
        return await new StreamReader(stream).ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(60));
    }
}
