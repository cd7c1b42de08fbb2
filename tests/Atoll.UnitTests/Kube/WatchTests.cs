using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Kube.Import;
using CsCheck;

namespace Atoll.UnitTests.Kube;

public sealed class WatchTests : KubeTestBase
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private protected override ApiServerOptions Options => base.Options with { WatchHistoryEvents = 2000, WatchBufferEvents = 50 };

    private static long Revision(KubeObject value) => long.Parse(value.ResourceVersion, CultureInfo.InvariantCulture);

    private Task<ApiResult> Patch(string name, string patch) => Admin.PatchAsync(Kinds.ConfigMap, "default", name, PatchType.Merge, JsonNode.Parse(patch)!, Cancel).AsTask();

    private async Task<List<WatchEvent>> Take(int count, WatchOptions options, ResourceType? type = null)
    {
        var events = new List<WatchEvent>();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        limit.CancelAfter(TimeSpan.FromSeconds(20));
        await foreach (WatchEvent e in Admin.WatchAsync(type ?? Kinds.ConfigMap, "default", options, limit.Token))
        {
            events.Add(e);
            if (events.Count == count)
                break;
        }
        return events;
    }

    [Fact]
    public async Task An_object_that_leaves_the_selection_is_deleted_for_the_watcher()
    {
        ApiList list = await Admin.ListAsync(Kinds.ConfigMap, "default", ListOptions.Default, Cancel);
        await Make(Kinds.ConfigMap, Json("""{"metadata":{"name":"a","labels":{"x":"1"}}}"""));
        await Patch("a", """{"data":{"k":"1"}}""");
        KubeObject left = (await Patch("a", """{"metadata":{"labels":{"x":"2"}}}""")).Object!;
        await Patch("a", """{"data":{"k":"2"}}""");
        await Patch("a", """{"metadata":{"labels":{"x":"1"}}}""");
        await Admin.DeleteAsync(Kinds.ConfigMap, "default", "a", DeleteOptions.Default, Cancel);
        List<WatchEvent> events = await Take(5, new WatchOptions { LabelSelector = "x=1", ResourceVersion = list.ResourceVersion });
        Assert.Equal([WatchEventType.Added, WatchEventType.Modified, WatchEventType.Deleted, WatchEventType.Added, WatchEventType.Deleted], events.Select(e => e.Type));
        Assert.Equal("1", events[2].Object!.Metadata.Label("x"));
        Assert.Equal(left.ResourceVersion, events[2].Object!.ResourceVersion);
    }

    [Fact]
    public async Task Initial_events_end_with_an_annotated_bookmark()
    {
        await Make(Kinds.ConfigMap, ConfigMap("a"));
        await Make(Kinds.ConfigMap, ConfigMap("b"));
        List<WatchEvent> events = await Take(3, new WatchOptions { SendInitialEvents = true, AllowBookmarks = true });
        Assert.Equal([WatchEventType.Added, WatchEventType.Added, WatchEventType.Bookmark], events.Select(e => e.Type));
        Assert.Equal("true", events[2].Object!.Metadata.Annotation("k8s.io/initial-events-end"));
        Assert.Equal(Store.CurrentRevision, Revision(events[2].Object!));
    }

    [Fact]
    public async Task An_idle_watch_gets_bookmarks_with_the_newest_revision()
    {
        await using IAsyncEnumerator<WatchEvent> watch = Admin.WatchAsync(Kinds.ConfigMap, "default", new WatchOptions { AllowBookmarks = true, ResourceVersion = Store.CurrentRevision.ToString(CultureInfo.InvariantCulture) }, Cancel).GetAsyncEnumerator(Cancel);
        Task<bool> next = watch.MoveNextAsync().AsTask();
        await Make(Kinds.Secret, Json("""{"metadata":{"name":"elsewhere"}}"""));
        await Read(Kinds.Secret, "elsewhere"); // The cache is as new as the store now.
        while (!next.IsCompleted)
        {
            Time.Advance(TimeSpan.FromSeconds(10));
            await Task.WhenAny(next, Task.Delay(20, Cancel));
        }
        Assert.True(await next);
        Assert.Equal(WatchEventType.Bookmark, watch.Current.Type);
        Assert.Equal(Store.CurrentRevision, Revision(watch.Current.Object!));
    }

    [Fact]
    public async Task A_watch_from_before_the_history_is_told_to_list_again()
    {
        ApiList list = await Admin.ListAsync(Kinds.ConfigMap, "default", ListOptions.Default, Cancel);
        for (int i = 0; i < 5; i++)
            await Make(Kinds.ConfigMap, ConfigMap("c" + i));
        await using ApiServer small = await ApiServer.StartAsync(Store, new ApiServerOptions { WatchHistoryEvents = 2, Time = Time }, Cancel);
        var events = new List<WatchEvent>();
        await foreach (WatchEvent e in small.As(Identity.Administrator("a")).WatchAsync(Kinds.ConfigMap, "default", new WatchOptions { ResourceVersion = list.ResourceVersion }, Cancel))
            events.Add(e);
        Assert.Equal(410, Assert.Single(events).Error!.Code);
    }

    [Fact]
    public async Task A_slow_watcher_is_closed_and_told()
    {
        await using IAsyncEnumerator<WatchEvent> watch = Admin.WatchAsync(Kinds.ConfigMap, "default", new WatchOptions(), Cancel).GetAsyncEnumerator(Cancel);
        await Make(Kinds.ConfigMap, ConfigMap("first"));
        Assert.True(await watch.MoveNextAsync());
        for (int i = 0; i < 60; i++)
            await Make(Kinds.ConfigMap, ConfigMap("c" + i));
        await Read(Kinds.ConfigMap, "c59");
        var events = new List<WatchEvent>();
        while (await watch.MoveNextAsync())
            events.Add(watch.Current);
        Assert.Equal(410, events[^1].Error!.Code);
        Assert.Equal(Enumerable.Range(0, events.Count - 1).Select(i => "c" + i), events[..^1].Select(e => e.Object!.Name));
        Assert.InRange(events.Count, 50, 60);
    }

    [Fact]
    public async Task Another_object_of_the_same_name_is_a_deletion_and_an_addition()
    {
        KubeObject first = await Make(Kinds.ConfigMap, ConfigMap("a"));
        JsonObject other = first.ToNode();
        other["metadata"]!["uid"] = "other";
        ImportResult imported = await Server.ImportAsync(new ImportBatch { Upserts = [new ImportObject(Kinds.ConfigMap, other, true)], Writes = [new Atoll.Store.StoreWrite("/link/applied"u8.ToArray(), "7"u8.ToArray())] }, Cancel);
        Assert.Null(imported.Error);
        List<WatchEvent> events = await Take(2, new WatchOptions { ResourceVersion = first.ResourceVersion });
        Assert.Equal([(WatchEventType.Deleted, first.Uid), (WatchEventType.Added, "other")], events.Select(e => (e.Type, e.Object!.Uid)));
        Assert.Equal(imported.Revision, Revision(events[1].Object!));
        Assert.Equal("7"u8.ToArray(), (await Store.GetAsync("/link/applied"u8.ToArray(), Cancel))!.Value.ToArray());
    }

    [Fact]
    public async Task An_import_keeps_the_local_status_and_deletes_only_the_identity_it_means()
    {
        KubeObject pod = await Make(Kinds.Pod, Pod("p"));
        await Admin.PatchAsync(Kinds.Pod, "default", "p", PatchType.Merge, JsonNode.Parse("""{"status":{"phase":"Running"}}""")!, Cancel, "status");
        JsonObject fromParent = pod.ToNode();
        fromParent["metadata"]!["labels"] = new JsonObject { ["new"] = "1" };
        await Server.ImportAsync(new ImportBatch { Upserts = [new ImportObject(Kinds.Pod, fromParent, true)], Deletes = [new ImportDelete(Kinds.ConfigMap, "default", "none", "u")] }, Cancel);
        KubeObject after = (await Read(Kinds.Pod, "p"))!;
        Assert.Equal("Running", (string?)after.ToNode()["status"]!["phase"]);
        Assert.Equal("1", after.Metadata.Label("new"));
        await Server.ImportAsync(new ImportBatch { Deletes = [new ImportDelete(Kinds.Pod, "default", "p", "other")] }, Cancel);
        Assert.NotNull(await Read(Kinds.Pod, "p"));
        await Server.ImportAsync(new ImportBatch { Deletes = [new ImportDelete(Kinds.Pod, "default", "p", pod.Uid)] }, Cancel);
        Assert.Null(await Read(Kinds.Pod, "p"));
    }

    [Fact]
    public async Task Pages_show_one_revision_and_an_expired_token_is_410()
    {
        for (int i = 0; i < 10; i++)
            await Make(Kinds.ConfigMap, ConfigMap("c" + i));
        ApiList first = await Admin.ListAsync(Kinds.ConfigMap, "default", new ListOptions { Limit = 4 }, Cancel);
        Assert.Equal(6, first.RemainingItems);
        await Admin.DeleteAsync(Kinds.ConfigMap, "default", "c5", DeleteOptions.Default, Cancel);
        await Make(Kinds.ConfigMap, ConfigMap("c55"));
        ApiList second = await Admin.ListAsync(Kinds.ConfigMap, "default", new ListOptions { Limit = 4, Continue = first.Continue }, Cancel);
        ApiList third = await Admin.ListAsync(Kinds.ConfigMap, "default", new ListOptions { Limit = 4, Continue = second.Continue }, Cancel);
        Assert.Null(third.Continue);
        Assert.Equal(first.ResourceVersion, third.ResourceVersion);
        Assert.Equal(Enumerable.Range(0, 10).Select(i => "c" + i), first.Items.Concat(second.Items).Concat(third.Items).Select(item => item.Name));
        await Store.CompactAsync(Store.CurrentRevision, Cancel);
        Assert.Equal(410, (await Admin.ListAsync(Kinds.ConfigMap, "default", new ListOptions { Limit = 4, Continue = first.Continue }, Cancel)).Error!.Code);
        Assert.Equal(400, (await Admin.ListAsync(Kinds.ConfigMap, "default", new ListOptions { Continue = "junk" }, Cancel)).Error!.Code);
    }

    [Fact]
    public async Task Pods_are_selected_by_node_and_an_unknown_field_is_named()
    {
        for (int i = 0; i < 6; i++)
            await Make(Kinds.Pod, Pod("p" + i, i % 2 == 0 ? ",\"nodeName\":\"even\"" : ""));
        ApiList even = await Admin.ListAsync(Kinds.Pod, null, new ListOptions { FieldSelector = "spec.nodeName=even,status.phase=Pending" }, Cancel);
        Assert.Equal(["p0", "p2", "p4"], even.Items.Select(item => item.Name));
        ApiList none = await Admin.ListAsync(Kinds.Pod, null, new ListOptions { FieldSelector = "spec.nodeName=" }, Cancel);
        Assert.Equal(["p1", "p3", "p5"], none.Items.Select(item => item.Name));
        ApiList bad = await Admin.ListAsync(Kinds.Pod, null, new ListOptions { FieldSelector = "spec.bogus=1" }, Cancel);
        Assert.Equal(400, bad.Error!.Code);
        Assert.Contains("spec.bogus", bad.Error.Message, StringComparison.Ordinal);
    }

    /// <summary>Whatever is written: a watcher's replay is, at each revision, what an exact list shows at it.</summary>
    [Fact]
    public async Task A_replayed_watch_is_the_list_at_each_revision()
    {
        await Gen.Select(Gen.Int[0, 5], Gen.Int[0, 3], Gen.Int[0, 2]).Array[1, 40].EachAsync(15, async writes =>
        {
            string start = (await Admin.ListAsync(Kinds.ConfigMap, "default", new ListOptions { LabelSelector = "x=1" }, Cancel)).ResourceVersion;
            Dictionary<string, string> state = (await Admin.ListAsync(Kinds.ConfigMap, "default", new ListOptions { LabelSelector = "x=1" }, Cancel)).Items.ToDictionary(item => item.Name, item => item.ResourceVersion);
            foreach ((int name, int verb, int label) in writes)
                await WriteAsync("c" + name, verb, label);
            await Make(Kinds.ConfigMap, Json("""{"metadata":{"generateName":"end-","labels":{"x":"1","end":"1"}}}"""));
            await foreach (WatchEvent e in Admin.WatchAsync(Kinds.ConfigMap, "default", new WatchOptions { LabelSelector = "x=1", ResourceVersion = start }, Cancel))
            {
                Assert.Equal(e.Type == WatchEventType.Added, !state.ContainsKey(e.Object!.Name));
                if (e.Type == WatchEventType.Deleted)
                    state.Remove(e.Object.Name);
                else
                    state[e.Object.Name] = e.Object.ResourceVersion;
                ApiList exact = await Admin.ListAsync(Kinds.ConfigMap, "default", new ListOptions { LabelSelector = "x=1", ResourceVersion = e.Object.ResourceVersion, ResourceVersionMatch = "Exact" }, Cancel);
                Assert.Null(exact.Error);
                Assert.Equal(exact.Items.ToDictionary(item => item.Name, item => item.ResourceVersion).OrderBy(p => p.Key), state.OrderBy(p => p.Key));
                if (e.Object.Metadata.Label("end") == "1")
                    break;
            }
        });
    }

    private async Task WriteAsync(string name, int verb, int label)
    {
        switch (verb)
        {
            case 0:
                await Admin.CreateAsync(Kinds.ConfigMap, "default", ConfigMap(name), Cancel);
                break;
            case 1:
                await Patch(name, $$$$"""{"metadata":{"labels":{"x":"{{{{label}}}}"}}}""");
                break;
            case 2:
                await Patch(name, $$$"""{"data":{"k":"{{{Store.CurrentRevision}}}"}}""");
                break;
            default:
                await Admin.DeleteAsync(Kinds.ConfigMap, "default", name, DeleteOptions.Default, Cancel);
                break;
        }
    }

    [Fact]
    public async Task An_import_that_replaces_an_identity_under_one_name_keeps_the_new_one()
    {
        KubeObject old = await Make(Kinds.Pod, Pod("again"));
        JsonObject next = Pod("again");
        next["metadata"]!["uid"] = "new-uid";
        next["metadata"]!["namespace"] = "default";
        ImportResult imported = await Server.ImportAsync(new ImportBatch { Upserts = [new ImportObject(Kinds.Pod, next, true)], Deletes = [new ImportDelete(Kinds.Pod, "default", "again", old.Uid)] }, Cancel);
        Assert.Null(imported.Error);
        Assert.Equal("new-uid", (await Read(Kinds.Pod, "again"))?.Uid);
    }
}
