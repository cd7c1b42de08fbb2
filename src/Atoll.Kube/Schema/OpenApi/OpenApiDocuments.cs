using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Objects;

namespace Atoll.Kube.Schema.OpenApi;

/// <summary>
/// The documents, written when they are asked for and held only as long as somebody else does: a client reads them once
/// and keeps them by their hash, so nothing stays in an agent's memory.
/// </summary>
internal static class OpenApiDocuments
{
    private static readonly Lazy<IReadOnlyList<(string Path, string Hash)>> s_paths = new(HashAll);
    private static readonly Dictionary<string, WeakReference<byte[]>> s_written = [];
    private static readonly Lock s_lock = new();

    /// <summary>Served paths with the hash of each document's content, by path.</summary>
    public static IReadOnlyList<(string Path, string Hash)> Paths => s_paths.Value;

    /// <summary>The v3 document of a path, or null.</summary>
    public static ReadOnlyMemory<byte>? V3(string path) => Of(path)?.AsMemory();

    /// <summary>The v2 document, as protobuf.</summary>
    public static ReadOnlyMemory<byte> V2() => Keep("v2", () => OpenApiV2Writer.Write(Kinds.All, Shapes.Descriptions()));

    private static byte[]? Of(string path)
    {
        List<ResourceType> resources = [.. Kinds.All.Where(k => ApiOperations.DocumentPath(k) == path)];
        return resources.Count == 0 ? null : Keep(path, () => WriteV3(resources));
    }

    private static byte[] Keep(string key, Func<byte[]> write)
    {
        lock (s_lock)
        {
            if (s_written.TryGetValue(key, out WeakReference<byte[]>? weak) && weak.TryGetTarget(out byte[]? kept))
                return kept;
            byte[] written = write();
            s_written[key] = new WeakReference<byte[]>(written);
            return written;
        }
    }

    private static byte[] WriteV3(List<ResourceType> resources)
    {
        var buffer = new ArrayBufferWriter<byte>(256 * 1024);
        using (var json = new Utf8JsonWriter(buffer, ApiJson.WriterOptions))
            OpenApiV3Writer.Write(json, resources, Shapes.Descriptions());
        return buffer.WrittenSpan.ToArray();
    }

    private static IReadOnlyList<(string Path, string Hash)> HashAll()
    {
        var result = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (ResourceType type in Kinds.All)
        {
            string path = ApiOperations.DocumentPath(type);
            if (!result.ContainsKey(path))
                result[path] = Convert.ToHexString(SHA256.HashData(Of(path)!));
        }
        return [.. result.Select(p => (p.Key, p.Value))];
    }
}
