using System.Formats.Tar;
using System.Globalization;
using System.IO.Compression;
using System.Net.Http.Headers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Atoll.EndToEnd.Wire;

/// <summary>Pushes an image of random bytes to the rig's registry: something to download that takes its time.</summary>
internal static class RegistryImage
{
    private const string ManifestType = "application/vnd.oci.image.manifest.v1+json", ConfigType = "application/vnd.oci.image.config.v1+json", LayerType = "application/vnd.oci.image.layer.v1.tar+gzip";

    internal static async Task PushAsync(string registry, string repository, int layerBytes)
    {
        using var http = new HttpClient { BaseAddress = new Uri($"http://{registry}:5000/v2/{repository}/") };
        byte[] content = new byte[layerBytes];
        new Random(layerBytes).NextBytes(content);
        using var plain = new MemoryStream();
        using (var tar = new TarWriter(plain, leaveOpen: true))
            await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, "bulk") { DataStream = new MemoryStream(content) });
        using var packed = new MemoryStream();
        await using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            await gzip.WriteAsync(plain.ToArray());
        byte[] layer = packed.ToArray();
        string architecture = RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "arm64" : "amd64";
        byte[] config = Encoding.UTF8.GetBytes($$$"""{"architecture":"{{{architecture}}}","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["{{{Digest(plain.ToArray())}}}"]}}""");
        await PutAsync(http, layer);
        await PutAsync(http, config);
        string manifest = string.Create(CultureInfo.InvariantCulture, $$$"""{"schemaVersion":2,"mediaType":"{{{ManifestType}}}","config":{"mediaType":"{{{ConfigType}}}","digest":"{{{Digest(config)}}}","size":{{{config.Length}}}},"layers":[{"mediaType":"{{{LayerType}}}","digest":"{{{Digest(layer)}}}","size":{{{layer.Length}}}}]}""");
        using var body = new StringContent(manifest, Encoding.UTF8);
        body.Headers.ContentType = new MediaTypeHeaderValue(ManifestType);
        using HttpResponseMessage response = await http.PutAsync("manifests/1", body);
        response.EnsureSuccessStatusCode();
    }

    private static async Task PutAsync(HttpClient http, byte[] blob)
    {
        using HttpResponseMessage begun = await http.PostAsync("blobs/uploads/", null);
        begun.EnsureSuccessStatusCode();
        Uri place = new(http.BaseAddress!, begun.Headers.Location!);
        using var body = new ByteArrayContent(blob) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } };
        using HttpResponseMessage done = await http.PutAsync(new Uri($"{place}{(place.Query.Length > 0 ? '&' : '?')}digest={Uri.EscapeDataString(Digest(blob))}"), body);
        done.EnsureSuccessStatusCode();
    }

    private static string Digest(byte[] bytes) => $"sha256:{Convert.ToHexStringLower(SHA256.HashData(bytes))}";
}
