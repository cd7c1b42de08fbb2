using Atoll.Api.Objects;
using Atoll.Kube;
using Atoll.Kube.Import;
using Atoll.Store.Sqlite;

namespace Atoll.Bench.Fleet;

/// <summary>Writes the store of a centre whose fleet was rolled out before, by the same code with which a tier takes over a parent's objects.</summary>
internal static class Filling
{
    /// <summary>Fills a file that is not there yet; returns what the sites hold of it when that is asked for.</summary>
    public static async Task<Held?> RunAsync(string file, int sites, int nodes, int pods, bool held)
    {
        bool filled = File.Exists(file);
        await using SqliteStore store = await SqliteStore.OpenAsync(file, new SqliteStoreOptions { Durable = false, KeepRevisions = 100 }, CancellationToken.None);
        await using ApiServer server = await ApiServer.StartAsync(store, new ApiServerOptions { CreateDefaultNamespaces = true });
        if (!filled)
            await FillAsync(store, server, sites, nodes, pods);
        return held ? await Held.OfAsync(store, server, sites) : null;
    }

    private static async Task FillAsync(SqliteStore store, ApiServer server, int sites, int nodes, int pods)
    {
        var batch = new List<ImportObject>(1000);
        var running = new Queue<Task>();
        await AddAsync(Kinds.ConfigMap, Documents.Shared(0));
        await AddAsync(Kinds.ConfigMap, Documents.Probe());
        for (int site = 0; site < sites; site++)
        {
            await AddAsync(Kinds.Site, Documents.Site(site));
            for (int node = 0; node < nodes; node++)
            {
                await AddAsync(Kinds.Node, Documents.Node(site, node));
                for (int pod = 0; pod < pods; pod++)
                    await AddAsync(Kinds.Pod, Documents.Pod(site, node, pod));
            }
        }
        await FlushAsync(most: 0);
        // A fleet that was made over months has nearly all of its objects behind its newest thousand revisions, which a start goes through
        // one by one; here hundreds of objects share one revision.
        await store.CompactAsync(store.CurrentRevision, CancellationToken.None);

        async Task AddAsync(ResourceType type, System.Text.Json.Nodes.JsonObject document)
        {
            batch.Add(new ImportObject(type, document, KeepLocalStatus: false));
            if (batch.Count == 900)
                await FlushAsync();
        }

        // Two at a time: most of it is reading and checking, each on a core of its own.
        async Task FlushAsync(int most = 1)
        {
            List<ImportObject> upserts = batch;
            batch = new List<ImportObject>(1000);
            running.Enqueue(Task.Run(async () =>
            {
                ImportResult result = await server.ImportAsync(new ImportBatch { Upserts = upserts }, CancellationToken.None);
                if (result.Error is not null)
                    throw new InvalidOperationException(result.Error.ToString());
            }));
            while (running.Count > most)
                await running.Dequeue();
        }
    }
}
