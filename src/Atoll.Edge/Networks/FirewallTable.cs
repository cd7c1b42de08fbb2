using System.Globalization;
using System.Text;

namespace Atoll.Edge.Networks;

/// <summary>
/// The node's own nftables table, always written whole in one transaction: what is there afterwards depends on nothing
/// that was there before. Outside reach by masquerade, host ports by DNAT (also from the node itself, by its loopback
/// address too, and from the pod to its own host port).
/// </summary>
internal static class FirewallTable
{
    internal static string Name(string node) => "atoll-" + node;

    internal static string Remove(string node) => $"table ip {Name(node)} {{}}\ndelete table ip {Name(node)}\n";

    internal static string Write(BridgeNetworkOptions options, IEnumerable<PodLease> leases)
    {
        var ports = new StringBuilder();
        foreach (var lease in leases)
            foreach (var port in lease.HostPorts)
            {
                // On any address of the node's own, or on one; never on what is only routed through it.
                var where = string.IsNullOrEmpty(port.HostIp) || port.HostIp == "0.0.0.0" ? "fib daddr type local" : "ip daddr " + port.HostIp;
                ports.Append(CultureInfo.InvariantCulture, $"    {where} {Protocol(port.Protocol)} dport {port.Host} dnat to {lease.Address}:{port.Container}\n");
            }
        return Remove(options.Node) + $$"""
            table ip {{Name(options.Node)}} {
              chain hostports {
            {{ports}}  }
              chain prerouting {
                type nat hook prerouting priority dstnat; policy accept;
                jump hostports
              }
              chain output {
                type nat hook output priority -100; policy accept;
                jump hostports
              }
              chain postrouting {
                type nat hook postrouting priority srcnat; policy accept;
                ip saddr {{options.Subnet}} oifname != "{{options.Bridge}}" masquerade
                ip saddr {{options.Subnet}} oifname "{{options.Bridge}}" ct status dnat masquerade
                ip saddr 127.0.0.0/8 oifname "{{options.Bridge}}" masquerade
              }
              chain loopback {
                type filter hook prerouting priority raw; policy accept;
                iifname "{{options.Bridge}}" ip daddr 127.0.0.0/8 drop
              }
            }

            """;
    }

    private static string Protocol(string protocol) => protocol.ToUpperInvariant() switch
    {
        "TCP" => "tcp",
        "UDP" => "udp",
        "SCTP" => "sctp",
        _ => throw new ArgumentException($"Unknown protocol \"{protocol}\"."),
    };
}
