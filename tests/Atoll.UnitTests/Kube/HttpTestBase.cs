using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Kube.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;

namespace Atoll.UnitTests.Kube;

/// <summary>The API behind a real Kestrel on loopback, and a client of it.</summary>
public abstract class HttpTestBase : KubeTestBase
{
    private protected HttpClient Client { get; } = new();
    private WebApplication _app = null!;

    private protected static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private protected override ApiServerOptions Options => base.Options with
    {
        MaxBodyBytes = 100_000,
        Time = TimeProvider.System,
        Authenticators =
        [
            new BearerTokenAuthenticator(token => token switch { "admin" => Identity.Administrator("admin"), "site" => Identity.Site("s1"), "nobody" => new Identity("nobody"), _ => null }),
        ],
    };

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.UseKubeLimits();
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        _app = builder.Build();
        _app.Run(Server.HandleAsync);
        await _app.StartAsync(Cancel);
        Client.BaseAddress = new Uri(_app.Urls.First());
        Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "admin");
    }

    public override async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        Client.Dispose();
        await base.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    private protected async Task<(int Code, JsonObject Body, HttpResponseMessage Response)> Send(string method, string path, string? body = null, string mediaType = "application/json", string? token = null, string? accept = null)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (body is not null)
            request.Content = new StringContent(body, Encoding.UTF8, new MediaTypeHeaderValue(mediaType));
        if (token is not null)
            request.Headers.Authorization = token.Length == 0 ? null : new AuthenticationHeaderValue("Bearer", token);
        if (accept is not null)
            request.Headers.TryAddWithoutValidation("Accept", accept);
        HttpResponseMessage response = await Client.SendAsync(request, Cancel);
        string text = await response.Content.ReadAsStringAsync(Cancel);
        return ((int)response.StatusCode, text.StartsWith('{') ? Json(text) : [], response);
    }

    /// <summary>A list's names in order.</summary>
    private protected static string Names(JsonObject list) => string.Join(' ', list["items"]!.AsArray().Select(item => (string?)item!["metadata"]!["name"]));

    /// <summary>A request that must end with a code; a failure must be a Status that says so.</summary>
    private protected async Task<JsonObject> Expect(int code, string method, string path, string? body = null, string mediaType = "application/json", string? token = null, string? accept = null)
    {
        (int got, JsonObject answer, _) = await Send(method, path, body, mediaType, token, accept);
        Assert.True(got == code, $"{method} {path} ended with {got} instead of {code}: {answer.ToJsonString()}");
        if (code >= 400)
            Assert.Equal(("Status", "Failure", code), ((string?)answer["kind"], (string?)answer["status"], (int)answer["code"]!));
        return answer;
    }
}
