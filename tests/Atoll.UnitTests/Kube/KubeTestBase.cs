using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Store.Sqlite;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Kube;

/// <summary>A server over a store in memory, with an administrator's client.</summary>
public abstract class KubeTestBase : IAsyncLifetime
{
    internal HookedStore Store { get; private set; } = null!;

    private protected FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));

    private protected ApiServer Server { get; private set; } = null!;

    private protected IResources Admin { get; private set; } = null!;

    private protected virtual ApiServerOptions Options => new() { CreateDefaultNamespaces = true, Time = Time };

    public virtual async ValueTask InitializeAsync()
    {
        Store = new HookedStore(await SqliteStore.OpenInMemoryAsync());
        Server = await ApiServer.StartAsync(Store, Options);
        Admin = Server.As(Identity.Administrator("admin"));
    }

    public virtual async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        await Store.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    private protected static JsonObject Json(string text) => JsonNode.Parse(text)!.AsObject();

    private protected static JsonObject Pod(string name, string more = "") => Json($$$"""
        {"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{name}}}"},"spec":{"containers":[{"name":"c","image":"i"}]{{{more}}} }}
        """);

    private protected static JsonObject ConfigMap(string name, string value = "v") => Json($$$"""
        {"metadata":{"name":"{{{name}}}"},"data":{"k":"{{{value}}}"}}
        """);

    private protected async Task<KubeObject> Make(ResourceType type, JsonObject document, string? ns = "default")
    {
        ApiResult result = await Admin.CreateAsync(type, type.Namespaced ? ns : null, document, TestContext.Current.CancellationToken);
        Assert.Null(result.Error);
        return result.Object!;
    }

    private protected async Task<KubeObject?> Read(ResourceType type, string name, string? ns = "default")
    {
        ApiResult result = await Admin.GetAsync(type, type.Namespaced ? ns : null, name, TestContext.Current.CancellationToken);
        Assert.True(result.Ok || result.IsNotFound, result.Error?.ToString());
        return result.Object;
    }
}
