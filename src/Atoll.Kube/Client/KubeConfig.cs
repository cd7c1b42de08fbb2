using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using YamlDotNet.RepresentationModel;

namespace Atoll.Kube.Client;

/// <summary>
/// The part of a kubeconfig file that says where the API is and who the caller is: the current context's cluster and user.
/// Source: Kubernetes client configuration, kind Config v1. Exec plug-ins and auth providers are not supported.
/// </summary>
public sealed class KubeConfig
{
    /// <summary>Largest file that is read.</summary>
    public const int MaxBytes = 1 << 20;

    /// <summary>Base address of the API.</summary>
    public required Uri Server { get; init; }

    /// <summary>CA certificates that the server must chain to; empty means the system's.</summary>
    public X509Certificate2Collection Authorities { get; init; } = [];

    /// <summary>Client certificate with key, or null.</summary>
    public X509Certificate2? ClientCertificate { get; init; }

    /// <summary>Bearer token, or null. Never logged.</summary>
    public string? Token { get; init; }

    /// <summary>Namespace of the current context, or <c>default</c>.</summary>
    public string Namespace { get; init; } = "default";

    /// <summary>Reads a file. Throws <see cref="InvalidDataException"/> with the field and the fix when it cannot be used.</summary>
    public static KubeConfig Load(string path)
    {
        var info = new FileInfo(path);
        if (!info.Exists)
            throw new InvalidDataException($"kubeconfig: no file at {path}. Give --kubeconfig PATH or set KUBECONFIG.");
        if (info.Length > MaxBytes)
            throw new InvalidDataException($"kubeconfig: {path} is larger than {MaxBytes} bytes.");
        var yaml = new YamlStream();
        try
        {
            using StreamReader reader = info.OpenText();
            yaml.Load(reader);
        }
        catch (YamlDotNet.Core.YamlException e)
        {
            throw new InvalidDataException($"kubeconfig: {path} is not YAML: {e.Message}", e);
        }
        var root = yaml.Documents.Count > 0 ? yaml.Documents[0].RootNode as YamlMappingNode : null;
        string current = Text(root, "current-context") ?? throw Missing(path, "current-context");
        YamlMappingNode context = Named(root, "contexts", current, "context") ?? throw Missing(path, $"contexts[name={current}]");
        string clusterName = Text(context, "cluster") ?? throw Missing(path, $"contexts[name={current}].context.cluster");
        YamlMappingNode cluster = Named(root, "clusters", clusterName, "cluster") ?? throw Missing(path, $"clusters[name={clusterName}]");
        YamlMappingNode? user = Text(context, "user") is { } userName ? Named(root, "users", userName, "user") : null;
        string folder = info.DirectoryName ?? "/";
        return new KubeConfig
        {
            Server = Uri.TryCreate(Text(cluster, "server"), UriKind.Absolute, out Uri? server) ? server : throw Missing(path, $"clusters[name={clusterName}].cluster.server"),
            Authorities = Pem(cluster, "certificate-authority", folder) is { } ca ? Import(ca) : [],
            ClientCertificate = Pem(user, "client-certificate", folder) is { } certificate && Pem(user, "client-key", folder) is { } key ? Client(certificate, key) : null,
            Token = Text(user, "token") ?? (Text(user, "tokenFile") is { } file ? File.ReadAllText(Path.Combine(folder, file)).Trim() : null),
            Namespace = Text(context, "namespace") ?? "default",
        };
    }

    /// <summary>A handler that trusts only <see cref="Authorities"/> and shows the client certificate.</summary>
    public SocketsHttpHandler CreateHandler()
    {
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false, PooledConnectionIdleTimeout = TimeSpan.FromMinutes(2) };
        if (ClientCertificate is not null)
            handler.SslOptions.ClientCertificates = [ClientCertificate];
        if (Authorities.Count > 0)
            handler.SslOptions.CertificateChainPolicy = TrustOnly(Authorities);
        return handler;
    }

    /// <summary>A chain policy with the given roots only and no revocation look-ups.</summary>
    public static X509ChainPolicy TrustOnly(X509Certificate2Collection authorities)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true };
        policy.CustomTrustStore.AddRange(authorities);
        return policy;
    }

    /// <summary>
    /// A kubeconfig with one cluster, user and context, all named <paramref name="name"/>. Give either a client certificate with key
    /// or a token.
    /// </summary>
    public static string Write(string name, Uri server, string authorityPem, string? certificatePem, string? keyPem, string? token)
    {
        var text = new StringBuilder();
        text.Append("apiVersion: v1\nkind: Config\nclusters:\n- name: ").Append(name).Append("\n  cluster:\n    server: ").Append(server.ToString().TrimEnd('/')).Append('\n');
        text.Append("    certificate-authority-data: ").Append(Base64(authorityPem)).Append('\n');
        text.Append("users:\n- name: ").Append(name).Append("\n  user:\n");
        if (token is not null)
            text.Append("    token: ").Append(token).Append('\n');
        if (certificatePem is not null && keyPem is not null)
            text.Append("    client-certificate-data: ").Append(Base64(certificatePem)).Append("\n    client-key-data: ").Append(Base64(keyPem)).Append('\n');
        text.Append("contexts:\n- name: ").Append(name).Append("\n  context:\n    cluster: ").Append(name).Append("\n    user: ").Append(name).Append("\ncurrent-context: ").Append(name).Append('\n');
        return text.ToString();

        static string Base64(string s) => Convert.ToBase64String(Encoding.UTF8.GetBytes(s));
    }

    private static X509Certificate2Collection Import(string pem)
    {
        var collection = new X509Certificate2Collection();
        try
        {
            collection.ImportFromPem(pem);
        }
        catch (CryptographicException e)
        {
            throw new InvalidDataException($"kubeconfig: certificate-authority-data is damaged: {e.Message}", e);
        }
        return collection.Count > 0 ? collection : throw new InvalidDataException("kubeconfig: certificate-authority-data holds no certificate in PEM.");
    }

    private static X509Certificate2 Client(string certificate, string key)
    {
        try
        {
            using X509Certificate2 pem = X509Certificate2.CreateFromPem(certificate, key);
            return X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new InvalidDataException($"kubeconfig: client-certificate-data or client-key-data is damaged: {e.Message}", e);
        }
    }

    private static string? Pem(YamlMappingNode? node, string field, string folder) =>
        Text(node, field + "-data") is { } data ? Decode(data, field)
        : Text(node, field) is { } path ? File.ReadAllText(Path.Combine(folder, path))
        : null;

    private static string Decode(string data, string field)
    {
        try
        {
            return Encoding.UTF8.GetString(Convert.FromBase64String(data));
        }
        catch (FormatException e)
        {
            throw new InvalidDataException($"kubeconfig: {field}-data is not base64.", e);
        }
    }

    private static YamlMappingNode? Named(YamlMappingNode? root, string list, string name, string field)
    {
        if (root is not null && root.Children.TryGetValue(new YamlScalarNode(list), out YamlNode? found) && found is YamlSequenceNode sequence)
            foreach (YamlNode item in sequence)
                if (item is YamlMappingNode map && Text(map, "name") == name && map.Children.TryGetValue(new YamlScalarNode(field), out YamlNode? value))
                    return value as YamlMappingNode;
        return null;
    }

    private static string? Text(YamlMappingNode? node, string field) =>
        node is not null && node.Children.TryGetValue(new YamlScalarNode(field), out YamlNode? value) && value is YamlScalarNode { Value.Length: > 0 } scalar ? scalar.Value : null;

    private static InvalidDataException Missing(string path, string field) => new($"kubeconfig: {path} has no usable field {field}.");
}
