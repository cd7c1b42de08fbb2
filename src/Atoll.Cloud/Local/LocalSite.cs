namespace Atoll.Cloud.Local;

/// <summary>One of the sites that <c>atoll up</c> runs on this machine, and everything that is named after it.</summary>
internal sealed record LocalSite(string Name, int Index, string Region, string Kind)
{
    /// <summary>The three sites of <c>atoll up</c>.</summary>
    public static IReadOnlyList<LocalSite> All { get; } = [new("alpha", 1, "east", "field"), new("bravo", 2, "east", "near"), new("charlie", 3, "west", "near")];

    /// <summary>Network namespace that stands for the site's premises.</summary>
    public string Namespace => $"atoll-{Name}";

    /// <summary>Router's end of the uplink.</summary>
    public string RouterLink => $"up-{Name}";

    /// <summary>Host's end of the users' network at the site.</summary>
    public string UserLink => $"atoll-u{Index}";

    /// <summary>Address of the site's uplink, behind NAT.</summary>
    public string UplinkAddress => $"10.213.{10 + Index}.2";

    /// <summary>Router's address on the uplink.</summary>
    public string RouterAddress => $"10.213.{10 + Index}.1";

    /// <summary>Address at which users next to the site reach it.</summary>
    public string UserAddress => $"10.214.{Index}.2";

    /// <summary>Host's address on the users' network.</summary>
    public string UserGateway => $"10.214.{Index}.1";

    /// <summary>Subnet of the site's pods.</summary>
    public string PodSubnet => $"10.88.{Index}.0/24";

    /// <summary>The site of a name; throws with the names that exist.</summary>
    public static LocalSite Find(string name) =>
        All.FirstOrDefault(s => s.Name == name) ?? throw new ArgumentException($"site '{name}' is not one of this machine's sites: {string.Join(", ", All.Select(s => s.Name))}");
}
