using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Enrolment;
using Atoll.Api.Objects;

namespace Atoll.Agent.Identity;

/// <summary>Joins a site to its centre and renews its certificate.</summary>
internal static class EnrolmentClient
{
    private const int MaxAnswerBytes = 256 * 1024;

    private const string AuthorityPath = "/join/v1/ca";

    /// <summary>Makes a key, gets it certified against a one-time token, and stores the identity.</summary>
    public static async Task JoinAsync(string state, IReadOnlyList<string> servers, JoinToken token, IReadOnlyList<string> peers, CancellationToken cancellation)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new JoinRequest { Site = token.Site, Secret = token.Secret, CertificateRequest = SiteIdentity.RequestFor(key) };
        (string server, X509Certificate2 authority) = await FindAsync(servers, token.Pin, cancellation);
        using X509Certificate2 pinned = authority;
        string? refusal = null;
        JoinResponse answer = await PostAsync(server, "/join/v1", JsonSerializer.SerializeToUtf8Bytes(request, ApiJson.Default.JoinRequest), ParentTrust.Pinned(authority, why => refusal = why), () => refusal, cancellation);
        SiteIdentity.Save(state, new Enrolment { Site = token.Site, SiteUid = answer.SiteUid, Region = answer.Region, Servers = [.. servers], Advertised = answer.Servers, Peers = [.. peers] }, key.ExportPkcs8PrivateKeyPem(), answer.Certificate, answer.CertificateAuthority);
    }

    /// <summary>Gets a new certificate for the same key; works with an expired one, unless the site was revoked.</summary>
    public static async Task<SiteIdentity> RenewAsync(SiteIdentity identity, string server, CancellationToken cancellation)
    {
        var request = new RenewRequest { CertificateRequest = identity.Request() };
        string? refusal = null;
        JoinResponse answer = await PostAsync(server, "/renew/v1", JsonSerializer.SerializeToUtf8Bytes(request, ApiJson.Default.RenewRequest), ParentTrust.Known(() => identity, why => refusal = why), () => refusal, cancellation);
        return identity.Renewed(answer.Certificate, answer.CertificateAuthority, answer.Servers);
    }

    /// <summary>Digest of the CA certificates that the centre's sites are to trust now; null when it does not answer, or is refused.</summary>
    public static async Task<string?> TrustAsync(SiteIdentity identity, string server, Action<string> refused, CancellationToken cancellation)
    {
        using var handler = new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, SslOptions = ParentTrust.Known(() => identity, refused), ConnectTimeout = TimeSpan.FromSeconds(15) };
        using var client = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(60), MaxResponseContentBufferSize = MaxAnswerBytes };
        try
        {
            var authorities = new X509Certificate2Collection();
            authorities.ImportFromPem(await client.GetStringAsync(new Uri(new Uri(server), AuthorityPath), cancellation));
            return authorities.Count == 0 ? null : TrustBundle.DigestOf(authorities);
        }
        catch (Exception e) when (e is HttpRequestException or CryptographicException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return null;
        }
    }

    // The first address that answers and belongs to the pinned CA.
    private static async Task<(string Server, X509Certificate2 Authority)> FindAsync(IReadOnlyList<string> servers, string pin, CancellationToken cancellation)
    {
        var failures = new List<string>();
        Exception? cause = null;
        foreach (string server in servers)
            try
            {
                return (server, await FetchAuthorityAsync(server, pin, cancellation));
            }
            catch (InvalidOperationException e)
            {
                failures.Add(e.Message);
                cause = e.InnerException;
            }
        throw new InvalidOperationException(string.Join("; ", failures), cause);
    }

    // TLS does not send a root along, so it is asked for; whoever answers, only the certificate that the token pins is taken.
    private static async Task<X509Certificate2> FetchAuthorityAsync(string server, string pin, CancellationToken cancellation)
    {
        using var handler = new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, SslOptions = ParentTrust.Anybody(), ConnectTimeout = TimeSpan.FromSeconds(15) };
        using var client = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(60), MaxResponseContentBufferSize = MaxAnswerBytes };
        try
        {
            // Several while the CA is being rotated: the token pins the one that it was made with.
            var authorities = new X509Certificate2Collection();
            authorities.ImportFromPem(await client.GetStringAsync(new Uri(new Uri(server), AuthorityPath), cancellation));
            foreach (X509Certificate2 authority in authorities)
                if (JoinToken.PinOf(authority.RawData) == pin)
                    return authority;
        }
        catch (Exception e) when (e is HttpRequestException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            throw new InvalidOperationException($"the centre at {server} cannot be reached: {e.Message}", e);
        }
        catch (CryptographicException)
        {
            // Not a certificate: not the centre.
        }
        throw new InvalidOperationException($"the server at {server} does not belong to the centre that issued this token: its CA is not the one that the token pins");
    }

    private static async Task<JoinResponse> PostAsync(string server, string path, byte[] body, SslClientAuthenticationOptions tls, Func<string?> refusal, CancellationToken cancellation)
    {
        using var handler = new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, SslOptions = tls, ConnectTimeout = TimeSpan.FromSeconds(15) };
        using var client = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(60), MaxResponseContentBufferSize = MaxAnswerBytes };
        using var content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
        HttpResponseMessage response;
        try
        {
            response = await client.PostAsync(new Uri(new Uri(server), path), content, cancellation);
        }
        catch (Exception e) when (e is HttpRequestException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            throw new InvalidOperationException(refusal() ?? $"the centre at {server} cannot be reached: {e.Message}", e);
        }
        using (response)
        {
            byte[] answer = await response.Content.ReadAsByteArrayAsync(cancellation);
            if (response.IsSuccessStatusCode)
                try
                {
                    return JsonSerializer.Deserialize(answer, ApiJson.Default.JoinResponse) ?? throw new InvalidOperationException("the centre's answer is empty");
                }
                catch (JsonException e)
                {
                    throw new InvalidOperationException($"the centre's answer cannot be read: {e.Message}", e);
                }
            throw new InvalidOperationException(MessageOf(answer) ?? $"the centre answered {(int)response.StatusCode} {response.ReasonPhrase}");
        }
    }

    private static string? MessageOf(byte[] answer)
    {
        try
        {
            return JsonSerializer.Deserialize(answer, ApiJson.Default.ApiStatus)?.Message;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
