using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Enrolment;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Certificates;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Atoll.Cloud.Server;

/// <summary>
/// <c>POST /join/v1</c> and <c>POST /renew/v1</c>, and the check that a client certificate is that of a site which exists and
/// was not revoked. Refusals are Status objects that say what to do; nothing is told about sites to whoever shows no token.
/// </summary>
internal sealed class Enrolment(IResources resources, CertificateAuthority authority, List<string> servers, TimeProvider time, ILogger logger)
{
    private const int MaxBodyBytes = 16 * 1024;

    private static readonly TimeSpan s_trust = TimeSpan.FromSeconds(10);

    // Names are read once a connection: each has a certificate object of its own. Empty for certificates of others.
    private static readonly ConditionalWeakTable<X509Certificate2, string> s_sites = [];

    private readonly ConditionalWeakTable<X509Certificate2, Tuple<bool, long>> _signed = [];

    private const string OrganizationalUnit = "2.5.4.11", CommonName = "2.5.4.3", Prefix = "system:site:";

    /// <summary>The CA's certificate, for whoever asks: it is public, and a joining site compares it with its token's pin.</summary>
    public Task WriteAuthorityAsync(HttpContext context)
    {
        context.Response.ContentType = "application/x-pem-file";
        return context.Response.WriteAsync(authority.CertificatePem, context.RequestAborted);
    }

    /// <summary>Certifies a site's key against a one-time token.</summary>
    public async Task JoinAsync(HttpContext context)
    {
        JoinRequest? request = await ReadAsync(context, ApiJson.Default.JoinRequest);
        if (request is null)
            return;
        KubeObject? site = (await resources.GetAsync(Kinds.Site, null, request.Site, context.RequestAborted)).Object;
        string? refusal = site is null
            ? $"the join token is wrong, used or expired; make a new one with: atoll site create {request.Site}"
            : site.View(ApiJson.Default.Site).Spec.Revoked == true
                ? $"site {site.Name} was revoked; an operator must delete and create it anew"
                : await JoinTokens.RedeemAsync(resources, site, request.Secret, time.GetUtcNow(), context.RequestAborted);
        if (refusal is not null)
        {
            logger.LogWarning("Join of site {Site} from {Address} refused: {Reason}", Printable(request.Site), context.Connection.RemoteIpAddress, refusal);
            await WriteAsync(context, ApiStatus.Forbidden(null, "", refusal));
            return;
        }
        if (await IssueAsync(context, site!, request.CertificateRequest))
            logger.LogInformation("Site {Site} joined from {Address}", site!.Name, context.Connection.RemoteIpAddress);
    }

    /// <summary>Certifies the same key again. An expired certificate is enough proof; a revoked site is refused.</summary>
    public async Task RenewAsync(HttpContext context)
    {
        X509Certificate2? certificate = await context.Connection.GetClientCertificateAsync(context.RequestAborted);
        (KubeObject? site, string? refusal) = await FindSiteAsync(certificate, allowExpired: true, context.RequestAborted);
        if (site is null)
        {
            await WriteAsync(context, ApiStatus.Forbidden(null, "", refusal!));
            return;
        }
        if (await ReadAsync(context, ApiJson.Default.RenewRequest) is not { } request)
            return;
        if (!SameKey(certificate!, request.CertificateRequest))
        {
            await WriteAsync(context, ApiStatus.BadRequest("certificateRequest: must be signed by the key of the certificate in use; to change keys, join again with a new token"));
            return;
        }
        if (await IssueAsync(context, site, request.CertificateRequest))
            logger.LogInformation("Certificate of site {Site} renewed", site.Name);
    }

    /// <summary>True when a client certificate is of this centre, in its time, and no site's that was revoked or deleted.</summary>
    public async ValueTask<bool> IsValidAsync(X509Certificate2 certificate, CancellationToken cancellation) =>
        IsSigned(certificate)
        && (SiteOf(certificate) is null
            || (await FindSiteAsync(certificate, allowExpired: false, cancellation)).Site is not null);

    // Building a chain costs more than most requests: its answer holds for the other requests of a connection for a while. By the
    // object, which is the connection's: another connection shows its certificate anew.
    private bool IsSigned(X509Certificate2 certificate)
    {
        long now = time.GetTimestamp();
        if (_signed.TryGetValue(certificate, out Tuple<bool, long>? known) && time.GetElapsedTime(known.Item2, now) < s_trust)
            return known.Item1;
        bool signed = authority.Signed(certificate, allowExpired: false);
        _signed.AddOrUpdate(certificate, Tuple.Create(signed, now));
        return signed;
    }

    /// <summary>The name of the site that a certificate speaks for, whoever signed it, or null.</summary>
    public static string? SiteOf(X509Certificate2 certificate) =>
        s_sites.GetValue(certificate, static c => Attribute(c, CommonName) is { } name && name.StartsWith(Prefix, StringComparison.Ordinal) ? name[Prefix.Length..] : "") is { Length: > 0 } site ? site : null;

