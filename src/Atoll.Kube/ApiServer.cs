using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Access;
using Atoll.Kube.Events;
using Atoll.Kube.Http;
using Atoll.Kube.Import;
using Atoll.Kube.Resources;
using Atoll.Kube.Watch;
using Atoll.Store;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube;

/// <summary>
/// The Kubernetes API over a store. One instance serves a tier: clients inside the program through <see cref="As"/>,
/// everybody else through <see cref="HandleAsync"/>, a request handler to be put on any Kestrel endpoint.
/// <para>Invariants: reads come from a cache that one watch of the store feeds, and are as new as their resource version
/// asks; every write is a compare-and-set on the state it was decided on; a watcher sees each change once and in order,
/// or is told that it must list again; fields that no schema knows survive.</para>
/// <para>What it does not do: run controllers, hold typed models, listen on sockets, own the store.</para>
/// </summary>
public sealed class ApiServer : IAsyncDisposable
{
    private static readonly string[] s_defaultNamespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];

    private readonly CacheFeed _feed;
    private readonly Dictionary<ResourceType, ResourceCache> _caches = [];
    private readonly Importer _importer;
    private readonly EventSweeper _sweeper;
    private readonly KubeHttp _http;

    private ApiServer(IStore store, ApiServerOptions options)
    {
        Options = options;
        Store = store;
        _feed = new CacheFeed(store, options);
        var byPrefix = new Dictionary<string, ResourceCache>(StringComparer.Ordinal);
        foreach (ResourceType type in Kinds.All)
        {
            string prefix = Keys.Prefix(type);
            if (!byPrefix.TryGetValue(prefix, out ResourceCache? cache))
                byPrefix[prefix] = cache = _feed.Add(type, prefix);
            _caches[type] = cache;
        }
        Access = options.Access ?? new SiteAccessPolicy(this);
        Reader = new Reader(store, _feed, CacheOf, options.Time);
        Verbs = new Verbs(store, _feed, CacheOf, options);
        _importer = new Importer(store, _feed, CacheOf);
        _sweeper = new EventSweeper(store, CacheOf(Kinds.Event), options);
        _http = new KubeHttp(this);
    }

    /// <summary>The store below.</summary>
    public IStore Store { get; }

    /// <summary>How the server was set up.</summary>
    public ApiServerOptions Options { get; }

    internal IAccessPolicy Access { get; }

    internal Reader Reader { get; }

    internal Verbs Verbs { get; }

    /// <summary>True while the server can answer: the cache follows the store.</summary>
    public bool IsHealthy => _feed.IsRunning;

    /// <summary>Reads the store into the cache and begins to follow it. The store stays the caller's to close, after the server.</summary>
    public static async Task<ApiServer> StartAsync(IStore store, ApiServerOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(options);
        if (store.CurrentRevision == 0)
        {
            // A list must never answer with version "0", which means "any".
            await store.TransactAsync(new StoreTransaction([], [new StoreWrite("/atoll/api"u8.ToArray(), "1"u8.ToArray())]), cancellation).ConfigureAwait(false);
        }
        var server = new ApiServer(store, options);
        await server._feed.StartAsync(cancellation).ConfigureAwait(false);
        if (options.CreateDefaultNamespaces)
            await server.CreateSystemObjectsAsync(cancellation).ConfigureAwait(false);
        server._sweeper.Start();
        return server;
    }

    /// <summary>A client inside the program that acts as one identity. Cheap; make as many as there are actors.</summary>
    public IResources As(Identity identity) => new InProcessResources(this, identity);

    /// <summary>Serves one HTTP request, whatever its outcome.</summary>
    public Task HandleAsync(HttpContext context) => _http.HandleAsync(context);

    /// <summary>
    /// Takes over objects of a parent as they are, past all rules but the store's, in one transaction together with other
    /// keys (split only above the store's limit of writes, the other keys last).
    /// </summary>
    public ValueTask<ImportResult> ImportAsync(ImportBatch batch, CancellationToken cancellation) => _importer.ImportAsync(batch, cancellation);

    internal ResourceCache CacheOf(ResourceType type) => _caches[type];

    private async Task CreateSystemObjectsAsync(CancellationToken cancellation)
    {
        IResources system = As(Identity.Trusted("system:apiserver"));
        foreach (string name in s_defaultNamespaces)
            await EnsureAsync(Kinds.Namespace, name, []).ConfigureAwait(false);
        foreach ((string name, long value, string policy, string description) in PodAdmission.SystemClasses)
            await EnsureAsync(Kinds.PriorityClass, name, new JsonObject { ["value"] = value, ["preemptionPolicy"] = policy, ["description"] = description },
                name == WellKnown.BatchClass ? new JsonObject { [WellKnown.QosLabel] = WellKnown.QosBatch } : null).ConfigureAwait(false);

        async Task EnsureAsync(ResourceType type, string name, JsonObject document, JsonObject? labels = null)
        {
            document["metadata"] = new JsonObject { ["name"] = name, ["labels"] = labels };
            ApiResult result = await system.CreateAsync(type, null, document, cancellation).ConfigureAwait(false);
            if (!result.Ok && !result.IsAlreadyExists)
                throw new InvalidOperationException($"{type.Kind} {name} cannot be made: {result.Error}");
        }
    }

    /// <summary>Ends all watches and stops following the store.</summary>
    public async ValueTask DisposeAsync()
    {
        await _sweeper.DisposeAsync().ConfigureAwait(false);
        await _feed.DisposeAsync().ConfigureAwait(false);
    }
}
