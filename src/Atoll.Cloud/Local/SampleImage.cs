namespace Atoll.Cloud.Local;

/// <summary>
/// The registry of <c>atoll up</c> (Debian's docker-registry) and the sample's image in it, made from Debian's busybox-static.
/// Nothing is fetched from outside this machine.
/// </summary>
internal sealed class SampleImage(string home, LocalNetwork network)
{
    /// <summary>Where the registry answers, from the host and from the sites.</summary>
    public string RegistryAddress { get; } = network.CentreAddress + ":5000";

    /// <summary>The registry's name in image references.</summary>
    public const string RegistryName = "registry.local:5000";

    private const string Repository = "hello", Tag = "1";
    private static readonly string[] s_applets = ["sh", "httpd", "cat", "echo", "ls", "ps", "sleep", "printf", "tar", "env", "id", "wget", "vi", "tail", "head", "grep", "true", "false", "mkdir", "rm", "nc", "ip", "date", "hostname", "kill", "dd", "md5sum", "stty"];

    /// <summary>The registry as a daemon; writes its configuration.</summary>
    public async Task<Daemon> RegistryAsync(CancellationToken cancellation)
    {
        string folder = Path.Combine(home, "registry"), configuration = Path.Combine(folder, "config.yml");
        Directory.CreateDirectory(folder);
        await File.WriteAllTextAsync(configuration, $$"""
            version: 0.1
            log: { level: warn }
            storage: { filesystem: { rootdirectory: {{folder}}/data } }
            http: { addr: "{{RegistryAddress}}" }
            """, cancellation);
        return new Daemon("registry", Path.Combine(home, "run"), "/usr/bin/docker-registry", ["serve", configuration]);
    }

    /// <summary>True when the image can be pulled from the registry.</summary>
    public async Task<bool> IsServedAsync(HttpClient client, CancellationToken cancellation)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Head, $"http://{RegistryAddress}/v2/{Repository}/manifests/{Tag}");
            request.Headers.Accept.ParseAdd("application/vnd.oci.image.manifest.v1+json");
            using HttpResponseMessage response = await client.SendAsync(request, cancellation);
            return response.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    /// <summary>Makes the image and pushes it.</summary>
    public async Task PublishAsync(CancellationToken cancellation)
    {
        string work = Path.Combine(home, "image"), layout = Path.Combine(work, "layout"), bundle = Path.Combine(work, "bundle"), image = $"{layout}:{Repository}";
        if (Directory.Exists(work))
            Directory.Delete(work, recursive: true);
        Directory.CreateDirectory(work);
        await Tool.RunAsync(cancellation, "umoci", "init", "--layout", layout);
        await Tool.RunAsync(cancellation, "umoci", "new", "--image", image);
        await Tool.RunAsync(cancellation, "umoci", "unpack", "--image", image, bundle);
        string root = Path.Combine(bundle, "rootfs"), bin = Path.Combine(root, "bin");
        foreach (string folder in (string[])["bin", "etc", "tmp", "www"])
            Directory.CreateDirectory(Path.Combine(root, folder));
        File.Copy("/bin/busybox", Path.Combine(bin, "busybox"));
        foreach (string applet in s_applets)
            File.CreateSymbolicLink(Path.Combine(bin, applet), "busybox");
        await File.WriteAllTextAsync(Path.Combine(root, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", cancellation);
        await File.WriteAllTextAsync(Path.Combine(root, "etc/group"), "root:x:0:\nnogroup:x:65534:\n", cancellation);
        await Tool.RunAsync(cancellation, "umoci", "repack", "--image", image, bundle);
        await Tool.RunAsync(cancellation, "umoci", "config", "--image", image, "--config.cmd", "/bin/sh", "--config.env", "PATH=/bin");
        await Tool.RunAsync(cancellation, "skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", $"oci:{image}", $"docker://{RegistryAddress}/{Repository}:{Tag}");
        Directory.Delete(work, recursive: true);
    }
}
