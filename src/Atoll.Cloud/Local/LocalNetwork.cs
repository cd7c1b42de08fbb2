namespace Atoll.Cloud.Local;

/// <summary>
/// The network of <c>atoll up</c>: this machine plays the centre; a router namespace plays the public network and hides the
/// sites behind NAT; each site is a namespace of its own. A second link leads to each site from the side of its users, so
/// that cutting the uplink cuts the centre off and not the users. Several instances can live side by side: number 0 is drawn here,
/// number N has 10.(213 + 2N) and 10.(214 + 2N).
/// <code>
///   centre (host) 10.213.0.1 ── router (NAT) ──┬── site alpha   ── users 10.214.1.0/24
///                                              ├── site bravo   ── users 10.214.2.0/24
///                                              └── site charlie ── users 10.214.3.0/24
/// </code>
/// </summary>
internal sealed class LocalNetwork(int instance)
{
    /// <summary>Address of the centre, as the sites see it.</summary>
    public string CentreAddress { get; } = $"10.{213 + 2 * instance}.0.1";

    /// <summary>The highest number of an instance: it has the last addresses of 10.0.0.0/8.</summary>
    public const int LastInstance = 20;

    private const string RouterUplink = "up0";

    private readonly string _router = instance == 0 ? "atoll-net" : $"atoll-net-{instance}", _hostLink = $"atoll{instance}", _routerAddress = $"10.{213 + 2 * instance}.0.2";

    /// <summary>The sites on this network.</summary>
    public IReadOnlyList<LocalSite> Sites { get; } = LocalSite.Of(instance);

    /// <summary>Makes what is missing.</summary>
    public async Task EnsureAsync(CancellationToken cancellation)
    {
        await NamespaceAsync(_router, cancellation);
        await LinkAsync(_hostLink, null, CentreAddress, RouterUplink, _router, _routerAddress, cancellation);
        await InAsync(_router, cancellation, "sysctl", "-qw", "net.ipv4.ip_forward=1");
        await Tool.FeedAsync(cancellation, """
            table ip atoll_nat
            delete table ip atoll_nat
            table ip atoll_nat {
              chain postrouting {
                type nat hook postrouting priority srcnat; policy accept;
                oifname "up0" masquerade
              }
            }
            """, "ip", "netns", "exec", _router, "nft", "-f", "-");
        foreach (LocalSite site in Sites)
        {
            await NamespaceAsync(site.Namespace, cancellation);
            await LinkAsync(site.RouterLink, _router, site.RouterAddress, "uplink", site.Namespace, site.UplinkAddress, cancellation);
            await InAsync(site.Namespace, cancellation, "ip", "route", "replace", "default", "via", site.RouterAddress);
            await LinkAsync(site.UserLink, null, site.UserGateway, "users", site.Namespace, site.UserAddress, cancellation);
        }
    }

    /// <summary>Cuts a site's uplink: packets vanish in both directions, as on a dead line; nobody is told.</summary>
    public Task CutAsync(LocalSite site, CancellationToken cancellation) => Tool.FeedAsync(cancellation, $$"""
        table ip {{CutTable(site)}}
        delete table ip {{CutTable(site)}}
        table ip {{CutTable(site)}} {
          chain forward {
            type filter hook forward priority -200; policy accept;
            iifname "{{site.RouterLink}}" drop
            oifname "{{site.RouterLink}}" drop
          }
        }
        """, "ip", "netns", "exec", _router, "nft", "-f", "-");

    /// <summary>Heals a cut.</summary>
    public Task HealAsync(LocalSite site, CancellationToken cancellation) =>
        Tool.FeedAsync(cancellation, $"table ip {CutTable(site)}\ndelete table ip {CutTable(site)}\n", "ip", "netns", "exec", _router, "nft", "-f", "-");

    /// <summary>True when the site's uplink is cut.</summary>
    public Task<bool> IsCutAsync(LocalSite site, CancellationToken cancellation) =>
        Tool.SucceedsAsync(cancellation, "ip", "netns", "exec", _router, "nft", "list", "table", "ip", CutTable(site));

    /// <summary>True when the network is there.</summary>
    public bool Exists => File.Exists($"/run/netns/{_router}");

    /// <summary>Removes everything; what is already gone is no error.</summary>
    public async Task RemoveAsync(CancellationToken cancellation)
    {
        foreach (LocalSite site in Sites)
        {
            await Tool.SucceedsAsync(cancellation, "ip", "link", "delete", site.UserLink);
            await DeleteNamespaceAsync(site.Namespace, cancellation);
        }
        await Tool.SucceedsAsync(cancellation, "ip", "link", "delete", _hostLink);
        await DeleteNamespaceAsync(_router, cancellation);
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
