using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace Atoll.Edge.Content;

/// <summary>
/// One repository of a registry by the OCI distribution protocol, with basic or token authentication. Mirrors are asked
/// first; what they do not have or cannot give comes from the registry. The credential goes to the registry alone.
/// </summary>
internal sealed class RegistrySource(HttpClient http, ImageStoreOptions options, ImageReference reference, ImageCredential? credential) : IImageSource
{
    private const int MaxTokenBytes = 256 * 1024;
    private static readonly string[] ManifestTypes =
    [
        "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json",
    ];

    private readonly ConcurrentDictionary<Uri, AuthenticationHeaderValue> granted = new();

    public async Task<byte[]> ManifestAsync(string tagOrDigest, CancellationToken cancellation)
    {
        using var response = await SendAsync("manifests/" + tagOrDigest, 0, cancellation).ConfigureAwait(false);
        return await ReadAsync(response, LayoutSource.MaxManifestBytes, cancellation).ConfigureAwait(false);
    }

    public async Task<BlobStream> BlobAsync(string digest, long offset, CancellationToken cancellation)
    {
        var response = await SendAsync("blobs/" + digest, offset, cancellation).ConfigureAwait(false);
        try
        {
            var begin = response.StatusCode == HttpStatusCode.PartialContent ? response.Content.Headers.ContentRange?.From ?? -1 : 0;
            if (begin != 0 && begin != offset) throw new ImageSourceException("the registry answered with a range that was not asked for", transient: true);
            return new BlobStream(await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false), begin, response);
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    private async Task<HttpResponseMessage> SendAsync(string path, long offset, CancellationToken cancellation)
    {
        ImageSourceException? failure = null;
        foreach (var mirror in options.Mirrors.GetValueOrDefault(reference.Registry) ?? [])
            try
            {
                return await SendAsync(mirror, null, path, offset, cancellation).ConfigureAwait(false);
            }
            catch (ImageSourceException e)
            {
                failure = e;
            }
        try
        {
            return await SendAsync(RegistryAddress(), credential, path, offset, cancellation).ConfigureAwait(false);
        }
        catch (ImageSourceException e) when (failure is not null)
        {
            throw new ImageSourceException($"{e.Message} (mirror: {failure.Message})", e.Transient);
        }
    }

    private Uri RegistryAddress()
    {
        var host = reference.Registry == "docker.io" ? "registry-1.docker.io" : reference.Registry;
        var address = new Uri("https://" + host);
        return options.InsecureRegistries.Contains(reference.Registry) || address.IsLoopback ? new Uri("http://" + host) : address;
    }

    private async Task<HttpResponseMessage> SendAsync(Uri server, ImageCredential? account, string path, long offset, CancellationToken cancellation)
    {
        var address = new Uri(server, $"/v2/{reference.Repository}/{path}");
        for (var attempt = 0; ; attempt++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, address);
            foreach (var type in ManifestTypes) request.Headers.Accept.ParseAdd(type);
            if (offset > 0) request.Headers.Range = new RangeHeaderValue(offset, null);
            if (granted.TryGetValue(server, out var authorization)) request.Headers.Authorization = authorization;
            var response = await TrySendAsync(request, cancellation).ConfigureAwait(false);
            if (response.IsSuccessStatusCode) return response;
            using (response)
            {
                if (response.StatusCode == HttpStatusCode.Unauthorized && attempt == 0 && await AuthorizeAsync(server, account, response, cancellation).ConfigureAwait(false)) continue;
                throw await RefusalAsync(server, response, cancellation).ConfigureAwait(false);
            }
        }
    }

