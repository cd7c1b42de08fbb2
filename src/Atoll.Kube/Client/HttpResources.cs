using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.Kube.Client;

/// <summary>
/// <see cref="IResources"/> over HTTP: against Atoll's API or an upstream Kubernetes cluster. A server that cannot be reached
/// throws <see cref="HttpRequestException"/>; everything that the server says comes back as a value.
/// </summary>
public sealed class HttpResources : IResources, IDisposable
{
    /// <summary>Largest answer to a single-object call, bytes.</summary>
    public const int MaxObjectBytes = 16 << 20;

    private readonly HttpClient _client;

    /// <summary>A client of the cluster that a kubeconfig names.</summary>
    public HttpResources(KubeConfig config)
        : this(new HttpClient(config.CreateHandler()) { BaseAddress = config.Server, Timeout = Timeout.InfiniteTimeSpan }, config.Token)
    {
    }

    /// <summary>A client over a prepared <see cref="HttpClient"/>, which it then owns.</summary>
    public HttpResources(HttpClient client, string? token = null)
    {
        _client = client;
        if (token is not null)
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        client.DefaultRequestHeaders.Accept.ParseAdd("application/json");
    }

    /// <inheritdoc/>
    public ValueTask<ApiResult> GetAsync(ResourceType type, string? ns, string name, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Get, type, ns, name, null, null, null, cancellation);

    /// <inheritdoc/>
    public async ValueTask<ApiList> ListAsync(ResourceType type, string? ns, ListOptions options, CancellationToken cancellation)
    {
        var query = new StringBuilder();
        Add(query, "labelSelector", options.LabelSelector);
        Add(query, "fieldSelector", options.FieldSelector);
        Add(query, "limit", options.Limit > 0 ? options.Limit.ToString(System.Globalization.CultureInfo.InvariantCulture) : null);
        Add(query, "continue", options.Continue);
        Add(query, "resourceVersion", options.ResourceVersion);
        Add(query, "resourceVersionMatch", options.ResourceVersionMatch);
        using HttpResponseMessage response = await _client.GetAsync(new Uri(PathOf(type, ns, null, null) + query, UriKind.Relative), HttpCompletionOption.ResponseHeadersRead, cancellation).ConfigureAwait(false);
        using Stream body = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
            return new ApiList([], "", Error: await ErrorAsync(response, body, cancellation).ConfigureAwait(false));
        using JsonDocument document = await JsonDocument.ParseAsync(body, default, cancellation).ConfigureAwait(false);
        var items = new List<KubeObject>();
        foreach (JsonElement item in document.RootElement.GetProperty("items"u8).EnumerateArray())
            items.Add(new KubeObject(WithHead(item, type)));
        JsonElement metadata = document.RootElement.GetProperty("metadata"u8);
        return new ApiList(items, Text(metadata, "resourceVersion") ?? "", Text(metadata, "continue"), metadata.TryGetProperty("remainingItemCount"u8, out JsonElement remaining) ? remaining.GetInt64() : null);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<WatchEvent> WatchAsync(ResourceType type, string? ns, WatchOptions options, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var query = new StringBuilder("?watch=true");
        Add(query, "labelSelector", options.LabelSelector);
        Add(query, "fieldSelector", options.FieldSelector);
        Add(query, "resourceVersion", options.ResourceVersion);
        Add(query, "allowWatchBookmarks", options.AllowBookmarks ? "true" : null);
        Add(query, "sendInitialEvents", options.SendInitialEvents ? "true" : null);
        Add(query, "resourceVersionMatch", options.SendInitialEvents ? "NotOlderThan" : null);
        using HttpResponseMessage response = await _client.GetAsync(new Uri(PathOf(type, ns, null, null) + query, UriKind.Relative), HttpCompletionOption.ResponseHeadersRead, cancellation).ConfigureAwait(false);
        using Stream body = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
        {
            yield return new WatchEvent(WatchEventType.Error, null, await ErrorAsync(response, body, cancellation).ConfigureAwait(false));
            yield break;
        }
        await foreach (JsonElement line in JsonSerializer.DeserializeAsyncEnumerable(body, ApiJson.Default.JsonElement, topLevelValues: true, cancellation).ConfigureAwait(false))
            yield return Event(line);
    }

    /// <inheritdoc/>
    public ValueTask<ApiResult> CreateAsync(ResourceType type, string? ns, JsonObject document, CancellationToken cancellation, string? name = null, string? subresource = null) =>
        SendAsync(HttpMethod.Post, type, ns, name, subresource, document, "application/json", cancellation);

    /// <inheritdoc/>
    public ValueTask<ApiResult> UpdateAsync(ResourceType type, string? ns, string name, JsonObject document, CancellationToken cancellation, string? subresource = null) =>
        SendAsync(HttpMethod.Put, type, ns, name, subresource, document, "application/json", cancellation);

    /// <inheritdoc/>
    public ValueTask<ApiResult> PatchAsync(ResourceType type, string? ns, string name, PatchType patchType, JsonNode patch, CancellationToken cancellation, string? subresource = null) =>
        SendAsync(HttpMethod.Patch, type, ns, name, subresource, patch, patchType switch
        {
            PatchType.Json => "application/json-patch+json",
            PatchType.Merge => "application/merge-patch+json",
            _ => "application/strategic-merge-patch+json",
        }, cancellation);

    /// <inheritdoc/>
    public ValueTask<ApiResult> DeleteAsync(ResourceType type, string? ns, string name, DeleteOptions options, CancellationToken cancellation)
    {
        var body = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "DeleteOptions" };
        if (options.GracePeriodSeconds is { } grace)
            body["gracePeriodSeconds"] = grace;
        if (options.PropagationPolicy is { } policy)
            body["propagationPolicy"] = policy;
        if (options.DryRun)
            body["dryRun"] = new JsonArray("All");
        if (options.Uid is not null || options.ResourceVersion is not null)
            body["preconditions"] = Preconditions(options);
        return SendAsync(HttpMethod.Delete, type, ns, name, null, body, "application/json", cancellation);
    }