    /// <summary>The site that a client certificate belongs to, or why it is refused.</summary>
    public async Task<(KubeObject? Site, string? Refusal)> FindSiteAsync(X509Certificate2? certificate, bool allowExpired, CancellationToken cancellation)
    {
        if (certificate is null)
            return (null, "a site's certificate is needed; join first with: atoll-agent join");
        if (!authority.Signed(certificate, allowExpired))
            return (null, !authority.Signed(certificate, allowExpired: true) ? "the certificate is not of this centre's CA"
                : certificate.NotAfter.ToUniversalTime() < time.GetUtcNow().UtcDateTime ? "the site's certificate has expired; it is renewed at /renew/v1"
                : "the site's certificate is of a time that has not come yet by this centre's clock; it is renewed at /renew/v1");
        string? name = SiteOf(certificate), uid = Attribute(certificate, OrganizationalUnit);
        if (name is null || uid is null)
            return (null, "the certificate is not a site's");
        KubeObject? site = (await resources.GetAsync(Kinds.Site, null, name, cancellation)).Object;
        if (site is null || site.Uid != uid)
            return (null, $"site {name} was deleted at the centre; join again with a new token");
        return site.View(ApiJson.Default.Site).Spec.Revoked == true ? (null, $"site {name} was revoked") : (site, null);
    }

    private async Task<bool> IssueAsync(HttpContext context, KubeObject site, string certificateRequest)
    {
        string certificate;
        try
        {
            certificate = authority.IssueSite(site.Name, site.Uid, certificateRequest);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            await WriteAsync(context, ApiStatus.BadRequest($"certificateRequest: {e.Message}"));
            return false;
        }
        // What a rotation of the CA waits for: which site holds a certificate of which CA.
        using (X509Certificate2 issued = X509Certificate2.CreateFromPem(certificate))
            await resources.PatchAsync(Kinds.Site, null, site.Name, PatchType.Merge, new JsonObject
            {
                ["metadata"] = new JsonObject { ["uid"] = site.Uid },
                ["status"] = new JsonObject { ["certificate"] = new JsonObject { ["issuer"] = issued.GetNameInfo(X509NameType.SimpleName, forIssuer: true), ["expires"] = KubeTime.Format(issued.NotAfter.ToUniversalTime()) } },
            }, context.RequestAborted, "status");
        var response = new JoinResponse { Certificate = certificate, CertificateAuthority = authority.CertificatePem, Servers = servers, SiteUid = site.Uid, Region = site.View(ApiJson.Default.Site).Spec.Region };
        context.Response.ContentType = "application/json";
        await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(response, ApiJson.Default.JoinResponse), context.RequestAborted);
        return true;
    }

    private static bool SameKey(X509Certificate2 certificate, string certificateRequest)
    {
        try
        {
            CertificateRequest request = CertificateRequest.LoadSigningRequestPem(certificateRequest, HashAlgorithmName.SHA256);
            return request.PublicKey.EncodedKeyValue.RawData.AsSpan().SequenceEqual(certificate.PublicKey.EncodedKeyValue.RawData);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            return false;
        }
    }

    private static async Task<T?> ReadAsync<T>(HttpContext context, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) where T : class
    {
        if (!HttpMethods.IsPost(context.Request.Method))
        {
            await WriteAsync(context, ApiStatus.MethodNotAllowed("use POST"));
            return null;
        }
        byte[] buffer = new byte[MaxBodyBytes + 1];
        int length = await context.Request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, context.RequestAborted);
        if (length > MaxBodyBytes)
        {
            await WriteAsync(context, ApiStatus.TooLarge(MaxBodyBytes));
            return null;
        }
        try
        {
            if (JsonSerializer.Deserialize(buffer.AsSpan(0, length), type) is { } value)
                return value;
        }
        catch (JsonException)
        {
            // Answered below.
        }
        await WriteAsync(context, ApiStatus.BadRequest("the body is not the JSON document that is needed here"));
        return null;
    }

    public static async Task WriteAsync(HttpContext context, ApiStatus status)
    {
        context.Response.StatusCode = status.Code;
        context.Response.ContentType = "application/json";
        await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(status, ApiJson.Default.ApiStatus), context.RequestAborted);
    }

    private static string? Attribute(X509Certificate2 certificate, string oid)
    {
        foreach (X500RelativeDistinguishedName name in certificate.SubjectName.EnumerateRelativeDistinguishedNames())
            if (!name.HasMultipleElements && name.GetSingleElementType().Value == oid)
                return name.GetSingleElementValue();
        return null;
    }

    private static string Printable(string text) => text.Length > 64 || text.Any(char.IsControl) ? "(unprintable)" : text;
}
