using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Atoll.Agent.Identity;

/// <summary>What the agent remembers of its enrolment, beside key and certificates.</summary>
internal sealed class Enrolment
{
    public string Site { get; set; } = "";

    public string SiteUid { get; set; } = "";

    public string? Region { get; set; }

    /// <summary>Addresses of the parent that were given when joining, the preferred one first.</summary>
    public List<string> Servers { get; set; } = [];

    /// <summary>Addresses of other nodes of the site, as given when this one joined.</summary>
    public List<string> Peers { get; set; } = [];

    /// <summary>Addresses that the parent told of itself, at the join or the last renewal.</summary>
    public List<string> Advertised { get; set; } = [];

    /// <summary>All of them, each once: what was given comes first, for only it is known to be reached from here.</summary>
    public IReadOnlyList<string> Parents() => [.. Servers.Concat(Advertised.Where(a => Uri.TryCreate(a, UriKind.Absolute, out Uri? uri) && uri.Scheme == Uri.UriSchemeHttps)).Select(s => s.TrimEnd('/')).Distinct(StringComparer.OrdinalIgnoreCase).Take(MaxParents)];

    /// <summary>Most addresses that are used.</summary>
    private const int MaxParents = 8;
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Enrolment))]
internal sealed partial class IdentityJson : JsonSerializerContext;

/// <summary>
/// The site's identity on disk: its key (never leaves this machine), its certificate, the CA that it trusts, and where its
/// parent is. Files are replaced whole, the key's file is readable by root only, and the certificate is written last, so
/// that an interrupted join is simply made again.
/// </summary>
internal sealed class SiteIdentity
{
    private SiteIdentity(string folder, Enrolment enrolment, X509Certificate2 certificate, X509Certificate2Collection authorities)
    {
        Folder = folder;
        Enrolment = enrolment;
        Certificate = certificate;
        Authorities = authorities;
    }

    public string Folder { get; }

    public Enrolment Enrolment { get; }

    /// <summary>Certificate with key.</summary>
    public X509Certificate2 Certificate { get; }

    public X509Certificate2Collection Authorities { get; }

    public static string FolderOf(string state) => Path.Combine(state, "identity");

    public static bool Exists(string state) => File.Exists(Path.Combine(FolderOf(state), "site.crt"));

    /// <summary>What somebody is told who starts an agent on a folder without one.</summary>
    public static string NoneIn(string state) => $"{state} has no identity. Join first, with the 'atoll-agent join' command that 'atoll site create NAME' prints.";

    public static SiteIdentity Load(string state)
    {
        string folder = FolderOf(state);
        Enrolment enrolment = JsonSerializer.Deserialize(File.ReadAllBytes(Path.Combine(folder, "enrolment.json")), IdentityJson.Default.Enrolment)
            ?? throw new InvalidDataException($"{folder}/enrolment.json is empty; join again.");
        using X509Certificate2 pem = X509Certificate2.CreateFromPemFile(Path.Combine(folder, "site.crt"), Path.Combine(folder, "site.key"));
        var authorities = new X509Certificate2Collection();
        authorities.ImportFromPemFile(Path.Combine(folder, "ca.crt"));
        // A key that was read from PEM is not usable by TLS until it has been through PKCS #12.
        return new SiteIdentity(folder, enrolment, X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null), authorities);
    }

    public static void Save(string state, Enrolment enrolment, string keyPem, string certificatePem, string authorityPem)
    {
        string folder = FolderOf(state);
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Write(Path.Combine(folder, "enrolment.json"), JsonSerializer.Serialize(enrolment, IdentityJson.Default.Enrolment));
        Write(Path.Combine(folder, "ca.crt"), authorityPem);
        Write(Path.Combine(folder, "site.key"), keyPem);
        Write(Path.Combine(folder, "site.crt"), certificatePem);
    }

    /// <summary>Replaces certificate, CA and the parent's addresses after a renewal; the key stays.</summary>
    public void Renew(string certificatePem, string authorityPem, List<string> advertised)
    {
        Enrolment.Advertised = advertised;
        Write(Path.Combine(Folder, "enrolment.json"), JsonSerializer.Serialize(Enrolment, IdentityJson.Default.Enrolment));
        Write(Path.Combine(Folder, "ca.crt"), authorityPem);
        Write(Path.Combine(Folder, "site.crt"), certificatePem);
    }

    /// <summary>A certificate request for the key of this identity.</summary>
    public string Request()
    {
        using ECDsa key = Certificate.GetECDsaPrivateKey() ?? throw new InvalidDataException("the site's key is not ECDSA");
        return RequestFor(key);
    }

    /// <summary>A certificate request; the centre decides the names.</summary>
    public static string RequestFor(ECDsa key) => new CertificateRequest("CN=atoll-site", key, HashAlgorithmName.SHA256).CreateSigningRequestPem();

    /// <summary>Writes a file whole or not at all, readable by its owner only.</summary>
    public static void Write(string path, string text)
    {
        string temporary = path + ".new";
        using (var stream = new FileStream(temporary, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
        {
            stream.Write(Encoding.UTF8.GetBytes(text));
            stream.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
    }
}