    /// <inheritdoc/>
    public void Dispose() => _client.Dispose();

    private static JsonObject Preconditions(DeleteOptions options)
    {
        var preconditions = new JsonObject();
        if (options.Uid is not null)
            preconditions["uid"] = options.Uid;
        if (options.ResourceVersion is not null)
            preconditions["resourceVersion"] = options.ResourceVersion;
        return preconditions;
    }

    // In a path these are no names: they would ask for, or delete, all objects, or something else.
    private ValueTask<ApiResult> SendAsync(HttpMethod method, ResourceType type, string? ns, string? name, string? subresource, JsonNode? document, string? contentType, CancellationToken cancellation) =>
        name is "" or "." or ".." || ns is "." or ".." ? new(ApiStatus.NotFound(type, name ?? "")) : SendAsync(method, PathOf(type, ns, name, subresource), document, contentType, cancellation);

    private async ValueTask<ApiResult> SendAsync(HttpMethod method, string path, JsonNode? document, string? contentType, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative));
        if (document is not null)
            request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(document.ToJsonString())) { Headers = { ContentType = new MediaTypeHeaderValue(contentType!) } };
        using HttpResponseMessage response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation).ConfigureAwait(false);
        using Stream body = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
            return await ErrorAsync(response, body, cancellation).ConfigureAwait(false);
        byte[] bytes = await ReadAsync(body, MaxObjectBytes, cancellation).ConfigureAwait(false);
        var value = new KubeObject(bytes);
        return value.Kind == "Status" ? default(ApiResult) : value;
    }

    private static WatchEvent Event(JsonElement line)
    {
        string type = Text(line, "type") ?? "";
        JsonElement value = line.GetProperty("object"u8);
        if (type == "ERROR")
            return new WatchEvent(WatchEventType.Error, null, value.Deserialize(ApiJson.Default.ApiStatus));
        return new WatchEvent(type switch
        {
            "ADDED" => WatchEventType.Added,
            "MODIFIED" => WatchEventType.Modified,
            "DELETED" => WatchEventType.Deleted,
            _ => WatchEventType.Bookmark,
        }, new KubeObject(JsonSerializer.SerializeToUtf8Bytes(value, ApiJson.Default.JsonElement)));
    }

    private static async Task<ApiStatus> ErrorAsync(HttpResponseMessage response, Stream body, CancellationToken cancellation)
    {
        byte[] bytes = await ReadAsync(body, 1 << 20, cancellation).ConfigureAwait(false);
        try
        {
            if (response.Content.Headers.ContentType?.MediaType == "application/json" && JsonSerializer.Deserialize(bytes, ApiJson.Default.ApiStatus) is { Kind: "Status" } status)
                return status;
        }
        catch (JsonException)
        {
            // Not a Status: the code and the text below say what is known.
        }
        return new ApiStatus { Code = (int)response.StatusCode, Reason = response.StatusCode == HttpStatusCode.ServiceUnavailable ? "ServiceUnavailable" : "Unknown", Message = $"the server answered {(int)response.StatusCode} {response.ReasonPhrase}" };
    }

    private static async Task<byte[]> ReadAsync(Stream body, int limit, CancellationToken cancellation)
    {
        using var buffer = new MemoryStream();
        byte[] chunk = new byte[16 << 10];
        int read;
        while ((read = await body.ReadAsync(chunk, cancellation).ConfigureAwait(false)) > 0)
        {
            if (buffer.Length + read > limit)
                throw new HttpRequestException($"the server's answer is larger than {limit} bytes");
            buffer.Write(chunk, 0, read);
        }
        return buffer.ToArray();
    }

    // Items of a list come without apiVersion and kind from some servers.
    private static byte[] WithHead(JsonElement item, ResourceType type)
    {
        if (item.TryGetProperty("kind"u8, out _))
            return JsonSerializer.SerializeToUtf8Bytes(item, ApiJson.Default.JsonElement);
        JsonObject node = JsonObject.Create(item)!;
        node["apiVersion"] = type.ApiVersion;
        node["kind"] = type.Kind;
        return JsonSerializer.SerializeToUtf8Bytes(node, ApiJson.Default.JsonObject);
    }

    private static string PathOf(ResourceType type, string? ns, string? name, string? subresource)
    {
        var path = new StringBuilder(type.Group.Length == 0 ? "/api/" : "/apis/");
        path.Append(type.ApiVersion);
        if (type.Namespaced && !string.IsNullOrEmpty(ns))
            path.Append("/namespaces/").Append(Uri.EscapeDataString(ns));
        path.Append('/').Append(type.Plural);
        if (name is not null)
            path.Append('/').Append(Uri.EscapeDataString(name));
        if (subresource is not null)
            path.Append('/').Append(subresource);
        return path.ToString();
    }

    private static void Add(StringBuilder query, string name, string? value)
    {
        if (!string.IsNullOrEmpty(value))
            query.Append(query.Length == 0 ? '?' : '&').Append(name).Append('=').Append(Uri.EscapeDataString(value));
    }

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text ? text : null;
}
