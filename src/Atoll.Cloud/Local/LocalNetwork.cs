namespace Atoll.Cloud.Local;

/// <summary>
/// The network of <c>atoll up</c>: this machine plays the centre; a router namespace plays the public network and hides the
/// sites behind NAT; each site is a namespace of its own. A second link leads to each site from the side of its users, so
/// that cutting the uplink cuts the centre off and not the users.
/// <code>
///   centre (host) 10.213.0.1 ── router (NAT) ──┬── site alpha   ── users 10.214.1.0/24
///                                              ├── site bravo   ── users 10.214.2.0/24
///                                              └── site charlie ── users 10.214.3.0/24
/// </code>
/// </summary>
internal static class LocalNetwork
{
    /// <summary>Address of the centre, as the sites see it.</summary>
    public const string CentreAddress = "10.213.0.1";

    private const string Router = "atoll-net", HostLink = "atoll0", RouterUplink = "up0", RouterAddress = "10.213.0.2";

    /// <summary>Makes what is missing.</summary>
    public static async Task EnsureAsync(CancellationToken cancellation)
    {
        await NamespaceAsync(Router, cancellation);
        await LinkAsync(HostLink, null, CentreAddress, RouterUplink, Router, RouterAddress, cancellation);
        await InAsync(Router, cancellation, "sysctl", "-qw", "net.ipv4.ip_forward=1");
        await Tool.FeedAsync(cancellation, """
            table ip atoll_nat
            delete table ip atoll_nat
            table ip atoll_nat {
              chain postrouting {
                type nat hook postrouting priority srcnat; policy accept;
                oifname "up0" masquerade
              }
            }
            """, "ip", "netns", "exec", Router, "nft", "-f", "-");
        foreach (LocalSite site in LocalSite.All)
        {
            await NamespaceAsync(site.Namespace, cancellation);
            await LinkAsync(site.RouterLink, Router, site.RouterAddress, "uplink", site.Namespace, site.UplinkAddress, cancellation);
            await InAsync(site.Namespace, cancellation, "ip", "route", "replace", "default", "via", site.RouterAddress);
            await LinkAsync(site.UserLink, null, site.UserGateway, "users", site.Namespace, site.UserAddress, cancellation);
        }
    }

    /// <summary>Cuts a site's uplink: packets vanish in both directions, as on a dead line; nobody is told.</summary>
    public static Task CutAsync(LocalSite site, CancellationToken cancellation) => Tool.FeedAsync(cancellation, $$"""
        table ip {{CutTable(site)}}
        delete table ip {{CutTable(site)}}
        table ip {{CutTable(site)}} {
          chain forward {
            type filter hook forward priority -200; policy accept;
            iifname "{{site.RouterLink}}" drop
            oifname "{{site.RouterLink}}" drop
          }
        }
        """, "ip", "netns", "exec", Router, "nft", "-f", "-");

    /// <summary>Heals a cut.</summary>
    public static Task HealAsync(LocalSite site, CancellationToken cancellation) =>
        Tool.FeedAsync(cancellation, $"table ip {CutTable(site)}\ndelete table ip {CutTable(site)}\n", "ip", "netns", "exec", Router, "nft", "-f", "-");

    /// <summary>True when the site's uplink is cut.</summary>
    public static Task<bool> IsCutAsync(LocalSite site, CancellationToken cancellation) =>
        Tool.SucceedsAsync(cancellation, "ip", "netns", "exec", Router, "nft", "list", "table", "ip", CutTable(site));

    /// <summary>True when the network is there.</summary>
    public static bool Exists => File.Exists($"/run/netns/{Router}");

    /// <summary>Removes everything; what is already gone is no error.</summary>
    public static async Task RemoveAsync(CancellationToken cancellation)
    {
        foreach (LocalSite site in LocalSite.All)
        {
            await Tool.SucceedsAsync(cancellation, "ip", "link", "delete", site.UserLink);
            await DeleteNamespaceAsync(site.Namespace, cancellation);
        }
        await Tool.SucceedsAsync(cancellation, "ip", "link", "delete", HostLink);
        await DeleteNamespaceAsync(Router, cancellation);
    }

    private static string CutTable(LocalSite site) => $"atoll_cut_{site.Name}";

    private static async Task NamespaceAsync(string name, CancellationToken cancellation)
    {
        if (!File.Exists($"/run/netns/{name}"))
            await Tool.RunAsync(cancellation, "ip", "netns", "add", name);
        await InAsync(name, cancellation, "ip", "link", "set", "lo", "up");
    }

    private static async Task DeleteNamespaceAsync(string name, CancellationToken cancellation)
    {
        if (File.Exists($"/run/netns/{name}"))
            await Tool.RunAsync(cancellation, "ip", "netns", "delete", name);
    }

    private static async Task LinkAsync(string near, string? nearNamespace, string nearAddress, string far, string farNamespace, string farAddress, CancellationToken cancellation)
    {
        if (!await Tool.SucceedsAsync(cancellation, "ip", In(nearNamespace, "link", "show", near)))
        {
            await Tool.RunAsync(cancellation, "ip", In(nearNamespace, "link", "add", near, "type", "veth", "peer", "name", far, "netns", farNamespace));
            await Tool.RunAsync(cancellation, "ip", In(nearNamespace, "addr", "replace", $"{nearAddress}/24", "dev", near));
            await Tool.RunAsync(cancellation, "ip", In(farNamespace, "addr", "replace", $"{farAddress}/24", "dev", far));
        }
        await Tool.RunAsync(cancellation, "ip", In(nearNamespace, "link", "set", near, "up"));
        await Tool.RunAsync(cancellation, "ip", In(farNamespace, "link", "set", far, "up"));
    }

    private static List<string> In(string? ns, params IReadOnlyList<string> arguments) => ns is null ? [.. arguments] : ["-n", ns, .. arguments];

    private static Task InAsync(string ns, CancellationToken cancellation, params IReadOnlyList<string> command) =>
        Tool.RunAsync(cancellation, "ip", ["netns", "exec", ns, .. command]);
}
