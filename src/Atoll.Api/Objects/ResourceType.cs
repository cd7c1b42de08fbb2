namespace Atoll.Api.Objects;

/// <summary>
/// What the API knows of a resource before it sees an object of it: group, version, kind, plural, scope and the
/// subresources it serves. Source: Kubernetes API conventions, "Types (Kinds)" and "Resources".
/// </summary>
public sealed record ResourceType
{
    // Asked for at every look-up of an object.
    private string? _groupResource;
    private int _hash;

    /// <summary>API group; empty for the core group.</summary>
    public required string Group { get; init; }

    /// <summary>Version inside the group, such as <c>v1</c>.</summary>
    public required string Version { get; init; }

    /// <summary>Kind in CamelCase, such as <c>ReplicaSet</c>.</summary>
    public required string Kind { get; init; }

    /// <summary>Lower-case plural that stands in the path, such as <c>replicasets</c>.</summary>
    public required string Plural { get; init; }

    /// <summary>True when objects live in a namespace.</summary>
    public required bool Namespaced { get; init; }

    /// <summary>Short names that kubectl accepts.</summary>
    public IReadOnlyList<string> ShortNames { get; init; } = [];

    /// <summary>Categories (<c>all</c>) that the resource belongs to.</summary>
    public IReadOnlyList<string> Categories { get; init; } = [];

    /// <summary>Subresources served, such as <c>status</c>, <c>scale</c>, <c>log</c>.</summary>
    public IReadOnlyList<string> Subresources { get; init; } = [];

    /// <summary>Verbs served on the resource itself.</summary>
    public IReadOnlyList<string> Verbs { get; init; } = AllVerbs;

    /// <summary>The eight verbs of an ordinary resource.</summary>
    public static IReadOnlyList<string> AllVerbs { get; } =
        ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

    /// <summary>Singular, lower-case name.</summary>
    public string Singular => Kind.ToLowerInvariant();

    /// <summary><c>v1</c> for the core group, else <c>group/version</c>.</summary>
    public string ApiVersion => Group.Length == 0 ? Version : $"{Group}/{Version}";

    /// <summary><c>pods</c> or <c>deployments.apps</c>, as error messages name a resource.</summary>
    public string GroupResource => _groupResource ??= Group.Length == 0 ? Plural : $"{Plural}.{Group}";

    /// <summary>True when <paramref name="subresource"/> is served.</summary>
    public bool Has(string subresource)
    {
        for (int i = 0; i < Subresources.Count; i++)
            if (Subresources[i] == subresource)
                return true;
        return false;
    }

    /// <inheritdoc/>
    public bool Equals(ResourceType? other) => ReferenceEquals(this, other) || (other is not null && Group == other.Group && Version == other.Version && Plural == other.Plural);

    /// <inheritdoc/>
    public override int GetHashCode() => _hash != 0 ? _hash : _hash = HashCode.Combine(Group, Plural);

    /// <inheritdoc/>
    public override string ToString() => $"{Plural}.{Version}.{Group}";
}
