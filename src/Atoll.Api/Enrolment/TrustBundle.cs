using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Atoll.Api.Enrolment;

/// <summary>A set of CA certificates, named by its digest: both ends compare what a site trusts with what it is to trust.</summary>
public static class TrustBundle
{
    /// <summary>SHA-256 over the certificates (DER) in their order, the first 16 bytes as lower-case hex.</summary>
    public static string DigestOf(X509Certificate2Collection certificates)
    {
        ArgumentNullException.ThrowIfNull(certificates);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (X509Certificate2 certificate in certificates)
            hash.AppendData(certificate.RawDataMemory.Span);
        return Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, 16));
    }
}
