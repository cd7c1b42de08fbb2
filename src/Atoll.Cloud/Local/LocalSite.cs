namespace Atoll.Cloud.Local;

/// <summary>One of the sites that <c>atoll up</c> runs on this machine, and everything that is named after it.</summary>
internal sealed record LocalSite(string Name, int Index, string Region, string Kind, int Instance)
{
    private static readonly (string Name, string Region, string Kind)[] s_sites = [("alpha", "east", "field"), ("bravo", "east", "near"), ("charlie", "west", "near")];

    /// <summary>The three sites of an instance of <c>atoll up</c>: names end with the instance's number, except in instance 0.</summary>
    public static IReadOnlyList<LocalSite> Of(int instance) => [.. s_sites.Select((s, i) => new LocalSite(instance == 0 ? s.Name : $"{s.Name}-{instance}", i + 1, s.Region, s.Kind, instance))];

    /// <summary>Network namespace that stands for the site's premises.</summary>
    public string Namespace => $"atoll-{Name}";

    /// <summary>Router's end of the uplink.</summary>
    public string RouterLink => $"up-{Name}";

    /// <summary>Host's end of the users' network at the site.</summary>
    public string UserLink => Instance == 0 ? $"atoll-u{Index}" : $"atoll-u{Index}-{Instance}";

    /// <summary>Address of the site's uplink, behind NAT.</summary>
    public string UplinkAddress => $"10.{213 + 2 * Instance}.{10 + Index}.2";

    /// <summary>Router's address on the uplink.</summary>
    public string RouterAddress => $"10.{213 + 2 * Instance}.{10 + Index}.1";

    /// <summary>Address at which users next to the site reach it.</summary>
    public string UserAddress => $"10.{214 + 2 * Instance}.{Index}.2";

    /// <summary>Host's address on the users' network.</summary>
    public string UserGateway => $"10.{214 + 2 * Instance}.{Index}.1";

    /// <summary>Subnet of the site's pods.</summary>
    public string PodSubnet => $"10.88.{Index}.0/24";
}
