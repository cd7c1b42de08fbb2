using System.Runtime.CompilerServices;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Access;

/// <summary>Finds out who makes a request. The server asks each in turn; the first answer counts, none means anonymous.</summary>
public interface IAuthenticator
{
    /// <summary>The identity, or null when the request shows nothing that this authenticator knows.</summary>
    ValueTask<Identity?> AuthenticateAsync(HttpContext context);
}

/// <summary>
/// Client certificates: CN is the user, each O a group, as in Kubernetes. <paramref name="isValid"/> checks the chain
/// against the CA pool, the dates and revocation, for the TLS layer lets any certificate through.
/// </summary>
public sealed class ClientCertificateAuthenticator(Func<X509Certificate2, CancellationToken, ValueTask<bool>> isValid) : IAuthenticator
{
    private const string CommonName = "2.5.4.3", Organization = "2.5.4.10";

    // Read once a connection: each has a certificate object of its own.
    private static readonly ConditionalWeakTable<X509Certificate2, Identity> s_known = [];

    /// <inheritdoc/>
    public async ValueTask<Identity?> AuthenticateAsync(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        X509Certificate2? certificate = context.Connection.ClientCertificate ?? await context.Connection.GetClientCertificateAsync(context.RequestAborted).ConfigureAwait(false);
        return certificate is not null && await isValid(certificate, context.RequestAborted).ConfigureAwait(false) ? ReadIdentity(certificate) : null;
    }

    /// <summary>The identity that a certificate names, or null when it has no CN.</summary>
    public static Identity? ReadIdentity(X509Certificate2 certificate)
    {
        ArgumentNullException.ThrowIfNull(certificate);
        if (s_known.TryGetValue(certificate, out Identity? known))
            return known;
        string? user = null;
        var groups = new List<string>();
        foreach (X500RelativeDistinguishedName name in certificate.SubjectName.EnumerateRelativeDistinguishedNames())
        {
            if (name.HasMultipleElements)
                continue;
            if (name.GetSingleElementType().Value == CommonName)
                user = name.GetSingleElementValue();
            else if (name.GetSingleElementType().Value == Organization && name.GetSingleElementValue() is { } group)
                groups.Add(group);
        }
        if (string.IsNullOrEmpty(user))
            return null;
        groups.Add("system:authenticated");
        return s_known.GetValue(certificate, _ => new Identity(user, groups));
    }
}

/// <summary>Bearer tokens (<c>Authorization: Bearer …</c>). <paramref name="find"/> must compare in constant time.</summary>
public sealed class BearerTokenAuthenticator(Func<string, Identity?> find) : IAuthenticator
{
    private const string Scheme = "Bearer ";

    /// <inheritdoc/>
    public ValueTask<Identity?> AuthenticateAsync(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        string? header = context.Request.Headers.Authorization;
        return ValueTask.FromResult(header is not null && header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) ? find(header[Scheme.Length..].Trim()) : null);
    }
}
