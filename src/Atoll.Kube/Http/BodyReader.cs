using System.Buffers;
using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Resources;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Http;

/// <summary>Reads request bodies: JSON, YAML and Kubernetes' protobuf, to a limit.</summary>
internal static class BodyReader
{
    /// <summary>Media type of Kubernetes' protobuf encoding.</summary>
    public const string Protobuf = "application/vnd.kubernetes.protobuf";

    /// <summary>Media type of a configuration to apply.</summary>
    public const string ApplyPatch = "application/apply-patch+yaml";

    /// <summary>The whole body, or 413 when it is larger than the limit (after decompression).</summary>
    public static async ValueTask<(ReadOnlyMemory<byte> Body, ApiStatus? Error)> ReadAsync(HttpContext context, int limitBytes)
    {
        if (context.Request.ContentLength > limitBytes)
            return (default, ApiStatus.TooLarge(limitBytes));
        string encoding = context.Request.Headers.ContentEncoding.ToString();
        if (encoding is not ("" or "identity" or "gzip"))
            return (default, ApiStatus.UnsupportedMediaType($"the content encoding \"{encoding}\" is not read: gzip and identity are"));
        Stream source = encoding == "gzip" ? new GZipStream(context.Request.Body, CompressionMode.Decompress) : context.Request.Body;
        await using (source.ConfigureAwait(false))
        {
            var buffer = new ArrayBufferWriter<byte>(context.Request.ContentLength is > 0 and { } length ? (int)length + 1 : 4096);
            while (true)
            {
                int read = await source.ReadAsync(buffer.GetMemory(), context.RequestAborted).ConfigureAwait(false);
                if (read == 0)
                    return (buffer.WrittenMemory, null);
                buffer.Advance(read);
                if (buffer.WrittenCount > limitBytes)
                    return (default, ApiStatus.TooLarge(limitBytes));
            }
        }
    }

    /// <summary>The media type of the body without its parameters; JSON when none is given.</summary>
    public static string MediaType(HttpRequest request)
    {
        string type = (request.ContentType ?? "").Split(';')[0].Trim().ToLowerInvariant();
        return type.Length == 0 ? "application/json" : type;
    }

    /// <summary>The document in a body; null is an empty body.</summary>
    public static (JsonNode? Document, ApiStatus? Error) Parse(ReadOnlyMemory<byte> body, string mediaType, List<string> duplicates)
    {
        // Clients that apply mostly send JSON, which is YAML as well and read much faster.
        bool yaml = mediaType is "application/yaml" or "text/yaml" or "application/x-yaml" || (mediaType == ApplyPatch && !IsJson(body.Span));
        bool protobuf = mediaType == Protobuf;
        if (!yaml && !protobuf && !mediaType.EndsWith("json", StringComparison.Ordinal) && mediaType is not (ApplyPatch or "*/*" or "text/plain" or "application/x-www-form-urlencoded"))
            return (null, ApiStatus.UnsupportedMediaType($"the body of the request was in an unknown format ({mediaType}) - accepted media types include: application/json, application/yaml, {Protobuf}"));
        if (body.IsEmpty)
            return (null, null);
        try
        {
            return (protobuf ? ProtobufReader.Parse(body.Span) : yaml ? YamlReader.Parse(body, duplicates) : Json.Parse(body.Span, duplicates), null);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            return (null, ApiStatus.BadRequest($"the object provided is unrecognized (must be JSON, YAML or protobuf): {e.Message}"));
        }
    }

    private static bool IsJson(ReadOnlySpan<byte> body)
    {
        try
        {
            var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = Json.MaxDepth });
            while (reader.Read())
            {
            }
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
