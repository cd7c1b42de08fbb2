namespace Atoll.Api.Enrolment;

/// <summary>Body of <c>POST /join/v1</c>: proof of the invitation and the key to certify. At most 16 KiB.</summary>
public sealed class JoinRequest
{
    /// <summary>Site's name.</summary>
    public string Site { get; set; } = "";

    /// <summary>The token's secret.</summary>
    public string Secret { get; set; } = "";

    /// <summary>PKCS #10 request, PEM. Only its key is used: the centre decides the names.</summary>
    public string CertificateRequest { get; set; } = "";
}

/// <summary>Body of <c>POST /renew/v1</c>: the same key again, shown by the client certificate of the connection.</summary>
public sealed class RenewRequest
{
    /// <summary>PKCS #10 request, PEM, signed by the key of the certificate in use.</summary>
    public string CertificateRequest { get; set; } = "";
}

/// <summary>Answer to a join or a renewal.</summary>
public sealed class JoinResponse
{
    /// <summary>The site's certificate, PEM.</summary>
    public string Certificate { get; set; } = "";

    /// <summary>The centre's CA certificates, PEM, newest first.</summary>
    public string CertificateAuthority { get; set; } = "";

    /// <summary>UID of the Site object.</summary>
    public string SiteUid { get; set; } = "";

    /// <summary>Every address of the centre, the preferred one first; empty from a centre that says none.</summary>
    public List<string> Servers { get; set; } = [];

    /// <summary>Region of the site, for labels before the first connection.</summary>
    public string? Region { get; set; }
}
