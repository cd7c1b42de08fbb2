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
    public IReadOnlyList<string> Parents() => [.. Servers.Concat(Advertised.Where(IsAddress)).Select(s => s.TrimEnd('/')).Distinct(StringComparer.OrdinalIgnoreCase).Take(MaxParents)];

    /// <summary>True for what can be dialled.</summary>
    public static bool IsAddress(string text) => Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) && uri.Scheme == Uri.UriSchemeHttps;

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

    /// <summary>Which site an agent's folder belongs to, or null where that cannot be read: then it can be joined anew.</summary>
    public static string? SiteOf(string state)
    {
        try
        {
            return Exists(state) ? JsonSerializer.Deserialize(File.ReadAllBytes(EnrolmentOf(FolderOf(state))), IdentityJson.Default.Enrolment)?.Site is { Length: > 0 } site ? site : null : null;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Reads the identity. Throws <see cref="InvalidDataException"/>, which says what to do, when it is damaged.</summary>
    public static SiteIdentity Load(string state)
    {
        string folder = FolderOf(state);
        try
        {
            Enrolment enrolment = JsonSerializer.Deserialize(File.ReadAllBytes(EnrolmentOf(folder)), IdentityJson.Default.Enrolment) ?? throw new JsonException("enrolment.json is empty");
            if (enrolment is not { Site.Length: > 0, Peers: not null, Advertised: not null, Servers.Count: > 0 } || !enrolment.Servers.TrueForAll(Enrolment.IsAddress))
                throw new JsonException("enrolment.json does not name a site and addresses of its centre");
            return Read(folder, enrolment, File.ReadAllText(Path.Combine(folder, "site.key")), File.ReadAllText(Path.Combine(folder, "site.crt")), File.ReadAllText(Path.Combine(folder, "ca.crt")));
        }
        catch (Exception e) when (e is JsonException or CryptographicException or ArgumentException or FileNotFoundException)
        {
            throw new InvalidDataException($"the identity in {folder} is damaged ({e.Message}). Join again, with the command that 'atoll site token NAME' prints and --state {state}: what runs here goes on", e);
        }
    }

    public static void Save(string state, Enrolment enrolment, string keyPem, string certificatePem, string authorityPem)
    {
        string folder = FolderOf(state);
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Write(EnrolmentOf(folder), JsonSerializer.Serialize(enrolment, IdentityJson.Default.Enrolment));
        Write(Path.Combine(folder, "ca.crt"), authorityPem);
        Write(Path.Combine(folder, "site.key"), keyPem);
        Write(Path.Combine(folder, "site.crt"), certificatePem);
    }

    /// <summary>
    /// The identity after a renewal: the same key with another certificate, CA and addresses of the parent; on disk when this returns, whatever became of
    /// the files meanwhile. Throws <see cref="InvalidDataException"/>, and writes nothing, when what the parent sent is of no use.
    /// </summary>
    public SiteIdentity Renewed(string certificatePem, string authorityPem, List<string> advertised)
    {
        using ECDsa key = Key();
        string keyPem = key.ExportPkcs8PrivateKeyPem();
        var enrolment = new Enrolment { Site = Enrolment.Site, SiteUid = Enrolment.SiteUid, Region = Enrolment.Region, Servers = Enrolment.Servers, Peers = Enrolment.Peers, Advertised = advertised };
        SiteIdentity renewed;
        try
        {
            renewed = Read(Folder, enrolment, keyPem, certificatePem, authorityPem);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new InvalidDataException($"the centre sent no certificate for this site's key: {e.Message}", e);
        }
        Save(Path.GetDirectoryName(Folder)!, enrolment, keyPem, certificatePem, authorityPem);
        return renewed;
    }

    /// <summary>A certificate request for the key of this identity.</summary>
    public string Request()
    {
        using ECDsa key = Key();
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

    private ECDsa Key() => Certificate.GetECDsaPrivateKey() ?? throw new InvalidDataException("the site's key is not ECDSA");

    private static string EnrolmentOf(string folder) => Path.Combine(folder, "enrolment.json");

    private static SiteIdentity Read(string folder, Enrolment enrolment, string keyPem, string certificatePem, string authorityPem)
    {
        using X509Certificate2 pem = X509Certificate2.CreateFromPem(certificatePem, keyPem);
        var authorities = new X509Certificate2Collection();
        authorities.ImportFromPem(authorityPem);
        if (authorities.Count == 0)
            throw new CryptographicException("there is no certificate of a CA");
        // A key that was read from PEM is not usable by TLS until it has been through PKCS #12.
        return new SiteIdentity(folder, enrolment, X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null, X509KeyStorageFlags.Exportable), authorities);
    }
}