    private async Task<HttpResponseMessage> TrySendAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        try
        {
            return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            // The whole reason is at the end of the chain (name not found, refused, certificate).
            throw new ImageSourceException($"{request.RequestUri!.Authority}: {e.GetBaseException().Message}", transient: e.HttpRequestError is not HttpRequestError.SecureConnectionError);
        }
        catch (TaskCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new ImageSourceException($"{request.RequestUri!.Authority} does not answer", transient: true);
        }
    }

    private async Task<bool> AuthorizeAsync(Uri server, ImageCredential? account, HttpResponseMessage response, CancellationToken cancellation)
    {
        foreach (var challenge in response.Headers.WwwAuthenticate)
        {
            if (challenge.Scheme.Equals("Basic", StringComparison.OrdinalIgnoreCase) && account is not null)
            {
                granted[server] = Basic(account);
                return true;
            }
            if (challenge.Scheme.Equals("Bearer", StringComparison.OrdinalIgnoreCase) && challenge.Parameter is { } parameters)
            {
                granted[server] = new AuthenticationHeaderValue("Bearer", await TokenAsync(server, account, Parameters(parameters), cancellation).ConfigureAwait(false));
                return true;
            }
        }
        return false;
    }

    private async Task<string> TokenAsync(Uri server, ImageCredential? account, Dictionary<string, string> parameters, CancellationToken cancellation)
    {
        if (!Uri.TryCreate(parameters.GetValueOrDefault("realm"), UriKind.Absolute, out var realm)) throw new ImageSourceException("the registry's challenge names no realm", transient: false);
        // A password never goes over plain HTTP unless the registry itself is spoken to that way.
        if (realm.Scheme != "https" && server.Scheme == "https") throw new ImageSourceException("the registry wants credentials sent in the clear", transient: false);
        var query = $"service={Uri.EscapeDataString(parameters.GetValueOrDefault("service") ?? "")}&scope={Uri.EscapeDataString(parameters.GetValueOrDefault("scope") ?? $"repository:{reference.Repository}:pull")}";
        using var request = new HttpRequestMessage(HttpMethod.Get, new UriBuilder(realm) { Query = query }.Uri);
        if (account is not null) request.Headers.Authorization = Basic(account);
        using var response = await TrySendAsync(request, cancellation).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode) throw await RefusalAsync(realm, response, cancellation).ConfigureAwait(false);
        var answer = JsonNode.Parse(await ReadAsync(response, MaxTokenBytes, cancellation).ConfigureAwait(false));
        return (string?)answer?["token"] ?? (string?)answer?["access_token"] ?? throw new ImageSourceException("the registry's token server gave no token", transient: false);
    }

    private async Task<ImageSourceException> RefusalAsync(Uri server, HttpResponseMessage response, CancellationToken cancellation)
    {
        var detail = "";
        try
        {
            var errors = JsonNode.Parse(await ReadAsync(response, 16 * 1024, cancellation).ConfigureAwait(false))?["errors"] as JsonArray;
            if (errors is { Count: > 0 }) detail = $" ({(string?)errors[0]?["code"]}: {(string?)errors[0]?["message"]})";
        }
        catch (Exception e) when (e is System.Text.Json.JsonException or ImageSourceException or InvalidOperationException)
        {
            // The status alone must do.
        }
        return response.StatusCode switch
        {
            HttpStatusCode.NotFound => new ImageSourceException($"{server.Authority}: not found{detail}", transient: false),
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => new ImageSourceException($"{server.Authority}: access denied, the repository does not exist or needs credentials{detail}", transient: false),
            var status => new ImageSourceException($"{server.Authority}: {(int)status} {response.ReasonPhrase}{detail}", transient: (int)status >= 500 || status is HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout),
        };
    }

    private static async Task<byte[]> ReadAsync(HttpResponseMessage response, int limit, CancellationToken cancellation)
    {
        try
        {
            await using var stream = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
            using var bytes = new MemoryStream();
            var buffer = new byte[8192];
            while (await stream.ReadAsync(buffer, cancellation).ConfigureAwait(false) is > 0 and var n)
            {
                bytes.Write(buffer, 0, n);
                if (bytes.Length > limit) throw new ImageSourceException($"the registry's answer is larger than {limit} bytes", transient: false);
            }
            return bytes.ToArray();
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            throw new ImageSourceException(e.Message, transient: true);
        }
    }

    private static AuthenticationHeaderValue Basic(ImageCredential account) => new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(account.Username + ":" + account.Password)));

    /// <summary><c>key="value",key="value"</c>; commas may be inside quotes.</summary>
    private static Dictionary<string, string> Parameters(string text)
    {
        var found = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        var i = 0;
        while (i < text.Length)
        {
            var equals = text.IndexOf('=', i);
            if (equals < 0) break;
            var key = text[i..equals].Trim(' ', ',');
            var quoted = equals + 1 < text.Length && text[equals + 1] == '"';
            var end = quoted ? text.IndexOf('"', equals + 2) : text.IndexOf(',', equals);
            if (end < 0) end = text.Length;
            found[key] = text[(equals + (quoted ? 2 : 1))..end];
            i = end + 1;
        }
        return found;
    }
}
