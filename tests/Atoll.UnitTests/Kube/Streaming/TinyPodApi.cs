using System.Net;
using System.Text;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Atoll.Kube.Streaming;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Atoll.UnitTests.Kube.Streaming;

/// <summary>Just enough of an API server for kubectl's streaming commands: discovery, two pods and their streams, over real Kestrel.</summary>
public sealed class TinyPodApi : IAsyncDisposable
{
    private const string Discovery = """{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod","verbs":["get","list","watch"],"shortNames":["po"]}]}""";
    private readonly WebApplication _app;

    private TinyPodApi(WebApplication app) => _app = app;

    public LocalPodStreams Streams { get; } = new();

    public Uri Address { get; private set; } = null!;

    /// <summary>Requests that are being served.</summary>
    public int Active => _active;

    private int _active;

    public static async Task<TinyPodApi> StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        WebApplication app = builder.Build();
        app.Urls.Add("http://127.0.0.1:0");
        var api = new TinyPodApi(app);
        app.Run(api.HandleAsync);
        await app.StartAsync();
        api.Address = new Uri(app.Urls.First());
        return api;
    }

    /// <summary>A running pod of containers <c>main</c> (and <c>side</c>, for the pod <c>two</c>).</summary>
    public static KubeObject Pod(string name)
    {
        string containers = name == "two" ? """{"name":"main","image":"local"},{"name":"side","image":"local"}""" : """{"name":"main","image":"local","stdin":true,"tty":false}""";
        string init = name == "two" ? ""","initContainers":[{"name":"prepare","image":"local"}]""" : "";
        return new KubeObject(Encoding.UTF8.GetBytes($$"""
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{name}}","namespace":"default","uid":"11111111-2222-3333-4444-555555555555"},
             "spec":{"nodeName":"here","containers":[{{containers}}]{{init}}},
             "status":{"phase":"Running","containerStatuses":[{"name":"main","ready":true,"restartCount":0,"image":"local","imageID":"","state":{"running":{} } }]} }
            """));
    }

    public Uri Url(string pod, string subresource, string query, string scheme = "http") =>
        new UriBuilder(Address) { Scheme = scheme, Path = $"/api/v1/namespaces/default/pods/{pod}/{subresource}", Query = query }.Uri;

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }

    private async Task HandleAsync(HttpContext context)
    {
        Interlocked.Increment(ref _active);
        try
        {
            string[] path = context.Request.Path.Value!.Trim('/').Split('/');
            string? fixedAnswer = path switch
            {
                ["api"] => """{"kind":"APIVersions","versions":["v1"]}""",
                ["apis"] => """{"kind":"APIGroupList","apiVersion":"v1","groups":[]}""",
                ["version"] => """{"major":"1","minor":"32","gitVersion":"v1.32.0"}""",
                ["api", "v1"] => Discovery,
                _ => null,
            };
            if (fixedAnswer is not null)
                await JsonAsync(context, 200, Encoding.UTF8.GetBytes(fixedAnswer));
            else if (path is ["api", "v1", "namespaces", "default", "pods", var name])
                await JsonAsync(context, 200, Pod(name).Utf8.ToArray());
            else if (path is ["api", "v1", "namespaces", "default", "pods", var pod, var subresource])
                await StreamAsync(context, Pod(pod), subresource);
            else
                context.Response.StatusCode = (int)HttpStatusCode.NotFound;
        }
        finally
        {
            Interlocked.Decrement(ref _active);
        }
    }

    private async Task StreamAsync(HttpContext context, KubeObject pod, string subresource)
    {
        ApiStatus? status = await PodStreamEndpoints.ServeAsync(context, subresource, pod, Streams);
        if (status is not null && !context.Response.HasStarted)
            await JsonAsync(context, status.Code, JsonSerializer.SerializeToUtf8Bytes(status, ApiJson.Default.ApiStatus));
    }

    private static async Task JsonAsync(HttpContext context, int code, byte[] body)
    {
        context.Response.StatusCode = code;
        context.Response.ContentType = "application/json";
        await context.Response.Body.WriteAsync(body);
    }
}
