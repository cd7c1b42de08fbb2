using Atoll.Api.Objects;
using Atoll.Kube.Access;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

/// <summary>What comes with every call, from inside or over HTTP.</summary>
internal sealed record CallContext(Identity Identity, CancellationToken Cancellation)
{
    /// <summary>Check everything, change nothing.</summary>
    public bool DryRun { get; init; }

    /// <summary>Whom the fields that a write changes belong to, once somebody applied the object.</summary>
    public string Manager { get; init; } = Identity.User;

    /// <summary>Ignore, Warn or Strict.</summary>
    public string FieldValidation { get; init; } = "Ignore";

    /// <summary>Duplicate fields that were found while the body was read.</summary>
    public List<string> DuplicateFields { get; init; } = [];

    /// <summary>The body in JSON of a new pod, when what becomes of it may be remembered; else empty.</summary>
    public ReadOnlyMemory<byte> Body { get; init; }

    /// <summary>Warnings for the client.</summary>
    public List<string> Warnings { get; } = [];
}

/// <summary>Outcome of a list before it is put into a client's form.</summary>
internal sealed record CacheList(IReadOnlyList<CachedObject> Items, long Revision, string? Continue = null, long? Remaining = null, ApiStatus? Error = null)
{
    public static CacheList Fail(ApiStatus error) => new([], 0, Error: error);
}

/// <summary>Outcome of a write: the object as stored (null when it is gone), or why not.</summary>
internal readonly record struct WriteResult(CachedObject? Object, ApiStatus? Error, bool Created = false, string? GoneUid = null)
{
    public static implicit operator WriteResult(ApiStatus error) => new(null, error);

    public static implicit operator WriteResult(CachedObject value) => new(value, null);
}
