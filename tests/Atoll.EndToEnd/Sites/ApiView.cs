using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Kube.Client;

namespace Atoll.EndToEnd.Sites;

/// <summary>A pod as an API shows it: identity, and what must not change behind anybody's back.</summary>
public sealed record PodFact(string Uid, string Node, string Phase, bool Ready, string ContainerId, int Restarts, string ResourceVersion, bool IsEnding);

/// <summary>An API seen as JSON: the centre's over HTTPS, or a site's over its unix socket.</summary>
public sealed class ApiView : IDisposable
{
    private readonly HttpClient _client;

    private ApiView(HttpClient client) => _client = client;

    internal static ApiView OfCentre(string kubeconfig)
    {
        KubeConfig config = KubeConfig.Load(kubeconfig);
        var client = new HttpClient(config.CreateHandler()) { BaseAddress = config.Server, Timeout = TimeSpan.FromSeconds(20) };
        if (config.Token is { } token)
            client.DefaultRequestHeaders.Authorization = new("Bearer", token);
        return new ApiView(client);
    }

    /// <summary>The API of a node of a site; <paramref name="here"/> asks for the node's own copy, whoever leads.</summary>
    internal static ApiView OfSite(string socket, bool here = false) => new(new HttpClient(new SocketsHttpHandler
    {
        ConnectCallback = async (_, cancellation) =>
        {
            var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await connection.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancellation);
            return new NetworkStream(connection, ownsSocket: true);
        },
    })
    { BaseAddress = new Uri("http://site/"), Timeout = TimeSpan.FromSeconds(20), DefaultRequestHeaders = { { here ? "Atoll-Here" : "Atoll-Test", "true" } } });

    /// <summary>The answer, or null when it is 404 or nobody answers.</summary>
    internal async Task<JsonObject?> GetAsync(string path)
    {
        try
        {
            using HttpResponseMessage response = await _client.GetAsync(path);
            if (!response.IsSuccessStatusCode)
                return null;
            return JsonNode.Parse(await response.Content.ReadAsStringAsync()) as JsonObject;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or TaskCanceledException)
        {
            return null;
        }
    }

    /// <summary>An answer that is no JSON, or nothing when nobody answers.</summary>
    internal async Task<string> TextAsync(string path)
    {
        using HttpResponseMessage response = await _client.GetAsync(path);
        return response.IsSuccessStatusCode ? await response.Content.ReadAsStringAsync() : "";
    }

    internal async Task<JsonObject> SendAsync(HttpMethod method, string path, JsonNode? body, string type = "application/json")
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
            request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, type);
        using HttpResponseMessage response = await _client.SendAsync(request);
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{method} {path}: {(int)response.StatusCode} {text}");
        return JsonNode.Parse(text)!.AsObject();
    }

    internal Task<JsonObject> CreateAsync(string resource, JsonObject document, string ns = "default") => SendAsync(HttpMethod.Post, $"/api/v1/namespaces/{ns}/{resource}", document);

    internal Task<JsonObject> MergeAsync(string path, JsonObject patch) => SendAsync(HttpMethod.Patch, path, patch, "application/merge-patch+json");

    internal Task DeleteAsync(string path, int? grace = null) =>
        SendAsync(HttpMethod.Delete, path, grace is null ? null : new JsonObject { ["apiVersion"] = "v1", ["kind"] = "DeleteOptions", ["gracePeriodSeconds"] = grace });

    /// <summary>Pods by name; null when nobody answers.</summary>
    internal async Task<Dictionary<string, PodFact>?> PodsAsync()
    {
        if (await GetAsync("/api/v1/pods") is not { } list)
            return null;
        var pods = new Dictionary<string, PodFact>(StringComparer.Ordinal);
        foreach (JsonNode? item in list["items"]!.AsArray())
        {
            JsonNode meta = item!["metadata"]!, status = item["status"] ?? new JsonObject();
            JsonNode? container = (status["containerStatuses"] as JsonArray)?.FirstOrDefault();
            bool running = container?["state"]?["running"] is not null;
            pods[meta["name"]!.GetValue<string>()] = new PodFact(
                meta["uid"]!.GetValue<string>(), item["spec"]?["nodeName"]?.GetValue<string>() ?? "", running ? status["phase"]?.GetValue<string>() ?? "" : "NotRunning",
                container?["ready"]?.GetValue<bool>() == true, container?["containerID"]?.GetValue<string>() ?? "", container?["restartCount"]?.GetValue<int>() ?? 0,
                meta["resourceVersion"]!.GetValue<string>(), meta["deletionTimestamp"] is not null);
        }
        return pods;
    }

    /// <summary>Pods by name; a moment without an answer is waited out.</summary>
    internal async Task<Dictionary<string, PodFact>> PodsNowAsync()
    {
        Dictionary<string, PodFact>? pods = null;
        await Until.TrueAsync("the API answers", 60, async () => (pods = await PodsAsync()) is not null);
        return pods!;
    }

    /// <summary>Namespace/name → resource version.</summary>
    internal async Task<SortedDictionary<string, string>> VersionsAsync(string resource)
    {
        var versions = new SortedDictionary<string, string>(StringComparer.Ordinal);
        JsonObject? list = await GetAsync($"/api/v1/{resource}");
        Assert.NotNull(list);
        foreach (JsonNode? item in list["items"]!.AsArray())
            versions[$"{item!["metadata"]!["namespace"]}/{item["metadata"]!["name"]}"] = item["metadata"]!["resourceVersion"]!.GetValue<string>();
        return versions;
    }

    public void Dispose() => _client.Dispose();
}
