using System.Formats.Tar;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Atoll.Tests.Edge;

/// <summary>Builds images in memory: layers from entries, configuration, manifest; as blobs by digest or as an OCI layout folder.</summary>
internal sealed class TestImage
{
    internal Dictionary<string, byte[]> Blobs { get; } = [];

    internal List<string> LayerDigests { get; } = [];

    internal List<string> DiffIds { get; } = [];

    internal string ManifestDigest { get; private set; } = "";

    internal byte[] Manifest => Blobs[ManifestDigest];

    internal static TestImage Build(params byte[][] layers) => Build("{}", layers);

    internal static TestImage Build(string config, params byte[][] layers) => BuildFor(RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "arm64" : "amd64", config, layers);

    internal static TestImage BuildFor(string architecture, string config, params byte[][] layers)
    {
        var image = new TestImage();
        foreach (var plain in layers)
        {
            image.DiffIds.Add(Digest(plain));
            image.LayerDigests.Add(image.Add(Gzip(plain)));
        }
        var document = $$$"""{"architecture":"{{{architecture}}}","os":"linux","config":{{{config}}},"rootfs":{"type":"layers","diff_ids":[{{{Quoted(image.DiffIds)}}}]}}""";
        var configDigest = image.Add(Encoding.UTF8.GetBytes(document));
        var descriptors = image.LayerDigests.Select(d => $$"""{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{{d}}","size":{{image.Blobs[d].Length}}}""");
        image.ManifestDigest = image.Add(Encoding.UTF8.GetBytes($$"""
            {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{{configDigest}}","size":{{image.Blobs[configDigest].Length}}},"layers":[{{string.Join(',', descriptors)}}]}
            """));
        return image;
    }

    internal string Add(byte[] blob)
    {
        var digest = Digest(blob);
        Blobs[digest] = blob;
        return digest;
    }

    internal void WriteLayout(string folder, string tag)
    {
        var blobs = Directory.CreateDirectory(Path.Join(folder, "blobs/sha256")).FullName;
        foreach (var (digest, bytes) in Blobs) File.WriteAllBytes(Path.Join(blobs, digest[7..]), bytes);
        File.WriteAllText(Path.Join(folder, "oci-layout"), """{"imageLayoutVersion":"1.0.0"}""");
        File.WriteAllText(Path.Join(folder, "index.json"), $$$"""
            {"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{{{ManifestDigest}}}","size":{{{Manifest.Length}}},"annotations":{"org.opencontainers.image.ref.name":"{{{tag}}}"}}]}
            """);
    }

    /// <summary>A layout's index whose tag v2 is an index of these entries.</summary>
    internal string Index(params string[] entries)
    {
        var index = Encoding.UTF8.GetBytes($$"""{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{string.Join(',', entries)}}]}""");
        return $$$"""{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{{{Add(index)}}}","size":{{{index.Length}}},"annotations":{"org.opencontainers.image.ref.name":"v2"}}]}""";
    }

    internal static byte[] Tar(params TarEntry[] entries)
    {
        using var stream = new MemoryStream();
        using (var writer = new TarWriter(stream, TarEntryFormat.Pax, leaveOpen: true))
            foreach (var entry in entries) writer.WriteEntry(entry);
        return stream.ToArray();
    }

    internal static PaxTarEntry Text(string name, string content, int mode = 0b110_100_100) =>
        new(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(content)), Mode = (UnixFileMode)mode };

    internal static PaxTarEntry Folder(string name) => new(TarEntryType.Directory, name) { Mode = (UnixFileMode)0b111_101_101 };

    internal static PaxTarEntry Link(string name, string target) => new(TarEntryType.SymbolicLink, name) { LinkName = target };

    internal static PaxTarEntry HardLink(string name, string target) => new(TarEntryType.HardLink, name) { LinkName = target };

    internal static string Digest(byte[] bytes) => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(bytes));

    private static byte[] Gzip(byte[] plain)
    {
        using var stream = new MemoryStream();
        using (var gzip = new GZipStream(stream, CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(plain);
        return stream.ToArray();
    }

    private static string Quoted(IEnumerable<string> values) => string.Join(',', values.Select(v => $"\"{v}\""));
}
