namespace Atoll.Api.Objects;

/// <summary>Source of new identities and name suffixes, injected so that simulations and tests are repeatable.</summary>
public interface IUidSource
{
    /// <summary>A new UID: a random UUID (RFC 9562, version 4), lower case.</summary>
    string NewUid();

    /// <summary>Random characters for generated names, from Kubernetes' alphabet without vowels (<c>bcdfghjklmnpqrstvwxz2456789</c>).</summary>
    string NewSuffix(int length);
}

/// <summary>Identities from the system's random generator.</summary>
public sealed class SystemUidSource : IUidSource
{
    private const string Alphabet = "bcdfghjklmnpqrstvwxz2456789";

    /// <summary>The only instance.</summary>
    public static SystemUidSource Instance { get; } = new();

    /// <inheritdoc/>
#pragma warning disable RS0030 // This is the injected source.
    public string NewUid() => Guid.NewGuid().ToString();
#pragma warning restore RS0030

    /// <inheritdoc/>
    public string NewSuffix(int length) => System.Security.Cryptography.RandomNumberGenerator.GetString(Alphabet, length);
}
