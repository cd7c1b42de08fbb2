using System.Text.Json;
using System.Text.Json.Serialization;

namespace Atoll.Edge.Content;

/// <summary>
/// An OCI or Docker v2 manifest or index: the fields that are used, in the one shape that covers all four. Setters, because
/// the JSON source generator overwrites the defaults of init-only properties; they turn an explicit null into the default.
/// </summary>
internal sealed record ImageManifest
{
    public string? MediaType { get; set; }

    public ImageDescriptor? Config { get; set; }

    public IReadOnlyList<ImageDescriptor> Layers { get; set => field = value ?? []; } = [];

    public IReadOnlyList<ImageDescriptor> Manifests { get; set => field = value ?? []; } = [];

    internal static ImageManifest Parse(byte[] bytes)
    {
        try
        {
            return JsonSerializer.Deserialize(bytes, ManifestJson.Default.ImageManifest) ?? throw new ImageSourceException("the manifest is empty", transient: false);
        }
        catch (JsonException e)
        {
            throw new ImageSourceException("the manifest is no valid JSON: " + e.Message, transient: false);
        }
    }
}

internal sealed record ImageDescriptor
{
    public string MediaType { get; set => field = value ?? ""; } = "";

    public string Digest { get; set => field = value ?? ""; } = "";

    public long Size { get; set; }

    public ImagePlatform? Platform { get; set; }

    public IReadOnlyDictionary<string, string> Annotations { get; set => field = value ?? new Dictionary<string, string>(); } = new Dictionary<string, string>();
}

internal sealed record ImagePlatform(string? Os, string? Architecture, string? Variant);

/// <summary>An image's configuration document.</summary>
internal sealed record ImageDocument
{
    public string? Architecture { get; set; }

    public string? Os { get; set; }

    public ImageDefaults? Config { get; set; }

    public ImageRootFs? Rootfs { get; set; }
}

internal sealed record ImageDefaults
{
    [JsonPropertyName("Entrypoint")]
    public IReadOnlyList<string>? Entrypoint { get; set; }

    [JsonPropertyName("Cmd")]
    public IReadOnlyList<string>? Cmd { get; set; }

    [JsonPropertyName("Env")]
    public IReadOnlyList<string>? Env { get; set; }

    [JsonPropertyName("WorkingDir")]
    public string? WorkingDir { get; set; }

    [JsonPropertyName("User")]
    public string? User { get; set; }

    [JsonPropertyName("StopSignal")]
    public string? StopSignal { get; set; }
}

internal sealed record ImageRootFs
{
    [JsonPropertyName("diff_ids")]
    public IReadOnlyList<string> DiffIds { get; set => field = value ?? []; } = [];
}

/// <summary>What the store remembers. Fields are added, never renamed: the next version reads this file.</summary>
internal sealed record ImageIndex
{
    public IReadOnlyList<StoredImage> Images { get; set => field = value ?? []; } = [];

    public IReadOnlyDictionary<string, long> LayerBytes { get; set => field = value ?? new Dictionary<string, long>(); } = new Dictionary<string, long>();
}

internal sealed record StoredImage
{
    public required string Digest { get; set; }

    public required IReadOnlyList<string> References { get; set; }

    public required IReadOnlyList<string> DiffIds { get; set; }

    public required DateTimeOffset UsedAt { get; set; }

    public IReadOnlyList<string> Architectures { get; set => field = value ?? []; } = [];

    public IReadOnlyList<string> Entrypoint { get; set => field = value ?? []; } = [];

    public IReadOnlyList<string> Command { get; set => field = value ?? []; } = [];

    public IReadOnlyList<string> Environment { get; set => field = value ?? []; } = [];

    public string WorkingDirectory { get; set => field = value ?? ""; } = "";

    public string User { get; set => field = value ?? ""; } = "";

    public int StopSignal { get; set; } = 15;
}

[JsonSerializable(typeof(ImageManifest))]
[JsonSerializable(typeof(ImageDocument))]
[JsonSerializable(typeof(ImageIndex))]
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
internal sealed partial class ManifestJson : JsonSerializerContext;
