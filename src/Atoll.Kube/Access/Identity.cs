namespace Atoll.Kube.Access;

/// <summary>Who makes a request: a user with groups, as a client certificate (CN, O) or a token says.</summary>
public sealed record Identity
{
    /// <summary>Group whose members may do everything.</summary>
    public const string Masters = "system:masters";

    /// <summary>Group of all sites.</summary>
    public const string Sites = "system:sites";

    /// <summary>Prefix of a site's user name; the site's name follows.</summary>
    public const string SitePrefix = "system:site:";

    /// <summary>Nobody: may only read health and version.</summary>
    public static Identity Anonymous { get; } = new("system:anonymous", "system:unauthenticated");

    /// <summary>An identity of a user and groups.</summary>
    public Identity(string user, params IReadOnlyList<string> groups)
    {
        User = user;
        Groups = groups;
    }

    /// <summary>User name.</summary>
    public string User { get; }

    /// <summary>Groups.</summary>
    public IReadOnlyList<string> Groups { get; }

    /// <summary>
    /// True for parts of the program itself, which cannot come from outside: they may set metadata.uid on create and
    /// are not subject to the write policy.
    /// </summary>
    public bool IsTrusted { get; private init; }

    /// <summary>True for a member of <see cref="Masters"/>.</summary>
    public bool IsMaster => IsTrusted || IsIn(Masters);

    /// <summary>The site that this identity is, or null. Both the name and the group must say so.</summary>
    public string? SiteName => User.StartsWith(SitePrefix, StringComparison.Ordinal) && User.Length > SitePrefix.Length && IsIn(Sites) ? User[SitePrefix.Length..] : null;

    /// <summary>A part of the program itself, such as <c>system:link</c> or <c>system:controller:deployment</c>.</summary>
    public static Identity Trusted(string user) => new(user, Masters, "system:authenticated") { IsTrusted = true };

    /// <summary>An administrator.</summary>
    public static Identity Administrator(string user) => new(user, Masters, "system:authenticated");

    /// <summary>A site.</summary>
    public static Identity Site(string site) => new(SitePrefix + site, Sites, "system:authenticated");

    /// <summary>True when the identity belongs to a group.</summary>
    public bool IsIn(string group)
    {
        for (int i = 0; i < Groups.Count; i++)
            if (Groups[i] == group)
                return true;
        return false;
    }
}
