using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Discovery;
using Atoll.Kube.Resources;
using Atoll.Kube.Schema;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Http;

/// <summary>Everything that is served about the server itself: health, version, discovery and schemas.</summary>
internal sealed class MetaEndpoints(ApiServer server)
{
    private readonly DiscoveryDocuments _discovery = new();

    /// <summary>Health and version, which need no identity. False when the path is another.</summary>
    public async Task<bool> TryOpenAsync(HttpContext context, string path)
    {
        switch (path)
        {
            case "/healthz" or "/livez":
                await TextAsync(context, server.IsHealthy, server.IsHealthy ? "ok" : "the store is not followed any more").ConfigureAwait(false);
                return true;
            case "/readyz":
                bool ready = server.IsHealthy && (server.Options.IsReady?.Invoke() ?? true);
                await TextAsync(context, ready, ready ? "ok" : "not ready").ConfigureAwait(false);
                return true;
            case "/version" or "/version/":
                await Answers.JsonAsync(context, Version()).ConfigureAwait(false);
                return true;
            default:
                return false;
        }
    }

    /// <summary>True for the paths of discovery and OpenAPI.</summary>
    public bool Describes(string path)
    {
        if (path.Length > 1 && path[^1] == '/')
            path = path[..^1];
        return path is "/" or "/openapi/v2" or "/openapi/v3" || path.StartsWith("/openapi/v3/", StringComparison.Ordinal) || _discovery.Legacy(path) is not null;
    }

    /// <summary>Discovery and OpenAPI, for anybody with an identity. False when the path is another.</summary>
    public async Task<bool> TryDiscoverAsync(HttpContext context, string path)
    {
        if (path.Length > 1 && path[^1] == '/')
            path = path[..^1];
        if (path is "/api" or "/apis" && AggregatedVersion(context.Request) is { } version)
        {
            context.Response.Headers.Vary = "Accept";
            await Answers.JsonAsync(context, _discovery.Aggregated(path, version), $"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList").ConfigureAwait(false);
            return true;
        }
        if (_discovery.Legacy(path) is { } document)
        {
            await Answers.JsonAsync(context, document).ConfigureAwait(false);
            return true;
        }
        if (path == "/")
        {
            await Answers.JsonAsync(context, Root()).ConfigureAwait(false);
            return true;
        }
        if (path == "/openapi/v3")
        {
            await Answers.JsonAsync(context, OpenApiRoot()).ConfigureAwait(false);
            return true;
        }
        if (path == "/openapi/v2" && context.Request.Headers.Accept.ToString().Contains("proto-openapi.spec.v2", StringComparison.Ordinal))
        {
            await Answers.JsonAsync(context, ObjectSchemas.OpenApiV2Protobuf(), "application/com.github.proto-openapi.spec.v2.v1.0+protobuf").ConfigureAwait(false);
            return true;
        }
        return path.StartsWith("/openapi/v3/", StringComparison.Ordinal) && await OpenApiAsync(context, path["/openapi/v3/".Length..]).ConfigureAwait(false);
    }

    private static Task TextAsync(HttpContext context, bool good, string text)
    {
        context.Response.StatusCode = good ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(text, context.RequestAborted);
    }

    private byte[] Version()
    {
        string[] parts = server.Options.GitVersion.TrimStart('v').Split('.');
        return new JsonObject
        {
            ["major"] = parts[0],
            ["minor"] = parts.Length > 1 ? parts[1] : "0",
            ["gitVersion"] = server.Options.GitVersion,
            ["gitCommit"] = "",
            ["gitTreeState"] = "clean",
            ["buildDate"] = "1970-01-01T00:00:00Z",
            ["goVersion"] = RuntimeInformation.FrameworkDescription,
            ["compiler"] = "",
            ["platform"] = $"linux/{(RuntimeInformation.ProcessArchitecture == Architecture.X64 ? "amd64" : RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant())}",
        }.ToBytes();
    }

    private byte[] Root()
    {
        IEnumerable<string> paths = _discovery.Paths.Concat(["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]).Order(StringComparer.Ordinal);
        return new JsonObject { ["paths"] = new JsonArray([.. paths.Select(path => (JsonNode?)JsonValue.Create(path))]) }.ToBytes();
    }

    private static byte[] OpenApiRoot()
    {
        JsonObject paths = [];
        foreach ((string path, string hash) in ObjectSchemas.OpenApiPaths)
            paths[path] = new JsonObject { ["serverRelativeURL"] = $"/openapi/v3/{path}?hash={hash}" };
        return new JsonObject { ["paths"] = paths }.ToBytes();
    }

    private static async Task<bool> OpenApiAsync(HttpContext context, string path)
    {
        string? hash = null;
        foreach ((string known, string itsHash) in ObjectSchemas.OpenApiPaths)
            if (known == path)
                hash = itsHash;
        if (hash is null || ObjectSchemas.OpenApiV3(path) is not { } document)
            return false;
        string etag = $"\"{hash}\"", asked = context.Request.Query["hash"].ToString();
        if (asked.Length > 0 && asked != hash)
        {
            // The client knows an older document: send it to the present one.
            context.Response.Redirect($"/openapi/v3/{path}?hash={hash}");
            context.Response.StatusCode = StatusCodes.Status301MovedPermanently;
            return true;
        }
        context.Response.Headers.ETag = etag;
        context.Response.Headers.Vary = "Accept";
        context.Response.Headers.CacheControl = asked.Length > 0 ? "public, immutable, max-age=31536000" : "no-cache, private";
        if (context.Request.Headers.IfNoneMatch.ToString().Contains(etag, StringComparison.Ordinal))
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return true;
        }
        await Answers.JsonAsync(context, document).ConfigureAwait(false);
        return true;
    }

    private static string? AggregatedVersion(HttpRequest request)
    {
        foreach (string range in request.Headers.Accept.ToString().Split(','))
        {
            string[] parts = range.Split(';');
            if (parts[0].Trim() != "application/json")
                continue;
            if (Accepts.Parameter(parts, "as") is null)
                return null; // Plain JSON was wanted first.
            if (Accepts.Parameter(parts, "g") == "apidiscovery.k8s.io" && Accepts.Parameter(parts, "v") is "v2" or "v2beta1")
                return Accepts.Parameter(parts, "v");
        }
        return null;
    }
}
