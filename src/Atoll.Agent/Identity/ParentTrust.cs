using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Atoll.Agent.Identity;

/// <summary>
/// Whom the agent takes for its parent: who shows a certificate for server authentication that chains to the pinned CA.
/// Names are not compared, because the CA signs server certificates for the centre alone and a site reaches it under
/// addresses that the centre may not know (NAT, port mapping). Dates do not matter here: a join trusts what its token pins, a renewal is
/// what a site with a wrong clock or an old certificate needs, and both are told nothing but what the key proves.
/// </summary>
internal static class ParentTrust
{
    private static readonly Oid s_serverAuth = new("1.3.6.1.5.5.7.3.1");

    /// <summary>Trusts anybody: only for reading the CA's certificate, which is then compared with the token's pin and sent nothing.</summary>
    public static SslClientAuthenticationOptions Anybody() => new() { RemoteCertificateValidationCallback = (_, _, _, _) => true };

    /// <summary>Trusts one CA, the one that a join token pins.</summary>
    public static SslClientAuthenticationOptions Pinned(X509Certificate2 authority, Action<string> refused) => new()
    {
        RemoteCertificateValidationCallback = (_, certificate, chain, _) => certificate is X509Certificate2 leaf && Chains(leaf, chain, [authority], refused),
    };

    /// <summary>Trusts the CAs that the site knows, and shows the site's certificate: both as they are when a connection is made.</summary>
    public static SslClientAuthenticationOptions Known(Func<SiteIdentity> identity, Action<string> refused) => new()
    {
        LocalCertificateSelectionCallback = (_, _, _, _, _) => identity().Certificate,
        RemoteCertificateValidationCallback = (_, certificate, chain, _) => certificate is X509Certificate2 leaf && Chains(leaf, chain, identity().Authorities, refused),
    };

    private static bool Chains(X509Certificate2 leaf, X509Chain? sent, X509Certificate2Collection authorities, Action<string> refused)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ApplicationPolicy.Add(s_serverAuth);
        chain.ChainPolicy.VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid;
        // What the server sent along: after a rotation of the CA, the new one signed by the one that this site knows.
        if (sent is not null)
            chain.ChainPolicy.ExtraStore.AddRange(sent.ChainPolicy.ExtraStore);
        if (chain.Build(leaf))
            return true;
        refused("the server's certificate is not of the centre that this site joined: " + string.Join("; ", chain.ChainStatus.Select(s => s.StatusInformation.Trim())));
        return false;
    }
}
